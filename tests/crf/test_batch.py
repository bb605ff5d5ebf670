"""A batch in torch, what a GPU runs, against the compiled form, image by image.

The two round differently, which may add or lose a vertex of the lattice whose weight is next to 0:
most marginals agree to 1e-5, and all but half a per cent of them to 1e-4.
"""

import dataclasses

import numpy as np
import pytest
import torch

from atrous import DenseCRF
from atrous.crf import Appearance, Smoothness
from atrous.crf.batch import solve_batch

from .conftest import made_image, smooth_probabilities

SIZE = 40, 70
CRF = DenseCRF(Appearance(4, 20, 15), Smoothness(3, 3))
FORMS = {
    "everyday": {},
    "symmetric": {"normalization": "symmetric"},
    "constant": {"normalization": "constant"},
    "exclude_self": {"exclude_self": True},
    "damping": {"damping": 0.4},
    "tolerance": {"tolerance": 0.02},
    "prune": {"prune": 0.01},
    "matrix": {"compatibility": np.random.default_rng(1).random((5, 5))},
    "features": {"appearance": Appearance(4, 20, 15, feature_stds=(0.3, 2))},
    "all at once": {"exclude_self": True, "damping": 0.2, "tolerance": 0.02, "prune": 0.01},
}


def batch(crf, device="cpu"):
    """Return three images of different sureness, with different labels that hardly occur."""
    images = np.stack([made_image(*SIZE, seed) for seed in range(3)])
    maps = [
        smooth_probabilities(5, *SIZE, seed, contrast=contrast)
        for seed, contrast in enumerate((1, 4, 8))
    ]
    for number, each in enumerate(maps[:2]):
        each[number + 2] = 0
        each[number + 2] = 1e-3 * each.sum(0)
        each /= each.sum(0)
    count = len(crf.appearance.feature_stds)
    features = [made_image(*SIZE, 9 + i, channels=count or 1) / 128 - 1 for i in range(3)]
    features = np.stack(features).astype(np.float32).transpose(0, 3, 1, 2)[:, :count]
    return [torch.from_numpy(each).to(device) for each in (images, np.stack(maps), features)]


def one_by_one(crf, images, maps, features):
    """Return the marginals of the compiled form, (B, K, H, W)."""
    given = zip(*(each.cpu().numpy() for each in (images, maps, features)), strict=True)
    return np.stack([crf(*two, features=extra if len(extra) else None) for *two, extra in given])


def assert_near(found, expected):
    difference = np.abs(found - expected)
    assert difference.mean() < 1e-5
    assert (difference > 1e-4).mean() < 5e-3


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_its_images_one_by_one(form):
    crf = dataclasses.replace(CRF, **FORMS[form])
    given = batch(crf)

    q = solve_batch(crf, *given, crf._matrix(5)).numpy()

    assert_near(q, one_by_one(crf, *given))


def test_labels_are_left_out_image_by_image():
    crf = dataclasses.replace(CRF, **FORMS["prune"])
    images, maps, features = batch(crf)
    kept = maps.amax((2, 3)) > 0.01

    q = solve_batch(crf, images, maps, features, None)

    assert kept.any(0).all()  # of the whole batch, no label could be left out
    assert kept.sum(1).tolist() == [4, 4, 5]
    assert torch.equal(q.amax((2, 3)) > 0, kept)


def test_an_image_rests_as_soon_as_it_would_alone():
    crf = dataclasses.replace(CRF, iterations=30, tolerance=0.02)
    images, maps, features = batch(crf)
    alone = [solve_batch(crf, *(each[i : i + 1] for each in (images, maps, features)), None)
             for i in range(3)]  # fmt: skip
    endless = dataclasses.replace(crf, tolerance=0)
    further = solve_batch(endless, images, maps, features, None)

    together = solve_batch(crf, images, maps, features, None)

    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    moves = (further - together).abs().amax((1, 2, 3))
    assert moves.max() > 1e-3  # resting made a difference


def test_batches_on_the_cpu_are_the_same():
    crf = dataclasses.replace(CRF, **FORMS["features"])
    images, maps, features = batch(crf)

    q = crf.batch(images, maps, features=features)

    assert q.dtype == maps.dtype
    assert_near(q.numpy(), solve_batch(crf, images, maps, features, None).numpy())


@pytest.mark.gpu
@pytest.mark.parametrize("form", FORMS)
def test_a_batch_on_a_gpu_is_its_images_on_the_cpu(form):
    crf = dataclasses.replace(CRF, **FORMS[form])
    images, maps, features = batch(crf, "cuda")

    q = crf.batch(images, maps, features=features if features.shape[1] else None)

    assert q.device == maps.device
    assert_near(q.cpu().numpy(), one_by_one(crf, images, maps, features))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_one_image_on_a_gpu(dtype):
    images, maps, _ = batch(CRF, "cuda")

    q = CRF(images[0], maps[0].to(dtype))
    labels = CRF.map(images[0], maps[0].to(dtype))

    expected = CRF(images[0].cpu(), maps[0].cpu())
    assert (q.device, q.dtype) == (maps.device, dtype)
    np.testing.assert_allclose(q.double().cpu(), expected, atol=0.03)
    assert (labels == expected.argmax(0).numpy()).mean() > 0.98


@pytest.mark.gpu
def test_21_labels_of_a_large_batch_on_a_gpu():
    """The size that is measured: what 32-bit indices or chunks of memory would break, shows."""
    images = torch.from_numpy(np.stack([made_image(512, 512, seed) for seed in range(4)])).cuda()
    maps = torch.from_numpy(
        np.stack([smooth_probabilities(21, 512, 512, seed, sigma=8) for seed in range(4)])
    ).cuda()
    crf = DenseCRF(Appearance(10, 80, 13), Smoothness(3, 3), normalization="symmetric")

    labels = crf.batch(images, maps).argmax(1).cpu().numpy()

    for image, each, found in zip(images.cpu(), maps.cpu(), labels, strict=True):
        assert (crf.map(image, each) == found).mean() > 0.999
