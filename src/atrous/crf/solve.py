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
from atrous.crf.threads import Team, team_for

if TYPE_CHECKING:
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.engine import Kernel

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
        InputError: NaN, or negative values in what is left out.
    """
    if not prune:
        return np.arange(len(maps))
    highest = maps.max(axis=(1, 2))
    has_mass = highest > min(prune, highest.max() / 2)
    if np.isnan(highest).any() or any(maps[k].min() < 0 for k in np.flatnonzero(~has_mass)):
        raise improbable(maps)
    labels: NDArray[np.int64] = np.flatnonzero(has_mass)
    return labels


def solve_exactly(crf: "DenseCRF", scene: Scene) -> NDArray[np.float64]:
    """Run mean field over exact filters in float64; returns (K, H, W)."""
    labels = labels_with_mass(scene.maps, crf.prune)
    maps = normalise_probabilities(scene.maps)[labels]
    maps /= maps.sum(0)
    rows = torch.from_numpy(maps.reshape(len(maps), -1).T.copy())[None]  # (1, N, K)
    points = []
    if crf.appearance and crf.appearance.weight:
        found = appearance_features(scene.image, crf.appearance, scene.features)
        points.append((crf.appearance.weight, found))
    if crf.smoothness and crf.smoothness.weight:
        height, width, _ = scene.image.shape
        points.append((crf.smoothness.weight, smoothness_features((height, width), crf.smoothness)))
    kernels = []
    for weight, features in points:
        gaussian = ExactGaussian(torch.from_numpy(features)[None])
        one = rows[..., :1]
        kernels.append((Normalised(gaussian, one, crf.normalization, crf.exclude_self), weight))
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
        matrix = scene.of(labels)
        if crf.iterations:
            rows = engine.infer(
                rows,
                _appearance_kernel(crf, scene, len(labels), team),
                _smoothness_kernel(crf, scene, len(labels), team),
                matrix,
                iterations=crf.iterations,
                damping=crf.damping,
                tolerance=crf.tolerance,
                team=team,
            )
        make = np.zeros if len(labels) < len(scene.maps) else np.empty
        q: NDArray[np.float32] = make(scene.maps.shape, np.float32)
        engine.write_maps(rows, labels, q, team)
    return q


def _appearance_kernel(crf: "DenseCRF", scene: Scene, num_labels: int, team: Team) -> "Kernel":
    from atrous.crf import engine
    from atrous.crf.lattice import build_lattice

    height, width, channels = scene.image.shape
    given = crf.appearance
    if given is None or not given.weight:
        return engine.no_kernel(height * width, num_labels, team)
    stds = [given.xy_std, given.xy_std, *[given.rgb_std] * channels, *given.feature_stds]
    lattice = build_lattice(scene.image, scene.features, np.array(stds, np.float32), team)
    return engine.make_kernel(
        lattice, given.weight, num_labels, crf.normalization, crf.exclude_self, team
    )


def _smoothness_kernel(crf: "DenseCRF", scene: Scene, num_labels: int, team: Team) -> "Kernel":
    from atrous.crf import engine
    from atrous.crf.lattice import build_lattice

    height, width, _ = scene.image.shape
    given = crf.smoothness
    if given is None or not given.weight:
        return engine.no_kernel(height * width, num_labels, team)
    stds = np.array([given.xy_std, given.xy_std], np.float32)
    blank, nothing = scene.image[..., :0], scene.features[:0]
    lattice = build_lattice(blank, nothing, stds, team)
    return engine.make_kernel(
        lattice, given.weight, num_labels, crf.normalization, crf.exclude_self, team
    )
