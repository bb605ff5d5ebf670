"""The CRF behind `--crf`: which one it is, how it is stamped, and what it sees of a large image."""

import dataclasses
import json
import logging
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.crf import PUBLISHED, Appearance, DenseCRF
from atrous.data import make_scene
from atrous.errors import InputError
from atrous.inference import Predictor, predictor
from atrous.inference.config import CRFChoice
from atrous.inference.crf_settings import crf_from_json, crf_to_json, open_crf, stamp
from atrous.labels import LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization

RICH = DenseCRF(
    Appearance(2.5, 40, 7, (1.5, 2.0)),
    None,
    compatibility=np.array([[0, 1.5], [1, 0]]),
    normalization="symmetric",
    iterations=3,
    damping=0.25,
    prune=0.01,
)


def test_the_choices_are_the_published_sets_and_the_stored_one():
    assert set(get_args(CRFChoice)) == {"stored", *PUBLISHED}


@pytest.mark.parametrize("crf", [DenseCRF(), RICH, DenseCRF.published("pydensecrf")])
def test_parameters_survive_a_file(crf):
    content = json.loads(json.dumps(crf_to_json(crf)))
    again = crf_from_json(content)

    assert crf_to_json(again) == content
    for field in dataclasses.fields(DenseCRF):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(crf, field.name))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"iterations": -1}, "iterations is -1; give 0 or more"),
        ({"strength": 3}, "miss or do not know strength; search again"),
        ({"appearance": {"weight": 3}}, "are damaged .*feature_stds.*search again"),
        ({"appearance": 7}, "are damaged .*search again"),
        ({"smoothness": {"weight": "3", "xy_std": 1}}, "are damaged .*search again"),
    ],
)
def test_parameters_that_somebody_edited_get_one_line(change, told):
    with pytest.raises(InputError, match=told):
        crf_from_json({**crf_to_json(DenseCRF()), **change})


def test_a_name_and_what_the_model_holds(model, caplog):
    with pytest.raises(InputError, match=r"holds no CRF parameters.*crf-search.*--crf deeplab,"):
        open_crf("stored", model)

    model.crf = {"parameters": crf_to_json(DenseCRF(iterations=4)), "helps": True}
    assert open_crf("stored", model).iterations == 4
    assert open_crf("pydensecrf", model).appearance == PUBLISHED["pydensecrf"].appearance
    assert not caplog.records

    model.crf = {**model.crf, "helps": False}
    with caplog.at_level(logging.WARNING):
        open_crf("stored", model)
    assert "advises not to use them" in caplog.text


def test_the_stamp_tells_one_crf_from_another(model):
    def blur(_image, probabilities):
        return probabilities

    stamps = [
        Predictor(model, crf=crf, device="cpu").fingerprint()["crf"]
        for crf in (None, blur, DenseCRF(), DenseCRF(iterations=5))
    ]

    assert stamps[:2] == [None, "blur"]
    assert stamps[2]["appearance"]["xy_std"] == 50
    assert stamps[2] != stamps[3]
    assert json.loads(json.dumps(stamps)) == stamps
    assert stamp(RICH)["compatibility"] == [[0, 1.5], [1, 0]]


@pytest.fixture(scope="module")
def street():
    return atrous.load("street-scenes"), make_scene(5, (320, 416))[0]


def test_windows_of_the_network_do_not_cut_the_crf(street):
    model, scene = street
    seen = []

    def look(image, probabilities):
        seen.append(image.shape[:2])
        return probabilities

    Predictor(model, tile=192, crf=look, device="cpu")(scene)

    assert seen == [(320, 416)]


@pytest.mark.parametrize("wants_probabilities", [False, True])
def test_beyond_the_limit_the_crf_sees_windows(street, monkeypatch, wants_probabilities):
    monkeypatch.setattr(predictor, "WHOLE_PIXELS", 1000)
    model, scene = street
    seen = []

    def look(image, probabilities):
        seen.append(image.shape[:2])
        return probabilities

    tiled = Predictor(model, tile=192, crf=look, device="cpu")
    tiled(scene, probabilities=wants_probabilities)
    Predictor(model, tile=0, crf=look, device="cpu")(scene)

    *windows, whole = seen
    assert len(windows) == 6
    assert max(max(size) for size in windows) <= 192
    assert whole == (320, 416)  # asked for


class ByColour(SegmentationModel):
    """Scores each pixel by its own colour, so that only the CRF can know where a window ends."""

    def __init__(self) -> None:
        super().__init__()
        self.label_set = LabelSet.numbered(4)
        self.normalization = Normalization.for_channels(3)
        torch.manual_seed(3)
        self.head = nn.Conv2d(3, 4, kernel_size=1)

    def score(self, images: Tensor) -> Scores:
        return Scores(4 * self.head(images))


def test_windows_leave_no_seam(street, monkeypatch):
    scene = street[1]
    crf = DenseCRF(Appearance(5, 12.5, 3))  # to the band of 32 px here as 50 to that of 128
    tiled = Predictor(ByColour(), tile=192, crf=crf, device="cpu")
    expected = tiled(scene)
    plain = Predictor(ByColour(), device="cpu")(scene)
    monkeypatch.setattr(predictor, "WHOLE_PIXELS", 1000)

    found = tiled(scene, probabilities=True)

    np.testing.assert_array_equal(found.labels, tiled(scene).labels)
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-4)
    change = (plain.labels != expected.labels).mean()
    assert change > 0.02
    assert (found.labels != expected.labels).mean() < 0.05 * change
    # a seam would be a line of cuts where a window ends, which the whole image has not
    for axis, ends in ((0, (159, 191)), (1, (127, 159, 255, 287))):
        cuts, before = (
            (np.diff(labels.astype(int), axis=axis) != 0).mean(1 - axis)
            for labels in (found.labels, expected.labels)
        )
        assert max(cuts[end] - before[end] for end in ends) < 0.01
