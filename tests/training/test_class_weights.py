import json
import math
from pathlib import Path

import numpy as np
import pytest

from atrous.data import SplitStatistics, open_data, scan
from atrous.data.file_facts import FileFacts
from atrous.training import Silent, TrainConfig, fit
from atrous.training.class_weights import ClassWeighting, class_weights, weights_notes

# two images of 4x5: the first shows classes 0 and 1, the second 0 and 2; class 3 never occurs
LABELS = [np.zeros((4, 5), int), np.zeros((4, 5), int)]
LABELS[0][0, :] = 1
LABELS[1][0, :2] = 2
LABELS[1][1, :] = 255
SPLIT = SplitStatistics(
    images=2, pixels=(28, 5, 2, 0), void=5, images_with=(2, 1, 1, 0), area_with=(40, 20, 20, 0)
)


def test_median_frequency_by_counting_pixels() -> None:
    frequency = [
        sum((x == k).sum() for x in LABELS) / sum(x.size for x in LABELS if (x == k).any())
        for k in range(3)
    ]
    expected = [float(np.median(frequency)) / f for f in frequency]
    weights = class_weights("median_frequency", SPLIT)
    assert weights is not None
    assert weights[:3] == pytest.approx(expected)


def test_inverse_weights_give_the_average_pixel_one() -> None:
    weights = class_weights("inverse", SPLIT)
    assert weights is not None
    pixels = np.array(SPLIT.pixels)
    assert (pixels * weights).sum() / pixels.sum() == pytest.approx(1.0)
    assert weights[1] / weights[2] == pytest.approx(2 / 5)


def test_enet_weights_lie_between_the_papers_limits() -> None:
    weights = class_weights("enet", SPLIT)
    assert weights is not None
    assert weights[0] == pytest.approx(1 / math.log(1.02 + 28 / 35))
    assert all(1.4 < weight < 50.5 for weight in weights[:3])


@pytest.mark.parametrize("kind", ["median_frequency", "inverse", "enet"])
def test_a_class_that_never_occurs_weighs_one(kind: ClassWeighting) -> None:
    weights = class_weights(kind, SPLIT)
    assert weights is not None
    assert weights[3] == 1.0


def test_none_is_no_weights_at_all() -> None:
    assert class_weights("none", SPLIT) is None
    assert weights_notes("none", None, SPLIT, "abcd") == []


def test_the_plan_names_the_least_and_the_largest_weight_of_the_classes_that_occur() -> None:
    """By hand: 1 / ln(1.02 + 28 / 35) = 1.670, 1 / ln(1.02 + 2 / 35) = 13.467; d never occurs."""
    weights = class_weights("enet", SPLIT)

    assert weights_notes("enet", weights, SPLIT, "abcd") == [
        "Weights  enet: a pixel of a counts least, 1.67, of c most, 13.5"
    ]


def test_the_plan_warns_of_weights_above_a_hundred() -> None:
    """By hand: one pixel of 1000 weighs 1000 / 2, the others 1000 / (2 * 999)."""
    split = SplitStatistics(
        images=1, pixels=(999, 1), void=0, images_with=(1, 1), area_with=(1000, 1000)
    )
    weights = class_weights("inverse", split)

    assert weights_notes("inverse", weights, split, ("wall", "crack")) == [
        "Weights  inverse: a pixel of wall counts least, 0.501, of crack most, 500; a few pixels "
        "may rule whole steps; milder: --class-weights enet, or --sampling class_balanced"
    ]


class Noting(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_shows_its_class_weights_and_keeps_them(
    scenes: Path, tmp_path: Path, tiny: dict[str, object]
) -> None:
    fields = {**tiny, "data": scenes, "out": tmp_path / "run", "iterations": 1}
    told = Noting()
    result = fit(TrainConfig(**fields, class_weights="inverse"), reporter=told)  # type: ignore[arg-type]  # each has its type
    names = open_data(scenes).label_set.names
    weights = class_weights("inverse", open_data(scenes).statistics["train"])
    assert weights is not None

    kept = json.loads((result.folder / "environment.json").read_text())["class_weights"]
    assert kept == dict(zip(names, weights, strict=True))
    assert sum(note.startswith("Weights  inverse: a pixel of ") for note in told.notes) == 1


@pytest.mark.shared
def test_camvid_has_the_median_frequencies_that_its_readme_counts(
    shared: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.yaml"
    names = "[sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist]"
    data.write_text(f"path: {shared / 'data/camvid'}\ntrain: train\nval: val\nnames: {names}\n")
    weights = class_weights("median_frequency", open_data(data).statistics["train"])
    counted = (0.279298, 0.201729, 4.786517, 0.149018, 1.0, 0.421700, 3.846682, 1.973586,
                 0.788940, 6.374724, 8.858733)  # fmt: skip
    assert weights == pytest.approx(counted, rel=1e-5)  # the README's, to six digits


def test_weights_are_counted_once_and_kept(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    counted = class_weights("median_frequency", open_data(scenes).statistics["train"])

    def decode(path: Path, content: bytes) -> FileFacts:
        raise AssertionError(f"{path} has been counted before")

    monkeypatch.setattr(scan, "mask_facts", decode)
    assert class_weights("median_frequency", open_data(scenes).statistics["train"]) == counted
