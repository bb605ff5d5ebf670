import pytest
import torch
from torch.nn import functional

from atrous.layers import MaxPool


@pytest.mark.parametrize("size", [(7, 8), (1, 5), (12, 3)])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_pixel_is_covered(size: tuple[int, int], kernel: int, stride: int) -> None:
    x = torch.rand(1, 2, *size)
    expected = [-(-side // stride) for side in size]
    assert list(MaxPool(kernel, stride=stride)(x).shape[-2:]) == expected
    for row in range(size[0]):
        for column in range(size[1]):
            spike = torch.zeros(1, 1, *size)
            spike[..., row, column] = 1
            assert MaxPool(kernel, stride=stride)(spike).max() == 1


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("centred", [False, True])
def test_windows_are_those_of_a_slow_loop(dilation: int, centred: bool) -> None:
    x = torch.rand(1, 1, 9, 8)
    found = MaxPool(3, stride=1, dilation=dilation, centred=centred)(x)
    start = -dilation if centred else 0
    for row in range(9):
        for column in range(8):
            taps = [
                x[0, 0, row + start + i * dilation, column + start + j * dilation]
                for i in range(3)
                for j in range(3)
                if 0 <= row + start + i * dilation < 9 and 0 <= column + start + j * dilation < 8
            ]
            assert found[0, 0, row, column] == max(taps)


def test_inside_it_is_torchs() -> None:
    x = torch.rand(2, 3, 10, 12)
    torch.testing.assert_close(MaxPool(2, stride=2)(x), functional.max_pool2d(x, 2))
    torch.testing.assert_close(
        MaxPool(3, stride=2, centred=True)(x), functional.max_pool2d(x, 3, 2, 1)
    )
    torch.testing.assert_close(
        MaxPool(3, stride=2)(x), functional.max_pool2d(x, 3, 2, ceil_mode=True)
    )
