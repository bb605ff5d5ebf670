import numpy as np
import pytest
import torch
from torch.nn import functional

from atrous.ops.grids import IMAGE, Grid, blocks_of, positions, upsamplings

VGG = {32: Grid(12.5, 32), 16: Grid(-91.5, 16), 8: Grid(-95.5, 8)}  # image padded by 100


@pytest.mark.parametrize(
    ("grids", "kernels", "offsets"),
    [  # kernels and crops of the release: voc-fcn32s, 16s, 8s, voc-fcn-alexnet
        ([VGG[32], IMAGE], [64], [-19]),
        ([VGG[32], VGG[16], IMAGE], [4, 32], [5, -27]),
        ([VGG[32], VGG[16], VGG[8], IMAGE], [4, 4, 16], [5, 9, -31]),
        ([Grid(13, 32), IMAGE], [63], [-18]),
    ],
)
def test_kernels_and_crops_are_those_of_the_release(
    grids: list[Grid], kernels: list[int], offsets: list[int]
) -> None:
    steps = upsamplings(grids)
    assert [step.kernel for step in steps] == kernels
    assert [step.offset for step in steps] == offsets


@pytest.mark.parametrize(("first", "finer"), [(0.0, 0.0), (6.0, 2.0), (15.5, 1.5), (-16.0, 2.0)])
@pytest.mark.parametrize("repeated", [0, 1])
def test_an_upsampled_ramp_lies_on_the_ramp_of_the_finer_grid(
    first: float, finer: float, repeated: int
) -> None:
    coarse, fine = Grid(first, 32), Grid(finer, 4)
    (step,) = upsamplings([coarse, fine], repeated=repeated)
    raw = [0.0] * (32 * 9)
    for cell in range(-repeated, 20):  # each cell adds a triangle around its own place
        for tap in range(step.kernel):
            index = (cell + repeated) * step.factor + tap
            if index < len(raw):
                weight = 1 - abs(tap - (step.kernel - 1) / 2) / step.factor
                raw[index] += weight * (coarse.first + coarse.stride * cell)
    inner = range(3 * step.factor, 100)
    found = [raw[index] for index in inner]
    # index of the raw map - crop = cell of the finer grid
    expected = [fine.first + fine.stride * (index + step.offset) for index in inner]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("cells", "pixels"), [(5, 40), (65, 513), (1, 7), (9, 1), (30, 11), (6, 6)]
)
def test_positions_are_where_torch_interpolates(
    cells: int, pixels: int, align_corners: bool
) -> None:
    ramp = torch.arange(cells, dtype=torch.float64).view(1, 1, cells)
    expected = functional.interpolate(ramp, pixels, mode="linear", align_corners=align_corners)
    before, weight = positions(cells, pixels, align_corners, np.float64)
    after = np.minimum(before + 1, cells - 1)
    np.testing.assert_allclose(before + weight * (after - before), expected[0, 0], atol=1e-12)
    first, same = blocks_of(cells, pixels, align_corners, np.float64)
    assert [*np.repeat(np.arange(cells), np.diff(first))] == [*before]
    assert np.array_equal(weight, same)
