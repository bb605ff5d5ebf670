"""Every figure on the page is computed again from the pixels, by scikit-learn or by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, jaccard_score

from atrous.errors import InputError
from atrous.labels import VOID, LabelSet
from atrous.reports import write_training_report


def number(text: str) -> float:
    return float(text.replace(" ", "").replace("%", ""))


def test_the_headline_gives_score_interval_classes_and_baseline(report: Callable) -> None:
    written = report()

    sentence = written.page.one("p", id="headline").words

    truth, predicted = written.truth, written.predicted
    mean_iou = jaccard_score(truth, predicted, average="macro")
    commonest = np.bincount(truth).argmax()
    baseline = jaccard_score(truth, np.full_like(truth, commonest), average="macro")
    assert f"mIoU {mean_iou:.3f} (95 % interval" in sentence
    assert "over 3 of 3 classes on 8 val images" in sentence
    name = ("sky", "road", "car")[commonest]
    assert sentence.endswith(f"Answering {name} everywhere would score {baseline:.3f}.")
    assert written.page.one("b", id="miou").words == f"{mean_iou:.3f}"


def test_the_interval_of_the_headline_holds_the_score(report: Callable) -> None:
    written = report()

    words = written.page.one("p", id="headline").words.split()

    low, high = (number(words[words.index(at) + 1].strip(")")) for at in ("interval", "to"))
    assert low < written.evaluation.mean_iou < high
    assert (low, high) == tuple(round(x, 3) for x in written.evaluation.interval)


def test_the_overall_figures_are_those_of_scikit_learn(report: Callable) -> None:
    written = report()
    page, truth, predicted = written.page, written.truth, written.predicted

    shown = {name: page.one("dd", id=name).words for name in ("pixel-accuracy", "mean-accuracy")}

    assert shown["pixel-accuracy"] == f"{accuracy_score(truth, predicted):.3f}"
    assert shown["mean-accuracy"] == f"{balanced_accuracy_score(truth, predicted):.3f}"
    weighted = jaccard_score(truth, predicted, average="weighted")
    assert page.one("dd", id="fw-iou").words == f"{weighted:.3f}"
    assert number(page.one("dd", id="pixels").words) == len(truth)


def test_every_class_has_its_iou_accuracy_and_share(report: Callable) -> None:
    written = report()
    truth, predicted = written.truth, written.predicted
    iou = jaccard_score(truth, predicted, average=None)

    for k, name in enumerate(("sky", "road", "car")):
        row = row_of(written.page, k)
        assert name in row.words
        assert row.one("td", class_="iou").words == f"{iou[k]:.3f}"
        found = (predicted[truth == k] == k).mean()
        assert row.one("td", class_="accuracy").words == f"{found:.3f}"
        share = number(row.one("td", class_="share").words)
        assert share == pytest.approx(100 * (truth == k).mean(), abs=0.051)


def row_of(page, k: int):
    rows = [row for row in page.all("tr") if row.attributes.get("data-class") == str(k)]
    assert len(rows) == 1
    return rows[0]


def test_classes_are_sorted_by_iou(report: Callable) -> None:
    written = report(LabelSet.numbered(12), num_images=4)

    shown = [number(cell.words) for cell in written.page.all("td", class_="iou")]

    assert len(shown) == 12
    assert shown == sorted(shown, reverse=True)


def test_the_heat_map_is_the_row_normalised_matrix(report: Callable) -> None:
    written = report()
    counts = confusion_matrix(written.truth, written.predicted)
    expected = 100 * counts / counts.sum(axis=1, keepdims=True)

    rows = written.page.one("table", class_="heat").all("tbody")[0].all("tr")

    for i, row in enumerate(rows):
        cells = row.all("td")
        assert [cell.attributes["class"].split()[0] for cell in cells] == [
            "right" if i == j else "wrong" for j in range(3)
        ]
        for j, cell in enumerate(cells):
            assert number(cell.words) == pytest.approx(expected[i, j], abs=0.51)
            assert f"({counts[i, j]:,} of " in cell.attributes["title"]
            shade = float(cell.attributes["style"].removeprefix("--v:"))
            assert shade == pytest.approx((expected[i, j] / 100) ** 0.5, abs=0.001)


def test_the_largest_mistakes_come_first(report: Callable) -> None:
    written = report()
    counts = confusion_matrix(written.truth, written.predicted)
    np.fill_diagonal(counts, 0)
    names = ("sky", "road", "car")

    first = written.page.one("table", class_="mistakes").all("tbody")[0].all("tr")[0]

    i, j = np.unravel_index(counts.argmax(), counts.shape)
    assert first.words.startswith(f"{names[i]}→ {names[j]}")
    share = number(first.all("b")[0].words)
    assert share == pytest.approx(100 * counts.max() / counts.sum(), abs=0.051)


def test_data_shares_are_those_of_the_labels(report: Callable) -> None:
    written = report()
    labels = np.stack(list(written.spec.labels.values()))

    rows = written.page.one("table", class_="data").all("tbody")[0].all("tr")

    for k, row in enumerate(rows):
        share, images = number(row.all("b")[1].words), number(row.all("td", class_="num")[1].words)
        assert share == pytest.approx(100 * (labels == k).sum() / (labels != VOID).sum(), abs=0.051)
        assert images == (labels == k).any(axis=(1, 2)).sum()
    section = written.page.one("section", id="data").words
    assert f"{100 * (labels == VOID).mean():.1f} % void" in section


def test_a_constant_prediction_has_learnt_nothing_yet(report: Callable, data) -> None:
    rng = np.random.default_rng(1)
    made = [data.blobs(rng, 3) for _ in range(4)]
    labels = [np.where(y == 1, 0, y).astype(np.uint8) for _, y in made]
    spec = data.FakeSpec(LabelSet(("sky", "road", "car")), [x for x, _ in made], labels)

    written = report(spec=spec, predictions=[np.zeros_like(y) for y in labels])

    sentence = written.page.one("p", id="headline").words
    assert sentence.startswith("This network has learnt nothing yet.")
    assert "over 2 of 3 classes" in sentence


def test_a_network_that_learnt_is_not_told_off(report: Callable) -> None:
    assert "learnt nothing" not in report().page.one("p", id="headline").words


def test_classes_that_never_occur_are_named(report: Callable) -> None:
    written = report(LabelSet(("sky", "road", "car", "llama")), used=3)

    assert "over 3 of 4 classes" in written.page.one("p", id="headline").words
    assert "never occurs in val: not in the mean" in row_of(written.page, 3).words
    remarks = written.page.one("ul", class_="remarks").words
    assert "llama never occurs in val: not in the mean." in remarks
    assert "llama never occurs in train" in remarks
    assert "nan" not in written.page.words.lower().replace("predominan", "")


def test_masks_have_the_colours_of_the_label_set_and_void_is_clear(report: Callable) -> None:
    label_set = LabelSet(("sky", "road", "car"), ((1, 2, 3), (200, 30, 4), (5, 60, 250)))

    written = report(label_set)

    labels = [np.asarray(picture.convert("RGBA")) for picture in written.pictures("label")]
    assert len(labels) == 6
    for picture in labels:
        solid = picture[picture[..., 3] == 255][:, :3]
        assert {tuple(c) for c in np.unique(solid, axis=0).tolist()} <= set(label_set.colours)
        assert (picture[0, :, 3] == 0).all()
        assert (picture[1:, :, 3] == 255).all()


def test_pictures_show_the_best_and_the_worst_images(report: Callable, data) -> None:
    rng = np.random.default_rng(0)
    made = [data.blobs(rng, 3) for _ in range(8)]
    spec = data.FakeSpec(
        LabelSet(("sky", "road", "car")), [x for x, _ in made], [y for _, y in made]
    )
    shares = [0.5, 0.1, 0.7, 0.2, 0.4, 0.3, 0.6, 0.05]
    predictions = [data.spoil(rng, y, 3, s) for (_, y), s in zip(made, shares, strict=True)]

    written = report(spec=spec, predictions=predictions)

    captions = [block.all("p")[0].words for block in written.page.all("div", class_="exhibit")]
    assert [c[-7:] for c in captions] == [f"00{i}.png" for i in (7, 1, 3, 2, 6, 0)]
    for caption, index in zip(captions, (7, 1, 3, 2, 6, 0), strict=True):
        scored = made[index][1] != VOID
        truth, guess = made[index][1][scored], predictions[index][scored]
        assert caption.startswith(f"mIoU {jaccard_score(truth, guess, average='macro'):.3f} over 3")
        assert f"{100 * (truth == guess).mean():.1f} % of the pixels right" in caption


def test_an_image_of_void_only_is_not_shown(report: Callable, data) -> None:
    rng = np.random.default_rng(0)
    made = [data.blobs(rng, 3) for _ in range(3)]
    labels = [y for _, y in made]
    labels[1] = np.full_like(labels[1], VOID)
    spec = data.FakeSpec(LabelSet(("sky", "road", "car")), [x for x, _ in made], labels)

    written = report(spec=spec)

    shown = " ".join(block.words for block in written.page.all("div", class_="exhibit"))
    assert "001.png" not in shown
    assert "000.png" in shown


def test_the_best_validation_is_marked(report: Callable) -> None:
    written = report()

    section = written.page.one("section", id="training")

    assert "Best validation: mIoU 0.800 at iteration 100" in section.words
    titles = [dot.words for dot in section.all("circle", class_="best")]
    assert titles == ["best: mIoU 0.800 at iteration 100"]
    baseline = f"all {written.evaluation.to_json()['baseline_class']}"
    assert [c.all("figcaption")[0].words for c in section.all("figure")] == [
        f"mIoU val {baseline} {written.evaluation.baseline[0]:.3f}",
        "Loss train",
        "Learning rate",
    ]


def test_a_run_without_validations_says_so(report: Callable) -> None:
    section = report(run={"val": False}).page.one("section", id="training")

    assert "No validation ran" in section.words
    assert len(section.all("figure")) == 2


def test_writing_again_replaces_the_report(report: Callable) -> None:
    first = report().html

    second = report(share=0.4).html

    assert first != second


def test_a_missing_run_folder_is_named(report: Callable, tmp_path: Path) -> None:
    written = report()

    with pytest.raises(InputError, match="nowhere is no run folder"):
        write_training_report(
            tmp_path / "nowhere", evaluation=written.evaluation, spec=written.spec, predictor=None
        )


def test_the_evaluation_as_json_agrees_with_the_page(report: Callable) -> None:
    written = report()

    content = json.loads(json.dumps(written.evaluation.to_json()))

    assert written.page.one("b", id="miou").words == f"{content['mean_iou']:.3f}"
