"""Every figure on the page is computed again from the pixels, by scikit-learn or by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, jaccard_score

from atrous.data.findings import Finding
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


def test_one_image_has_no_interval(report: Callable) -> None:
    sentence = report(num_images=1).page.one("p", id="headline").words

    assert "interval" not in sentence
    assert "on 1 val image." in sentence


@pytest.mark.parametrize("count", [2, 30, 60])
def test_any_number_of_classes_fits(report: Callable, count: int) -> None:
    written = report(LabelSet.numbered(count))

    shown = min(count, 32)
    heat = written.page.one("table", class_="heat")
    assert len(heat.all("td")) == shown**2
    assert len(written.page.all("td", class_="iou")) == count
    assert ("commonest of 60 classes" in written.page.words) == (count == 60)
    assert written.path.stat().st_size < 2_000_000


def test_what_comes_from_outside_is_text_never_html(report: Callable, data) -> None:
    rng = np.random.default_rng(0)
    made = [data.blobs(rng, 3) for _ in range(2)]
    hostile = ("<script>alert(1)</script>", '" onmouseover="alert(2)', "a</style><b>&amp;")
    finding = Finding("warning", Path("<i>x.png"), "is <b>odd</b>", "mend <it>")
    spec = data.FakeSpec(
        LabelSet(hostile),
        [x for x, _ in made],
        [y for _, y in made],
        names=["<img src=x>.png", "'&.png"],
        findings=(finding,),
    )

    written = report(spec=spec)

    page = written.page
    assert page.all("script") == []
    assert [e for e in page.all("*") if any(a.startswith("on") for a in e.attributes)] == []
    assert len(page.all("style")) == 1
    for name in hostile:
        assert name in page.words
    assert "<img src=x>.png" in page.words
    assert "is <b>odd</b>" in page.words
    assert {e.attributes.get("src", "data:")[:5] for e in page.all("img")} == {"data:"}


def test_the_page_needs_no_network_and_no_script(report: Callable) -> None:
    html = report().html

    for word in ("<script", "http://", "https://", "@import", "url("):
        assert word not in html.replace("xmlns='http://www.w3.org/2000/svg'", "")
    assert "default-src 'none'" in html


def test_very_long_names_are_kept_in_full_in_the_class_table(report: Callable) -> None:
    name = "x" * 3000

    written = report(LabelSet((name, "road")))

    assert name in row_of(written.page, 0).words


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


def test_a_split_of_void_only_says_that_nothing_was_scored(report: Callable, data) -> None:
    images = [data.blobs(np.random.default_rng(i), 3)[0] for i in range(2)]
    labels = [np.full(image.shape[:2], VOID, np.uint8) for image in images]

    written = report(
        spec=data.FakeSpec(LabelSet(("sky", "road", "car")), images, labels),
        predictions=[np.zeros_like(y) for y in labels],
    )

    sentence = written.page.one("p", id="headline").words
    assert sentence == "No pixel of val has a class: nothing could be scored."
    assert "nan" not in written.html.split("</style>")[1]


def test_the_best_validation_is_marked(report: Callable) -> None:
    written = report()

    section = written.page.one("section", id="training")

    assert "Best validation: mIoU 0.800 at iteration 100" in section.words
    titles = [dot.words for dot in section.all("circle", class_="best")]
    assert titles == ["best: mIoU 0.800 at iteration 100"]
    assert [c.all("figcaption")[0].words for c in section.all("figure")] == [
        "mIoU",
        "Loss train",
        "Learning rate",
    ]


def test_a_run_without_validations_says_so(report: Callable) -> None:
    section = report(run={"val": False}).page.one("section", id="training")

    assert "No validation ran" in section.words
    assert len(section.all("figure")) == 2


def test_a_bare_run_folder_still_gives_a_page(report: Callable, tmp_path: Path) -> None:
    written = report()
    bare = tmp_path / "bare"
    bare.mkdir()

    class Silent:
        model = type(
            "M", (), {"spec": type("S", (), {"architecture": "unet", "encoder_name": "x"})}
        )

        def __call__(self, image: np.ndarray) -> object:
            return type("Segmentation", (), {"labels": np.zeros(image.shape[:2], np.uint8)})

    Silent.model.parameters = staticmethod(list)
    path = write_training_report(
        bare, evaluation=written.evaluation, spec=written.spec, predictor=Silent()
    )

    text = path.read_text(encoding="utf-8")
    assert 'id="training"' not in text
    assert "mIoU" in text


def test_noise_at_full_size_stays_below_two_megabytes(report: Callable, data) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (420, 560, 3)).astype(np.uint8) for _ in range(6)]
    labels = [rng.integers(0, 20, (420, 560)).astype(np.uint8) for _ in range(6)]

    written = report(spec=data.FakeSpec(LabelSet.numbered(20), images, labels))

    assert len(written.page.all("img")) == 24
    assert written.path.stat().st_size < 2_000_000


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_of_any_depth_and_channels_are_shown(report: Callable, data, channels: int) -> None:
    rng = np.random.default_rng(0)
    labels = [data.blobs(rng, 3)[1] for _ in range(2)]
    images = [rng.integers(500, 4000, (*y.shape, channels)).astype(np.uint16) for y in labels]

    written = report(spec=data.FakeSpec(LabelSet(("sky", "road", "car")), images, labels))

    for picture in written.pictures("image"):
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert pixels.max() > 220
        assert pixels.min() < 35


def test_the_configuration_and_the_environment_are_listed(report: Callable) -> None:
    section = report().page.one("section", id="setup")

    listed = {line.all("dt")[0].words: line.all("dd")[0].words for line in section.all("div")}

    assert listed["crop"] == "64, 64"
    assert listed["model"] == "unet"
    assert "minutes" not in listed  # was not given
    assert listed["torch"] == "2.15.0"
    assert listed["precision"] == "fp32"  # the protocol


def test_the_next_steps_name_the_run_and_quote_its_paths(report: Callable) -> None:
    written = report()

    lines = [code.words for code in written.page.one("section", id="next").all("code")]

    folder = written.path.parent
    assert f"atrous predict {folder}/model FOLDER --overlay" in lines
    assert f"atrous evaluate {folder}/model --data 'my data'" in lines
    assert f"atrous train --resume {folder} --iterations 200" in lines


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
