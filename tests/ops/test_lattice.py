import pytest
import torch
from torch.nn import functional

from atrous.ops import pad_to_lattice, trim


@pytest.mark.parametrize(
    ("size", "stride", "remainder", "padded"),
    [
        ((321, 513), 8, 1, (321, 513)),
        ((500, 375), 8, 1, (505, 377)),
        ((306, 307), 8, 2, (306, 314)),
        ((1, 2), 8, 1, (1, 9)),
        ((33, 34), 32, 1, (33, 65)),
    ],
)
def test_images_grow_to_the_next_size_that_fits(size, stride, remainder, padded) -> None:
    images = torch.ones(1, 2, *size)
    found = pad_to_lattice(images, stride, remainder)
    assert found.shape[-2:] == padded
    assert torch.equal(found[..., : size[0], : size[1]], images)
    assert found.sum() == images.sum()  # the rest is zero


def test_a_map_of_an_image_that_fits_returns_as_it_came() -> None:
    x = torch.rand(1, 2, 5, 6)
    assert trim(x, (33, 41), (33, 41)) is x


def test_a_plane_over_the_padded_image_stays_on_its_pixels() -> None:
    rows, columns = 8.0 * torch.arange(6)[:, None], 8.0 * torch.arange(4)
    plane = (3 * rows + columns)[None, None]  # each cell: where it lies
    size = (36, 21)
    trimmed = trim(plane, (41, 25), size)
    assert trimmed.shape == plane.shape
    upsampled = functional.interpolate(trimmed, size, mode="bilinear", align_corners=True)[0, 0]
    expected = 3.0 * torch.arange(36)[:, None] + torch.arange(21)
    torch.testing.assert_close(upsampled, expected)


def test_every_cell_is_the_bilinear_value_at_its_place() -> None:
    x = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    found = trim(x, (33, 49), (29, 44))
    for i in range(5):
        for j in range(7):
            row, column = i * 28 / 32, j * 43 / 48
            top, left = min(int(row), 3), min(int(column), 5)
            down, right = row - top, column - left
            upper = (1 - right) * x[..., top, left] + right * x[..., top, left + 1]
            lower = (1 - right) * x[..., top + 1, left] + right * x[..., top + 1, left + 1]
            torch.testing.assert_close(found[..., i, j], (1 - down) * upper + down * lower)


def test_bfloat16_knows_cells_beyond_256() -> None:
    x = torch.zeros(1, 1, 1, 400, dtype=torch.bfloat16)
    x[..., 300] = 1.0
    found = trim(x, (1, 3193), (1, 3192))
    assert found.dtype == torch.bfloat16
    assert found.argmax() == 300
