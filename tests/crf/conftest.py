"""Scenes for the tests of the dense CRF: small made images, and crops of real photographs."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PEER = Path(os.environ.get("PYDENSECRF", "pydensecrf"))  # benchmarks/bench_crf.py builds it

MODES = {
    "symmetric": "NORMALIZE_SYMMETRIC",
    "after": "NORMALIZE_AFTER",
    "before": "NORMALIZE_BEFORE",
    "none": "NO_NORMALIZATION",  # it computes a constant factor and does not apply it
}


def smooth_probabilities(num_labels, height, width, seed=0, *, contrast=4.0, sigma=3):
    """Return (K, H, W) float32 probabilities as a network gives them: smooth, mostly sure."""
    noise = np.random.default_rng(seed).standard_normal((height, width, num_labels))
    logits = _blurred(noise, sigma)
    logits = np.exp(logits * contrast / max(logits.std(), 1e-9))  # a single pixel has no spread
    return np.ascontiguousarray((logits / logits.sum(2, keepdims=True)).transpose(2, 0, 1))


def made_image(height, width, seed=0, channels=3):
    """Return an image (H, W, C) of soft colours."""
    noise = np.random.default_rng(seed).standard_normal((height, width, channels))
    colours = _blurred(noise, 2)
    return (128 + 50 * colours / colours.std()).clip(0, 255).astype(np.uint8)


def _blurred(noise, sigma):
    """Blur (H, W, C) float64 noise; OpenCV takes no more than four channels at once."""
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in noise.transpose(2, 0, 1)]
    return np.stack(planes, axis=2).astype(np.float32)


def fitted(path):
    """Return a photograph (H, W, 3), RGB, of at most 500 pixels a side."""
    image = cv2.imread(str(path))[..., ::-1]
    scale = min(1, 500 / max(image.shape))
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


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


@pytest.fixture(scope="session")
def photos(shared):
    """Ten real photographs (H, W, 3), RGB, of at most 500 pixels."""
    folders = ["voc_samples/JPEGImages/*.jpg", "photos/*.png", "camvid/val/images/*.jpg"]
    paths = [path for folder in folders for path in sorted((shared / "data").glob(folder))[:5]]
    images = [fitted(path) for path in paths[:10]]
    assert len(images) == 10
    return images


@pytest.fixture(scope="session")
def peer():
    """The module `pydensecrf.densecrf`, or a skip; it is no dependency."""
    sys.path.insert(0, str(PEER))
    try:
        return pytest.importorskip(
            "pydensecrf.densecrf",
            reason=f"pydensecrf is not in {PEER}: see benchmarks/bench_crf.py",
            exc_type=ImportError,
        )
    finally:
        sys.path.remove(str(PEER))
