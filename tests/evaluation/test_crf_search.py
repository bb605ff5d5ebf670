"""The search on made images, where it is known what a CRF can mend."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from atrous.crf import DenseCRF
from atrous.crf.search import COARSE_POINTS, MOST_POINTS, crf_at
from atrous.data import open_data
from atrous.errors import InputError
from atrous.evaluation import crf_cases, crf_search, evaluate
from atrous.evaluation.crf_search import CRFSearch, Gain, search_crf
from atrous.inference import Predictor
from atrous.inference.crf_settings import crf_from_json
from atrous.labels import LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization


class ByColour(SegmentationModel):
    """Knows the class from the colour: black, red, green; coarse, it sees means of 8x8 pixels."""

    def __init__(self, coarse: bool) -> None:
        super().__init__()
        self.label_set = LabelSet.numbered(3)
        self.normalization = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.coarse = coarse

    def score(self, images: Tensor) -> Scores:
        red, green = images[:, :1], images[:, 1:2]
        scores = 6 * torch.cat([1 - red - green, red, green], 1)
        if self.coarse:
            scores = functional.avg_pool2d(scores, 8)
        return Scores(scores)


def write_disc(root, index, radius, centre):
    """Write an image of a red disc on black with its mask."""
    y, x = np.mgrid[:40, :56]
    labels = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2).astype(np.uint8)
    labels[30:, 40:] = 2
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    for kind, pixels in (("images", colours[labels]), ("masks", labels)):
        path = root / "val" / kind / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Open five images of what a coarse network cannot draw."""
    root = tmp_path_factory.mktemp("discs")
    for index, radius in enumerate((9, 11, 13, 10, 12)):
        write_disc(root, index, radius, (20 + index, 18 - index))
    (root / "data.yaml").write_text("path: .\nval: val\nnames: [class_0, class_1, class_2]\n")
    return open_data(root)


@pytest.fixture(scope="module")
def coarse():
    return Predictor(ByColour(coarse=True), device="cpu")


def test_a_network_that_is_coarse_is_helped(coarse, spec, monkeypatch):
    monkeypatch.setattr(crf_search, "FEWEST", 5)
    calls = []
    before = torch.get_num_threads()

    found = search_crf(coarse, spec, progress=lambda done, total: calls.append((done, total)))

    assert found.helps
    assert found.images == 5
    assert found.mean_iou.before == pytest.approx(evaluate(coarse, spec).mean_iou, abs=1e-6)
    assert found.mean_iou.after > found.mean_iou.before + 0.02
    assert found.boundary_f1.after > found.boundary_f1.before
    low, high = found.mean_iou.interval
    assert 0 < low < found.mean_iou.after - found.mean_iou.before < high
    assert COARSE_POINTS < len(found.points) <= MOST_POINTS
    assert calls[0] == (0, 5 * (MOST_POINTS + 2))
    assert calls[-1][0] == calls[-1][1] == calls[0][1]
    assert torch.get_num_threads() == before
    best = max(found.points, key=found.points.get)
    assert found.crf.appearance == crf_at(DenseCRF(), best).appearance
    for point in [(3, 30, 3), (10, 100, 5.5)]:  # as evaluation scores them; unaries are float16
        scored = evaluate(Predictor(coarse.model, crf=crf_at(DenseCRF(), point)), spec)
        assert found.points[point] == pytest.approx(scored.mean_iou, abs=0.003)


def test_a_network_without_fault_is_not_helped_and_told_so(spec, monkeypatch):
    monkeypatch.setattr(crf_search, "FEWEST", 5)
    found = search_crf(Predictor(ByColour(coarse=False), device="cpu"), spec)

    assert found.mean_iou.before == 1
    assert not found.helps
    content = found.to_json()
    assert content["helps"] is False
    assert crf_from_json(content["parameters"]).appearance == found.crf.appearance


def test_each_half_is_scored_with_what_is_best_on_the_other(monkeypatch):
    """Of two points each suits one half; what is reported is what each does to the other half."""
    a, b = (3.0, 30.0, 3.0), (9.0, 90.0, 9.0)
    good, bad = np.array([[9, 9], [10, 10], [10, 10]]), np.array([[2, 2], [10, 10], [10, 10]])
    plain = np.array([[5, 5], [10, 10], [10, 10]])

    class Table(crf_search._Table):
        def _judge(self, case, crf):
            return plain, 0.5, crf.appearance.weight / 10

    with crf_search._workers(crf_search._Steps(1, None)) as pool:
        table = Table([None] * 4, 2, DenseCRF(), pool, crf_search._Steps(1, None))
        table.counts = {a: np.stack([good, bad] * 2), b: np.stack([bad, good] * 2)}
        found = table.conclude({a: 0.4, b: 0.3})

    assert found.crf.appearance.weight == 3  # the best on all
    assert found.mean_iou.before == pytest.approx(5 / 15)
    assert found.mean_iou.after == pytest.approx(2 / 18)  # even images with b, odd ones with a
    assert found.boundary_f1.after == pytest.approx((0.9 + 0.3) / 2)
    assert found.mean_iou.interval[1] < 0
    assert not found.helps


def test_one_image_gives_parameters_but_no_advice_for_them(coarse, spec):
    found = search_crf(coarse, spec, images=1)

    assert found.images == 1
    assert np.isnan(found.mean_iou.interval).all()
    assert found.to_json()["mean_iou"]["interval_95"] == [None, None]
    assert not found.helps


def test_of_a_large_image_the_middle_is_taken(coarse, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(crf_cases, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(crf_cases, "TILE", 24)
    pair = spec.splits["val"][0]  # 40x56

    image, labels, maps = crf_cases.make_case(coarse, spec, pair, tmp_path / "0.npz").read()

    np.testing.assert_array_equal(image, spec.read_image(pair)[8:32, 16:40])
    np.testing.assert_array_equal(labels, spec.read_labels(pair)[8:32, 16:40])
    assert maps.shape == (3, 24, 24)


def test_a_full_disk_says_what_to_do(coarse, spec, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(crf_cases.np, "savez", full)
    with pytest.raises(InputError, match=r"is full after 0 images; search on fewer .*TMPDIR"):
        search_crf(coarse, spec)


def test_ctrl_c_ends_the_threads(coarse, spec):
    def stop(done, total):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_crf(coarse, spec, progress=stop)


def test_a_result_is_plain_json():
    gain = Gain(0.5, 0.6, (0.05, 0.15))
    found = CRFSearch(DenseCRF(), {(3, 30, 3): 0.6}, gain, gain, 27)

    assert found.to_json()["mean_iou"] == {"before": 0.5, "after": 0.6, "interval_95": [0.05, 0.15]}
    assert found.to_json()["images"] == 27


def test_masks_of_0_and_255_are_refused_as_evaluate_refuses_them(coarse, tmp_path):
    write_disc(tmp_path, 0, 9, (20, 18))
    mask = tmp_path / "val" / "masks" / "0.png"
    Image.fromarray(np.where(np.asarray(Image.open(mask)) > 0, 255, 0).astype(np.uint8)).save(mask)

    with pytest.raises(InputError, match=r"masks of 0 and 255, .* the model has 3"):
        search_crf(coarse, open_data(tmp_path))


def test_images_nearly_black_to_the_model_are_told(spec, caplog):
    twelve_bits = dataclasses.replace(spec, white=4095 / 65535)

    search_crf(Predictor(ByColour(coarse=True)), twelve_bits, images=1)

    assert "nearly black to a model trained on the full range" in caplog.text
