"""From checked inputs to marginals, by whichever form of mean field a `DenseCRF` asks for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from atrous.crf.gaussian import ExactGaussian, appearance_features, smoothness_features
from atrous.crf.inputs import improbable, normalise_probabilities
from atrous.crf.mean_field import mean_field
from atrous.crf.normalise import Normalised
from atrous.crf.parameters import Appearance, Smoothness
from atrous.crf.threads import Team, team_for

if TYPE_CHECKING:
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.lattice import Lattice

__all__ = ["Scene", "labels_with_mass", "solve_compiled", "solve_exactly"]


@dataclass(frozen=True)
class Scene:
    """One image and what a network says about it, shapes checked."""

    image: NDArray[np.uint8]
    """(H, W, C)."""
    maps: NDArray[np.floating]
    """(K, H, W)."""
    features: NDArray[np.float32]
    """(F, H, W), F from 0."""
    compatibility: NDArray[np.float64] | None
    """(K, K), None for Potts."""

    def of(self, labels: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the compatibility of some labels."""
        matrix = self.compatibility
        return None if matrix is None else np.ascontiguousarray(matrix[np.ix_(labels, labels)])


def labels_with_mass(maps: NDArray[np.floating], prune: float) -> NDArray[np.int64]:
    """Return the labels that some pixel gives more than `prune`; 0 keeps all.

    Raises:
        InputError: NaN, nothing but zeros, or negative values in what is left out.
    """
    if not prune:
        return np.arange(len(maps))
    highest = maps.max(axis=(1, 2))
    has_mass = highest > min(prune, highest.max() / 2)
    if (
        not has_mass.any()
        or np.isnan(highest).any()
        or any(maps[k].min() < 0 for k in np.flatnonzero(~has_mass))
    ):
        raise improbable(maps)
    labels: NDArray[np.int64] = np.flatnonzero(has_mass)
    return labels


def solve_exactly(crf: "DenseCRF", scene: Scene) -> NDArray[np.float64]:
    """Run mean field over exact filters in float64; returns (K, H, W)."""
    labels = labels_with_mass(scene.maps, crf.prune)
    maps = normalise_probabilities(scene.maps)[labels]
    maps /= maps.sum(0)
    rows = torch.from_numpy(maps.reshape(len(maps), -1).T.copy())[None]  # (1, N, K)
    kernels = []
    for kernel in _kernels(crf):
        if isinstance(kernel, Smoothness):
            points = smoothness_features(scene.image.shape[:2], kernel)
        else:
            points = appearance_features(scene.image, kernel, scene.features)
        gaussian = ExactGaussian(torch.from_numpy(points)[None])
        one, forms = rows[..., :1], (crf.normalization, crf.exclude_self)
        kernels.append((Normalised(gaussian, one, *forms), kernel.weight))
    matrix = scene.of(labels)
    log_q = mean_field(
        rows.log(),
        kernels,
        None if matrix is None else torch.from_numpy(matrix),
        iterations=crf.iterations,
        damping=crf.damping,
        tolerance=crf.tolerance,
    )
    q = np.zeros(scene.maps.shape)
    q[labels] = log_q[0].exp().T.reshape(maps.shape).numpy()
    return q


def solve_compiled(crf: "DenseCRF", scene: Scene) -> NDArray[np.float32]:
    """Run mean field over permutohedral lattices in float32; returns (K, H, W)."""
    from atrous.crf import engine  # numba takes a second to load

    labels = labels_with_mass(scene.maps, crf.prune)
    height, width, _ = scene.image.shape
    with team_for(height * width) as team:
        left_out = crf.prune * (len(scene.maps) - len(labels))
        rows = engine.make_rows(scene.maps, labels, team, left_out)
        if crf.iterations:
            rows = _infer(crf, scene, labels, rows, team)  # the lattices go before the maps come
        make = np.zeros if len(labels) < len(scene.maps) else np.empty
        q: NDArray[np.float32] = make(scene.maps.shape, np.float32)
        engine.write_maps(rows, labels, q, team)
    return q


def _infer(
    crf: "DenseCRF",
    scene: Scene,
    labels: NDArray[np.int64],
    rows: NDArray[np.float32],
    team: Team,
) -> NDArray[np.float32]:
    """Build the lattices and return the marginals in rows; the unary's rows are overwritten."""
    from atrous.crf import engine

    given = [(kernel, _lattice(kernel, scene, team)) for kernel in _kernels(crf)]
    forms = crf.normalization, crf.exclude_self
    return engine.infer(
        rows,
        [
            engine.make_kernel(lattice, kernel.weight, len(labels), *forms, team)
            for kernel, lattice in given
        ],
        scene.of(labels),
        num_labels=len(labels),
        iterations=crf.iterations,
        damping=crf.damping,
        tolerance=crf.tolerance,
        team=team,
    )


def _kernels(crf: "DenseCRF") -> list[Appearance | Smoothness]:
    """Return the kernels that send anything."""
    return [kernel for kernel in (crf.appearance, crf.smoothness) if kernel and kernel.weight]


def _lattice(kernel: Appearance | Smoothness, scene: Scene, team: Team) -> "Lattice":
    from atrous.crf.lattice import build_lattice

    stds = [kernel.xy_std] * 2
    if isinstance(kernel, Smoothness):
        blank, nothing = scene.image[..., :0], scene.features[:0]
        return build_lattice(blank, nothing, np.array(stds, np.float32), team)
    stds += [*[kernel.rgb_std] * scene.image.shape[2], *kernel.feature_stds]
    return build_lattice(scene.image, scene.features, np.array(stds, np.float32), team)
