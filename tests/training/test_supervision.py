"""Labels at the size of the scores: the release's slices, and a slow search for the nearest."""

import numpy as np
import pytest
import torch

from atrous.training.supervision import labels_at


@pytest.mark.parametrize(("crop", "stride"), [(321, 8), (321, 16), (513, 8), (33, 4)])
def test_on_aligned_corners_these_are_the_releases_slices(crop: int, stride: int) -> None:
    labels = torch.randint(0, 256, (2, crop, crop), dtype=torch.uint8)
    cells = (crop - 1) // stride + 1
    found = labels_at(labels, (cells, cells), align_corners=True)
    assert torch.equal(found, labels[:, ::stride, ::stride])


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("length", "cells"), [(20, 5), (17, 5), (23, 4), (9, 9), (9, 1)])
def test_each_cell_takes_the_label_nearest_to_its_centre(
    length: int, cells: int, align_corners: bool
) -> None:
    labels = torch.arange(length).view(1, 1, length)
    found = labels_at(labels, (1, cells), align_corners=align_corners)[0, 0].numpy()
    for cell, place in enumerate(found):
        if align_corners and cells > 1:
            centre = cell * (length - 1) / (cells - 1)
        else:
            centre = (cell + 0.5) * length / cells - 0.5
        distances = np.abs(np.arange(length) - centre)
        assert distances[place] == pytest.approx(distances.min()), (cell, centre, place)
