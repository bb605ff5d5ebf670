import json
from pathlib import Path

import numpy as np
import pytest

from atrous.evaluation import Evaluation, ImageScore
from atrous.labels import LabelSet

LABELS = LabelSet(("road", "car", "dog"))


def evaluation(matrix):
    counts = np.array(matrix)
    return Evaluation(counts, LABELS, (ImageScore.of(Path("a/x.png"), counts),))


def test_the_means_say_over_how_many_classes_they_run():
    result = evaluation([[50, 10, 0], [5, 35, 0], [0, 0, 0]])
    assert result.num_present == 2
    assert result.iou[2] is None
    assert result.class_accuracy[2] is None
    assert result.mean_iou == pytest.approx(0.73462, abs=5e-6)


@pytest.mark.parametrize(
    ("matrix", "learnt"),
    [
        ([[90, 0, 0], [10, 0, 0], [0, 0, 0]], False),  # all road
        ([[90, 0, 0], [9, 1, 0], [0, 0, 0]], True),
        ([[0, 90, 0], [0, 10, 0], [0, 0, 0]], False),  # worse than all road
    ],
)
def test_a_constant_prediction_has_learnt_nothing(matrix, learnt):
    assert evaluation(matrix).has_learnt is learnt


def test_json_holds_no_nan_and_survives_a_round_trip():
    result = evaluation(np.zeros((3, 3), int))
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["mean_iou"] is None
    assert content["interval_95"] == [None, None]
    assert content["iou"] == [None] * 3
    assert content["per_image"][0] == {"image": "x.png", "mean_iou": None, "pixel_accuracy": None}


def test_an_image_is_kept_as_three_counts_per_class_and_scores_as_its_matrix():
    matrix = np.random.default_rng(0).integers(0, 50, (3, 3))
    matrix[1] = 0
    score = ImageScore.of(Path("a/x.png"), matrix)
    union = score.truth + score.predicted - score.hits
    assert score.mean_iou == pytest.approx((score.hits / union)[[0, 2]].mean(), rel=1e-15)
    assert score.pixel_accuracy == score.hits.sum() / score.truth.sum()
    kept = (score.hits, score.truth, score.predicted)
    assert all(counts.shape == (3,) and counts.base is None for counts in kept)  # no view of it


def test_the_baseline_names_its_class():
    content = evaluation([[10, 0, 0], [0, 70, 0], [0, 0, 20]]).to_json()
    assert content["baseline_class"] == "car"
    assert content["baseline_mean_iou"] == pytest.approx(0.7 / 3)
