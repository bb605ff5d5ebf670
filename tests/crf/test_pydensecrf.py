"""Against pydensecrf, the implementation that people use, on real photographs with 21 labels."""

import dataclasses

import numpy as np
import pytest

from atrous import DenseCRF
from atrous.crf import Appearance, Smoothness
from atrous.crf.lattice import lattice_gain

from .conftest import MODES, by_peer, smooth_probabilities


@pytest.mark.shared
@pytest.mark.parametrize("stds", [(80, 13), (121, 5)])
def test_labels_of_ten_photos_with_symmetric_normalisation(peer, photos, stds):
    crf = DenseCRF(Appearance(10, *stds), Smoothness(3, 3), normalization="symmetric")
    for seed, image in enumerate(photos):
        unary = smooth_probabilities(21, *image.shape[:2], seed, contrast=3)
        ours, theirs = crf(image, unary), by_peer(peer, crf, image, unary)
        assert (ours.argmax(0) == theirs.argmax(0)).mean() >= 0.999
        assert np.abs(ours - theirs).mean() < 1e-5
        assert (theirs.argmax(0) != unary.argmax(0)).mean() > 0.05  # there was work to do


@pytest.mark.shared
@pytest.mark.parametrize("mode", MODES)
def test_every_normalisation(peer, photos, mode):
    """Without normalisation ours is brought to the scale of exact sums, the peer's is not."""
    image = np.ascontiguousarray(photos[0][:96, :120])
    unary = smooth_probabilities(4, 96, 120)
    weights, scales = (5, 3), (1, 1)
    if mode == "none":
        weights = 0.01, 0.03
        scales = [lattice_gain(d) * (1 + 2.0**-d) for d in (5, 2)]
    appearance, smoothness = Appearance(weights[0], 40, 13), Smoothness(weights[1], 3)
    crf = DenseCRF(appearance, smoothness, normalization=mode)
    scaled = dataclasses.replace(
        crf,
        appearance=dataclasses.replace(appearance, weight=weights[0] * scales[0]),
        smoothness=dataclasses.replace(smoothness, weight=weights[1] * scales[1]),
    )

    np.testing.assert_allclose(crf(image, unary), by_peer(peer, scaled, image, unary), atol=2e-4)
