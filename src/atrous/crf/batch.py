"""Mean field over a batch of images at once, in torch: what a GPU runs.

Images do not know of each other: which labels are pruned, and when an image has come to rest, is
judged for each of them, as if it were alone.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrous.crf.inputs import CLIP, SUM_TOLERANCE, improbable
from atrous.crf.lattice_torch import LatticeGaussian
from atrous.crf.mean_field import mean_field
from atrous.crf.normalise import Normalised

if TYPE_CHECKING:
    from atrous.crf.dense_crf import DenseCRF

__all__ = ["solve_batch"]


def solve_batch(
    crf: "DenseCRF",
    images: Tensor,
    probabilities: Tensor,
    features: Tensor,
    compatibility: NDArray[np.float64] | None,
) -> Tensor:
    """Run mean field over lattices of vertices of all images; float32, where the probabilities are.

    Args:
        crf: The parameters.
        images: (B, H, W, C) or (B, H, W) uint8.
        probabilities: (B, K, H, W) floating.
        features: (B, F, H, W) floating, F from 0.
        compatibility: (K, K), None for Potts.

    Returns:
        (B, K, H, W) float32.

    Raises:
        InputError: NaN, infinity, negative values or sums that no softmax gives.
    """
    maps = probabilities.float()
    images = (images if images.ndim == 4 else images[..., None]).to(maps.device)
    features = features.to(maps)
    is_off = ((maps.sum(1) - 1).abs() <= SUM_TOLERANCE).logical_not()  # NaN counts as off
    wrong = is_off.flatten(1).any(1) | (maps < 0).flatten(1).any(1)
    if wrong.any():
        raise improbable(maps[wrong][0].cpu().numpy())
    has_mass = _labels_with_mass(maps, crf.prune)
    labels = has_mass.any(0).nonzero()[:, 0]  # (L,) of any image
    logs = maps[:, labels].clamp(min=CLIP).log().flatten(2).mT  # (B, N, L)
    rows = logs.masked_fill_(~has_mass[:, None, labels], -torch.inf).log_softmax(-1)
    matrix = None
    if compatibility is not None:
        matrix = torch.from_numpy(compatibility).to(rows)[labels][:, labels]
    kernels = [
        (
            Normalised(LatticeGaussian(points), rows[..., :1], crf.normalization, crf.exclude_self),
            weight,
        )
        for weight, points in _points(crf, images, features)
    ]
    log_q = mean_field(
        rows,
        kernels,
        matrix,
        iterations=crf.iterations,
        damping=crf.damping,
        tolerance=crf.tolerance,
    )
    q = torch.zeros_like(maps)
    q[:, labels] = log_q.exp().mT.reshape(len(maps), -1, *maps.shape[2:])
    return q


def _labels_with_mass(maps: Tensor, prune: float) -> Tensor:
    """Return (B, K) which labels of which image stay; see `solve.labels_with_mass`."""
    highest = maps.amax(dim=(2, 3))
    bound = (highest.amax(1, keepdim=True) / 2).clamp(max=prune)
    return highest > bound if prune else torch.ones_like(highest, dtype=torch.bool)


def _points(crf: "DenseCRF", images: Tensor, features: Tensor) -> list[tuple[float, Tensor]]:
    """Return weight and points (B, N, d) of every kernel that counts."""
    batch, height, width, _ = images.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device),
        torch.arange(width, device=images.device),
        indexing="ij",
    )
    places = torch.stack([x, y], dim=2).flatten(0, 1).float().expand(batch, -1, -1)
    found = []
    if crf.appearance and crf.appearance.weight:
        colours = images.flatten(1, 2).float() / crf.appearance.rgb_std
        stds = torch.tensor(crf.appearance.feature_stds, device=images.device)
        others = features - features.amin(dim=(2, 3), keepdim=True) if len(stds) else features
        columns = [places / crf.appearance.xy_std, colours, others.flatten(2).mT / stds]
        found.append((crf.appearance.weight, torch.cat(columns, dim=2)))
    if crf.smoothness and crf.smoothness.weight:
        found.append((crf.smoothness.weight, places / crf.smoothness.xy_std))
    return found
