import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from atrous.errors import InputError
from atrous.evaluation import Evaluation, ImageScore, confusion_matrix, scores
from atrous.evaluation.details import ImageDetails
from atrous.evaluation.subject import Prediction
from atrous.labels import VOID, LabelSet

LABELS = LabelSet(("road", "car", "dog"))


@pytest.fixture
def pairs():
    """Twenty label maps of three classes in blocks, and predictions, a good part of them wrong."""
    rng = np.random.default_rng(0)
    coarse = [rng.choice([0, 1, 2, VOID], (6, 6)) for _ in range(20)]
    labels = [np.kron(each, np.ones((16, 16))).astype(np.uint8) for each in coarse]
    return [
        (each, np.roll(np.where(each == VOID, 0, each), index % 8, 0))
        for index, each in enumerate(labels)
    ]


@pytest.fixture
def scored(pairs):
    """Score the pairs; give their matrices too."""
    images, matrices = [], []
    for index, (labels, predictions) in enumerate(pairs):
        matrix = confusion_matrix(predictions, labels, 3)
        details = ImageDetails.of(Prediction(predictions), labels, matrix)
        images.append(ImageScore.of(Path(f"{index}.png"), matrix, details))
        matrices.append(matrix)
    return Evaluation(sum(matrices), LABELS, tuple(images)), np.array(matrices)


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


def test_classes_that_never_occur_are_named_and_excluded_ones_too():
    counts = np.array([[50, 10, 0], [5, 35, 0], [0, 0, 0]])
    result = Evaluation(counts, LABELS, excluded=("road",))
    assert result.absent == ("dog",)
    assert result.num_present == 1
    assert result.mean_iou == 35 / 50
    content = result.to_json()
    assert content["never_occur"] == ["dog"]
    assert content["excluded"] == ["road"]
    assert content["iou"][0] == 50 / 65  # still told


def test_a_class_that_nobody_named_cannot_be_excluded():
    with pytest.raises(InputError, match="unknown class 'rode'; did you mean road"):
        Evaluation(np.zeros((3, 3), int), LABELS, excluded=("rode",))


def test_every_figure_has_the_interval_of_a_slow_bootstrap(scored):
    """Draws of images, one figure at a time from their summed matrices."""
    result, matrices = scored
    rng = np.random.default_rng(5)
    drawn = [matrices[rng.integers(0, len(matrices), len(matrices))].sum(0) for _ in range(3000)]
    for name, read in (
        ("mean_iou", scores.mean_iou),
        ("pixel_accuracy", scores.pixel_accuracy),
        ("frequency_weighted_iou", scores.frequency_weighted_iou),
        ("mean_dice", scores.mean_dice),
    ):
        slow = [read(matrix) for matrix in drawn]
        figure = result.figures[name]
        assert figure.value == pytest.approx(read(matrices.sum(0)))
        bounds = np.quantile(slow, [0.025, 0.975])
        assert (figure.low, figure.high) == pytest.approx(bounds, abs=0.2 * np.std(slow))
    slow = [scores.dice(matrix)[1] for matrix in drawn]
    figure = result.class_figures["dice"][1]
    assert figure.low == pytest.approx(np.quantile(slow, 0.025), abs=0.2 * np.std(slow))
    assert result.interval == (result.figures["mean_iou"].low, result.figures["mean_iou"].high)


def test_boundary_figures_are_taken_from_all_images(scored):
    result, _ = scored
    details = [image.details for image in result.per_image]
    images = [np.nanmean(each.boundary_f1) for each in details]
    assert result.figures["boundary_f1"].value == pytest.approx(np.mean(images))
    both, truth, found = sum(each.ring for each in details)
    assert result.figures["boundary_iou"].value == pytest.approx(
        np.mean(both / (truth + found - both))
    )
    hits, truth, found = sum(each.bands[:7].sum(0) for each in details)
    assert result.curves["trimap_iou"][6].value == pytest.approx(
        np.mean(hits / (truth + found - hits))
    )
    assert len(result.curves["trimap_iou"]) == 40
    assert "expected_calibration_error" not in result.figures  # of labels nobody knows it


def test_rows_of_object_sizes_add_up(scored):
    result, _ = scored
    rows = result.object_sizes
    assert [row["size"] for row in rows] == ["small", "medium", "large"]
    objects = sum(image.details.objects.sum(0) for image in result.per_image)
    for row, (number, found, pixels, right) in zip(rows, objects, strict=True):
        assert row["objects"] == number
        assert row["found"]["value"] == (pytest.approx(found / number) if number else None)
        assert row["pixel_recall"]["value"] == (pytest.approx(right / pixels) if pixels else None)


