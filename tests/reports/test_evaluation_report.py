import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from atrous.data import Pair
from atrous.evaluation import Evaluation, ImageScore, confusion_matrix
from atrous.evaluation.details import ImageDetails
from atrous.evaluation.loop import accumulate
from atrous.evaluation.subject import Prediction, Subject, data_stamp
from atrous.labels import VOID, LabelSet
from atrous.reports import write_evaluation_report
from atrous.reports.atlas import worst_patches
from atrous.reports.size_rows import class_sizes

LABELS = LabelSet(("sky", "road", "<car>"))


@pytest.fixture
def made(data):
    """Evaluate eight made images; give all that a report is written from."""

    def make(*, confidence=True, images=8, **options):
        rng = np.random.default_rng(0)
        pairs = [data.blobs(rng, 3, (120, 160)) for _ in range(images)]
        labels = [y for _, y in pairs]
        spec = data.FakeSpec(LABELS, [x for x, _ in pairs], labels)
        predictions = [data.spoil(rng, y, 3, 0.1) for y in labels]
        predictions[2][30:60, 40:100] = 2  # a patch of one mistake, the largest of all
        labels[2][30:60, 40:100] = 1
        answers = dict(zip(spec.labels, predictions, strict=True))

        def predict(pair: Pair, truth: np.ndarray) -> Prediction:
            sure = np.full(truth.shape, 0.7, np.float32) if confidence else None
            return Prediction(answers[pair], sure)

        subject = Subject(predict, LABELS, {"model": "runs/<b>", **data_stamp(spec, "val")})
        result = accumulate(subject, spec, "val", details=True, **options)
        return SimpleNamespace(
            result=result, spec=spec, subject=subject, predict=lambda pair: answers[pair]
        )

    return make


def page_of(data, made, folder):
    path = write_evaluation_report(folder, made.result, made.spec, made.subject)
    html = path.read_text(encoding="utf-8")
    return html, data.PageParser(html).root


def test_the_page_says_what_the_figures_say(data, made, tmp_path):
    one = made()
    _, page = page_of(data, one, tmp_path / "deep" / "report")
    assert f"{one.result.mean_iou:.3f}" in page.one("b", id="miou").words
    facts = {
        x.all("dt")[0].words: x.all("dd")[0].words for x in page.one("dl", class_="facts").children
    }
    figures = one.result.figures
    assert facts["Boundary F1"] == f"{figures['boundary_f1'].value:.3f}"
    assert facts["Calibration error"] == f"{figures['expected_calibration_error'].value:.3f}"
    assert len(facts) == 7
    rows = {x.attributes.get("data-class"): x.words for x in page.all("tr")}
    assert f"{one.result.precision[1]:.3f}" in rows["1"]
    assert f"{one.result.dice[1]:.3f}" in rows["1"]
    assert not re.search(r"\bnan\b", page.words)


@pytest.mark.parametrize("images", [1, 2, 5, 8])
def test_the_worst_images_are_drawn_from_all_of_them(data, made, tmp_path, images):
    one = made(images=max(images, 3))
    one.spec.splits["val"] = one.spec.splits["val"][:images]
    one.result = accumulate(one.subject, one.spec, "val", details=True)
    looked = []

    def predict(pair: Pair, truth: np.ndarray) -> Prediction:
        looked.append(pair.image)
        return one.subject.predict(pair, truth)

    folder, subject = tmp_path / "report", Subject(predict, LABELS, one.subject.protocol)
    write_evaluation_report(folder, one.result, one.spec, subject)

    page = data.PageParser((folder / "report.html").read_text(encoding="utf-8")).root
    shown = page.one("section", id="images").all("div", class_="exhibit")
    ranked = sorted(one.result.per_image, key=lambda image: image.mean_iou)
    worst = [image.path for image in ranked[:6]]
    assert [block.all("p")[0].words.split("· ")[1] for block in shown] == [x.name for x in worst]
    assert looked[: len(worst)] == worst  # no image is predicted for the page that is not shown


def test_names_are_text_and_never_html(data, made, tmp_path):
    html, page = page_of(data, made(), tmp_path)
    assert "<car>" not in html
    assert "runs/<b>" not in html
    assert page.one("h1").words == "runs/<b>"


def test_the_page_needs_no_network_and_no_script(data, made, tmp_path):
    html, page = page_of(data, made(), tmp_path)
    assert not page.all("script")
    assert not page.all("link", rel="stylesheet")
    assert all(image.attributes["src"].startswith("data:") for image in page.all("img"))
    assert len(html) < 3_000_000


