import math
from pathlib import Path

import numpy as np
import pytest

from atrous.evaluation import Evaluation, ImageScore
from atrous.labels import LabelSet
from atrous.reports.class_rows import class_rows
from atrous.reports.page import count, percent, score
from atrous.reports.remarks import join_names, remarks
from atrous.reports.run_record import RunRecord, Validation


def said(matrix: list[list[int]], *, scores: tuple[float, ...] = (), never: tuple[str, ...] = ()):
    evaluation = Evaluation(np.array(matrix), LabelSet(("sky", "road", "car")[: len(matrix)]))
    validations = tuple(Validation(10 * i, s, (), math.nan) for i, s in enumerate(scores, 1))
    run = RunRecord(Path("run"), {}, {}, (), validations)
    rows = class_rows(evaluation.matrix, evaluation.label_set)
    return " ".join(remarks(evaluation, rows, run, never)).replace("\u202f", " ")


def test_best_and_worst_class_and_the_costliest_mistake_are_named() -> None:
    text = said([[90, 0, 10], [30, 70, 0], [0, 0, 100]])

    assert "Best class car (IoU 0.909), worst sky (0.692)." in text
    assert "Largest single mistake: road taken for sky, 75.0 % of all wrong pixels." in text


def test_a_perfect_network_is_told_so() -> None:
    assert "Every scored pixel is right." in said([[5, 0], [0, 5]])


def test_a_score_that_still_rises_asks_for_more_iterations() -> None:
    assert "more iterations may raise" in said([[5, 1], [0, 5]], scores=(0.2, 0.3, 0.4))


def test_a_score_that_fell_says_which_model_was_kept() -> None:
    text = said([[5, 1], [0, 5]], scores=(0.2, 0.4, 0.3))

    assert "mIoU fell from 0.400 at iteration 20 to 0.300 at the end; the best model was" in text


def test_classes_missing_in_training_are_named() -> None:
    assert "sky and car never occur in train" in said([[5, 1], [0, 5]], never=("sky", "car"))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcdefg"), "a, b, c, d, e and 2 more"),
    ],
)
def test_names_are_joined_as_one_says_them(names: list[str], text: str) -> None:
    assert join_names(names) == text


def test_figures_without_a_value_are_a_dash() -> None:
    assert score(math.nan) == percent(math.nan) == score(None) == "\N{EN DASH}"


def test_small_shares_do_not_become_zero() -> None:
    assert percent(0.00012).startswith("0.012")
    assert percent(1e-9).startswith("<")
    assert percent(0.0).startswith("0.0")


def test_counts_are_grouped_by_three() -> None:
    assert count(1234567).split("\u202f") == ["1", "234", "567"]


def test_classes_that_few_images_show_make_the_intervals_doubtful() -> None:
    labels = LabelSet(("sky", "road"))
    images = [ImageScore.of(Path(f"{i}.png"), np.diag([9, i < 2])) for i in range(6)]
    evaluation = Evaluation(np.diag([54, 2]), labels, tuple(images))
    text = " ".join(remarks(evaluation, class_rows(evaluation.matrix, labels)))

    assert "In fewer than 5 images of val: road; the intervals of the means leave" in text