def test_object_sizes_by_class_are_those_of_the_images_class_by_class(scored):
    result, _ = scored
    rows = {(row["class"], row["size"]): row for row in result.object_sizes_by_class}
    true, predicted = (
        sum(getattr(image.details, name) for image in result.per_image)
        for name in ("objects", "made_up")
    )
    for k, name in enumerate(result.label_set.names):
        for index, size in enumerate(("small", "medium", "large")):
            number, found, pixels, right = true[k, index]
            if not number and not predicted[k, index, 0]:
                assert (name, size) not in rows
                continue
            row = rows[name, size]
            assert (row["objects"], row["found"]) == (number, found)
            assert row["pixel_recall"] == (pytest.approx(right / pixels) if pixels else None)
            assert row["predicted_objects"] == predicted[k, index, 0]
            assert row["made_up"] == predicted[k, index, 0] - predicted[k, index, 1]
    for whole in result.object_sizes:  # the pooled rows are their sums
        mine = [row for (_, size), row in rows.items() if size == whole["size"]]
        assert whole["objects"] == sum(row["objects"] for row in mine)
        assert whole["made_up"] == sum(row["made_up"] for row in mine)
    assert json.loads(json.dumps(result.to_json()))["object_sizes_by_class"] == list(rows.values())


def test_what_objects_are_taken_for_is_told_by_class_and_size(pairs, scored):
    """Against the same maps, object by object and pixel by pixel."""
    (result, _), names = scored, LABELS.names
    slow: Counter[tuple[str, str, str]] = Counter()
    for labels, predictions in pairs:
        for index, name in enumerate(names):
            parts, number = ndimage.label(labels == index, structure=np.ones((3, 3)))
            for part in range(1, number + 1):
                pixels = predictions[parts == part]
                size = "small" if pixels.size < 32**2 else "medium"
                slow.update((name, size, names[pixel]) for pixel in pixels)
    assert len({size for _, size, _ in slow}) == 2
    rows = result.object_sizes_by_class
    told = {
        (row["class"], row["size"], name): pixels
        for row in rows
        for name, pixels in row["predicted_as"].items()
    }
    assert told == slow
    for row in rows:
        pixels = list(row["predicted_as"].values())
        assert pixels == sorted(pixels, reverse=True)
        assert row["pixels"] == sum(pixels)
        right = row["predicted_as"].get(row["class"], 0)
        assert row["pixel_recall"] == (pytest.approx(right / row["pixels"]) if pixels else None)
    np.testing.assert_array_equal(result.size_matrices.sum(0), result.matrix)


def test_without_details_nothing_is_told_of_sizes():
    result = evaluation([[50, 10, 0], [5, 35, 0], [0, 0, 0]])
    assert result.object_sizes == result.object_sizes_by_class == []
    assert not result.size_matrices.any()
    assert result.size_matrices.shape == (3, 3, 3)


def test_pairs_that_do_not_occur_take_no_room():
    labels = np.zeros((64, 64), np.uint8)
    labels[:8, :8] = 149
    matrix = confusion_matrix(labels * 0, labels, 150)
    details = ImageDetails.of(Prediction(labels * 0), labels, matrix)
    assert details.by_size.tolist() == [[0, 149, 0, 64], [1, 0, 0, 64 * 64 - 64]]


def test_json_with_details_holds_no_nan(scored):
    content = json.loads(json.dumps(scored[0].to_json(), allow_nan=False))
    assert [row["width"] for row in content["trimap"]] == list(range(1, 41))
    assert content["figures"]["boundary_f1"]["interval_95"][0] is not None
    assert len(content["class_figures"]["iou"]) == 3


def test_all_void_with_details_has_figures_of_nothing():
    labels = np.full((9, 9), VOID, np.uint8)
    matrix = np.zeros((3, 3), np.int64)
    details = ImageDetails.of(Prediction(labels * 0, np.ones((9, 9), np.float32)), labels, matrix)
    result = Evaluation(matrix, LABELS, (ImageScore.of(Path("x.png"), matrix, details),) * 2)
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert {figure["value"] for figure in content["figures"].values()} == {None}
    assert content["reliability"] == []


def test_classes_that_few_images_show_are_named():
    labels = LabelSet.numbered(4)
    images = [
        ImageScore.of(Path(f"{index}.png"), np.diag([9, index < 5, index < 4, 0]), None)
        for index in range(6)
    ]
    matrix = np.diag([54, 5, 4, 0])

    assert Evaluation(matrix, labels, tuple(images)).rare_classes == ("class_2",)
    assert Evaluation(matrix, labels, tuple(images)).to_json()["rare_classes"] == ["class_2"]
    assert Evaluation(matrix, labels, tuple(images), excluded=("class_2",)).rare_classes == ()
    assert Evaluation(matrix, labels).rare_classes == ()