def test_the_worst_confusion_is_shown_where_its_largest_patch_lies(made):
    one = made()
    patch = worst_patches(one.result, one.spec, one.predict, split="val")[0]
    assert (patch.mistake.truth, patch.mistake.predicted) == (1, 2)
    assert patch.name == "002.png"
    assert patch.pixels >= 30 * 60
    height, width = patch.size
    assert height >= 60
    assert width >= 96


def test_pictures_of_a_patch_show_its_labels_and_predictions(data, made):
    one = made()
    patch = worst_patches(one.result, one.spec, one.predict, split="val")[0]
    truth, found = (np.asarray(data.decode(x)) for x in (patch.label, patch.prediction))
    assert truth.shape == found.shape == patch.size
    assert ((truth == 1) & (found == 2)).sum() >= 30 * 60
    assert set(np.unique(truth)) <= {0, 1, 2, VOID}


def test_masks_have_no_calibration_and_no_reliability(data, made, tmp_path):
    html, page = page_of(data, made(confidence=False), tmp_path)
    assert "Calibration error" not in html
    assert len(page.one("div", class_="charts").all("figure")) == 1


def test_excluded_classes_are_said_to_be_so(data, made, tmp_path):
    html, _ = page_of(data, made(excluded=("sky",)), tmp_path)
    assert "Excluded, so not in the mean either: sky." in html
    assert "over 2 of 3 classes" in " ".join(html.split())


def test_the_table_and_the_result_lie_beside_the_page(data, made, tmp_path):
    _, page = page_of(data, made(images=3), tmp_path)
    assert page.one("section", id="sizes")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["images"] == 3
    assert len((tmp_path / "images.csv").read_text().splitlines()) == 4


def test_every_class_has_its_objects_by_size(data, made, tmp_path):
    one = made()
    _, page = page_of(data, one, tmp_path)
    table = page.one("table", id="class-sizes")
    words = {row.all("th")[0].words: row.words for row in table.all("tr")[1:]}
    assert set(words) <= set(LABELS.names)
    for row in one.result.object_sizes_by_class:
        if row["objects"]:
            assert f"{row['found']} of {row['objects']}" in words[row["class"]]


def test_every_class_and_size_shows_its_two_largest_wrong_answers(data, made, tmp_path):
    one = made()
    _, page = page_of(data, one, tmp_path)
    lines = {row.all("th")[0].words: row for row in page.one("table", id="class-sizes").all("tr")}
    told = 0
    for row in one.result.object_sizes_by_class:
        cell = lines[row["class"]].all("td")[["small", "medium", "large"].index(row["size"])]
        wrong = {k: v / row["pixels"] for k, v in row["predicted_as"].items() if k != row["class"]}
        expected = [f"{name} {100 * v:.1f} %" for name, v in list(wrong.items())[:2] if v >= 0.01]
        assert [answer.words for answer in cell.all("li")] == expected
        told += len(expected)
    assert told > 4


def test_answers_below_one_percent_are_not_told_of_a_class_and_size():
    labels = np.zeros((100, 101), np.uint8)
    predictions = labels.copy()
    predictions[0, :100], predictions[1] = 1, 2  # 0.99 % and 1 %
    matrix = confusion_matrix(predictions, labels, 3)
    details = ImageDetails.of(Prediction(predictions), labels, matrix)
    images = (ImageScore.of(Path("x.png"), matrix, details),)
    shown = class_sizes(Evaluation(matrix, LABELS, images))
    assert [(m.predicted, m.pixels) for m in shown["sky"]["large"].mistakes] == [(2, 101)]


def test_each_size_names_its_worst_confusion_of_the_classes_that_count(data, made, tmp_path):
    one = made(excluded=("road",))
    _, page = page_of(data, one, tmp_path)
    rows = page.one("section", id="sizes").all("table")[0].all("tr")[1:]
    for row, matrix in zip(rows, one.result.size_matrices.astype(float), strict=True):
        np.fill_diagonal(matrix, 0)
        matrix[1] = 0
        if not matrix.any():
            assert "taken for" not in row.words
            continue
        true, predicted = np.unravel_index(matrix.argmax(), matrix.shape)
        share = matrix.max() / matrix.sum()
        said = f"{LABELS.names[true]} taken for {LABELS.names[predicted]} ({100 * share:.1f} %)"
        assert row.all("td")[-1].words == said
    assert "taken for" in rows[0].words
