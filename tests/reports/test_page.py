"""Pages from data that are not as usual: hostile names, many classes, little or nothing there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atrous.data.findings import Finding
from atrous.labels import VOID, LabelSet
from atrous.reports import write_training_report


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

    assert name in written.page.words


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
    assert f"atrous train --resume {folder} --extend 100" in lines


def test_no_line_of_a_command_ends_within_an_option(report: Callable) -> None:
    for code in report().page.one("section", id="next").all("code"):
        spans = [span.words for span in code.all("span")]  # each is kept together by page.css
        assert spans == code.words.split(" ")
    style = report().page.one("style").text
    assert ".steps code span { display: inline-block;" in style


def test_the_score_is_taken_again_with_the_tile_of_the_run(report: Callable) -> None:
    written = report(run={"tile": 512})

    lines = [code.words for code in written.page.one("section", id="next").all("code")]

    assert any(line.endswith("--data 'my data' --tile 512") for line in lines)


@pytest.mark.parametrize(("inside", "title"), [(True, "demo"), (False, "demo")])
def test_the_title_is_the_name_of_the_run(
    report: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool, title: str
) -> None:
    if inside:
        monkeypatch.chdir(tmp_path)

    page = report().page

    assert page.one("h1").words == title
    lines = [code.words for code in page.one("section", id="next").all("code")]
    assert any("predict runs/demo/model" in line for line in lines) == inside
