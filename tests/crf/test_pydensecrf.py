"""Against pydensecrf, the implementation that people use, on real photographs with 21 labels."""

import dataclasses

import numpy as np
import pytest

from atrous import DenseCRF
from atrous.crf import Appearance, Smoothness
from atrous.crf.lattice import lattice_gain

from .conftest import smooth_probabilities

MODES = {
    "symmetric": "NORMALIZE_SYMMETRIC",
    "after": "NORMALIZE_AFTER",
    "before": "NORMALIZE_BEFORE",
    "none": "NO_NORMALIZATION",  # it computes a constant factor and does not apply it
}


def by_peer(peer, crf, image, unary):
    """Run pydensecrf with the parameters of `crf`."""
    height, width = image.shape[:2]
    mode = getattr(peer, MODES[crf.normalization])
    model = peer.DenseCRF2D(width, height, len(unary))
    energy = -np.log(unary.clip(1e-5, 1)).reshape(len(unary), -1)
    model.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
    smoothness, appearance = crf.smoothness, crf.appearance
    model.addPairwiseGaussian(sxy=smoothness.xy_std, compat=smoothness.weight, normalization=mode)
    model.addPairwiseBilateral(
        sxy=appearance.xy_std,
        srgb=appearance.rgb_std,
        rgbim=image,
        compat=appearance.weight,
        normalization=mode,
    )
    return np.array(model.inference(crf.iterations)).reshape(unary.shape)


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


@pytest.mark.shared
def test_crops_are_as_near_the_exact_filter_as_the_peer_s(peer, photos):
    for seed, photo in enumerate(photos):
        top, left = (side // 2 - 32 for side in photo.shape[:2])
        crop = np.ascontiguousarray(photo[top : top + 64, left : left + 64])
        unary = smooth_probabilities(21, 64, 64, seed, contrast=5, sigma=5)
        crf = DenseCRF(Appearance(10, 80, 13), Smoothness(3, 3), normalization="symmetric")
        exact = dataclasses.replace(crf, filter="exact")(crop, unary)
        ours, theirs = crf(crop, unary), by_peer(peer, crf, crop, unary)
        same = (ours.argmax(0) == exact.argmax(0)).mean()
        of_peer = (theirs.argmax(0) == exact.argmax(0)).mean()
        print(f"crop {seed}: labels {same:.4f} (peer {of_peer:.4f}), ", end="")
        print(f"mean |dQ| {np.abs(ours - exact).mean():.2e}")
        assert same >= 0.985
        assert same >= of_peer
