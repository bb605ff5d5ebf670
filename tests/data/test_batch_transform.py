"""The batch on a device shows what the CPU's path shows, but for rounding."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from atrous.data import JointTransform, make_scene
from atrous.data.batch_transform import places, transform_batch, warp_images, warp_label_maps
from atrous.data.transforms import Draw


def planes(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def drawn(crop: tuple[int, int], angle: float, zoom: float, mirror: float, x: float) -> Draw:
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    matrix = np.array([[mirror * cos, sin, x], [-mirror * sin, cos, 3.3 - x]])
    return Draw(crop, matrix, (1.0, 1.0, 1.0, 0.0), None, False)


ALL_DRAWS = [
    drawn((19, 23), *how)
    for how in itertools.product((0.0, 0.4), (0.6, 1.0, 1.7), (1.0, -1.0), (-5.2, 4.0, 18.1))
]


def test_images_are_interpolated_as_scipy_does_in_float64() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (17, 29, 4))
    fill = [7.0, 100.0, 200.0, 31.0]
    where = places(ALL_DRAWS, torch.device("cpu"))
    images = planes(image).float().expand(len(ALL_DRAWS), -1, -1, -1)
    found = warp_images(images, where, fill).numpy()
    for number, one in enumerate(ALL_DRAWS):
        rows, columns = np.mgrid[:19, :23]
        x, y = np.einsum("ij,jhw->ihw", one.matrix, [columns, rows, np.ones_like(rows)])
        for channel, outside in enumerate(fill):
            expected = ndimage.map_coordinates(
                image[..., channel], [y, x], order=1, mode="grid-constant", cval=outside
            )
            np.testing.assert_allclose(found[number, channel], expected, atol=5e-3)


def test_labels_are_those_of_the_nearest_pixel() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 20, (17, 29), dtype=np.uint8)
    where = places(ALL_DRAWS, torch.device("cpu"))
    stack = torch.from_numpy(labels).expand(len(ALL_DRAWS), -1, -1)
    found = warp_label_maps(stack, where, 255)
    assert found.dtype == torch.uint8
    for number, one in enumerate(ALL_DRAWS):
        for row, column in np.ndindex(19, 23):
            x, y = (math.floor(v + 0.5) for v in one.matrix @ [column, row, 1])
            inside = 0 <= y < 17 and 0 <= x < 29
            assert found[number, row, column] == (labels[y, x] if inside else 255)


def test_an_image_one_pixel_wide_keeps_its_pixel() -> None:
    for shape in ((1, 1, 1), (5, 1, 1), (1, 4, 1)):
        image = np.full(shape, 90.0)
        one = Draw(
            (shape[0] + 2, shape[1] + 2), np.array([[1.0, 0, -1], [0, 1.0, -1]]), (), None, 0
        )
        seen = warp_images(planes(image).float()[None], places([one], torch.device("cpu")), [8.0])
        assert (seen[0, 0, 1:-1, 1:-1] == 90).all()
        assert (seen[0, 0, 0] == 8).all()


SETTINGS = {
    "default": {},
    "shrink": {"scale_range": (0.25, 0.7), "rotation": 30.0},
    "enlarge": {"scale_range": (1.2, 2.0), "hue": 0.2},
    "blur": {"blur": 0.5, "flip": 1.0},
    "elastic": {"elastic": 6.0},
    "plain": {"scale_range": (1.0, 1.0), "rotation": 0.0, "brightness": 0.0, "contrast": 0.0,
              "saturation": 0.0},
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["rgb", "grey", "five", "deep"])
def test_the_batch_is_what_opencv_makes_of_the_same_draws(name: str, kind: str) -> None:
    transform = JointTransform((80, 96), **SETTINGS[name])
    scenes = [make_scene(np.random.default_rng(n), (90, 120)) for n in range(2)]
    scenes += [make_scene(np.random.default_rng(9), (70, 64))]
    pairs = []
    for image, labels in scenes * 3:
        seen = {"grey": image[..., :1], "five": image[..., [0, 1, 2, 0, 1]]}.get(kind, image)
        deep = seen.astype(np.uint16) * 257
        pairs.append((np.ascontiguousarray(deep if kind == "deep" else seen), labels))
    draws = [
        transform.draw(np.random.default_rng((5, n)), labels.shape)
        for n, (_, labels) in enumerate(pairs)
    ]
    images = [
        planes(image.astype(np.float32) / 65535 if kind == "deep" else image) for image, _ in pairs
    ]
    found, found_labels = transform_batch(
        transform, draws, images, [torch.from_numpy(labels) for _, labels in pairs]
    )
    assert found.dtype == (torch.float32 if kind == "deep" else torch.uint8)
    white = 1 / 255 if kind == "deep" else 1.0
    errors, wrong = [], []
    for number, (image, labels) in enumerate(pairs):
        expected, expected_labels = transform(image, labels, np.random.default_rng((5, number)))
        levels = expected.astype(float) / (257 if kind == "deep" else 1)
        errors.append(np.abs(found[number].numpy().transpose(1, 2, 0) / white - levels))
        wrong.append(found_labels[number].numpy() != expected_labels)
    error = np.stack(errors)
    if name == "plain":
        assert error.max() == 0 or kind == "deep"
        assert not np.stack(wrong).any()
    assert error.mean() < 0.5  # of 255 grey levels
    assert np.quantile(error, 0.99) <= 4
    assert np.mean(wrong) < 0.005
