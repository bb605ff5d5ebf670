import pytest
import torch

from atrous.ops import resize


def test_the_right_size_returns_the_same_tensor():
    x = torch.rand(1, 2, 3, 4)
    assert resize(x, (3, 4)) is x


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_plane_stays_a_plane_between_the_outer_pixel_centres(align_corners):
    rows = torch.arange(4.0).view(1, 1, 4, 1).expand(1, 1, 4, 5)
    resized = resize(rows, (12, 5), align_corners=align_corners)[0, 0, :, 0]
    pixel = torch.arange(12.0)
    place = pixel * 3 / 11 if align_corners else ((pixel + 0.5) / 3 - 0.5).clamp(0, 3)
    torch.testing.assert_close(resized, place)
