"""Images of fewer bits than the network was trained on are told; ordinary figures are no cause."""

import cv2
import numpy as np
import pytest

from atrous.data.depth import FULL
from atrous.inference.run import run_batch
from atrous.inference.sources import find_sources
from atrous.inference.white import white_doubt
from atrous.ops import Normalization

TWELVE = 4095 / FULL
PLAIN = [
    Normalization.imagenet(),
    Normalization.for_channels(1),
    Normalization((0.0,), (1.0,)),
    Normalization((0.0,), (1 / 255,)),  # in bytes, as Caffe had it
    Normalization((0.485, 0.458, 0.408), (1 / 255,) * 3),
    Normalization((0.5,) * 3, (0.5,) * 3),
    Normalization((0.17,), (0.19,)),  # dark scans
]


@pytest.mark.parametrize("plain", PLAIN)
def test_plain_figures_go_with_the_full_range_and_with_nothing_else(plain):
    assert white_doubt(plain, 1.0) == ""
    assert "only values up to 4,095 of 65,535" in white_doubt(plain, TWELVE)


def test_a_network_of_12_bits_wants_12_bits():
    twelve = Normalization.imagenet().with_white_at(TWELVE)

    assert white_doubt(twelve, TWELVE) == ""
    assert "about a 16th of the range" in white_doubt(twelve, 1.0)
    assert white_doubt(twelve, 16383 / FULL) != ""


def test_14_bits_are_told_from_16():
    assert white_doubt(Normalization.imagenet(), 16383 / FULL) != ""
    assert white_doubt(Normalization.imagenet().with_white_at(16383 / FULL), 1.0) != ""


@pytest.mark.parametrize(("scale", "doubted"), [(16, True), (257, False)])
def test_a_batch_tells_by_its_images(predictor, photo, tmp_path, scale, doubted):
    (tmp_path / "deep").mkdir()
    cv2.imwrite(str(tmp_path / "deep/a.png"), photo.astype(np.uint16) * scale)

    result = run_batch(predictor, find_sources([str(tmp_path / "deep")]), tmp_path / "out")

    assert len(result.written) == 1
    assert bool(result.doubt) == doubted
