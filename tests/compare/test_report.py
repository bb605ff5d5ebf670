"""The page and the figures of a comparison, from a table made by hand."""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.cli.compare_lines import result_lines
from atrous.compare.cell import Cell
from atrous.compare.comparison import Compared
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.compare.plan import Plan
from atrous.compare.planning import Planned
from atrous.compare.record import results
from atrous.compare.report import write_report
from atrous.compare.table import Row, Table
from atrous.compare.together import Together, disagreement, most_uneven
from atrous.compare.verdict import take
from atrous.data import DataSpec, open_data, write_scenes
from atrous.labels import LabelSet
from atrous.reports.pictures import view
from atrous.reports.scatter import Mark, front, scatter
from atrous.reports.thumbnails import SIDE, strip

LABELS = LabelSet(("road", "crack", "void-like"))
PROTOCOL = {"split": "val", "engine": "eager", "scales": [1.0], "crf": None}


class Page(HTMLParser):
    """What a page holds, by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def values(self, *names: str) -> list[str]:
        return [str(found[name]) for _, found in self.seen for name in names if name in found]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, {"train": 2, "val": 2}, size=(48, 64), seed=3)
    return open_data(folder)


def cell(name: str, folder: Path, counts: Any = None) -> Cell:
    run = folder / name / "run"
    (run / "model").mkdir(parents=True)
    lines = [{"step": s, "split": "val", "mean_iou": s / 200, "iou": []} for s in (10, 50, 100)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = {"model": str(run / "model"), "evaluation": {"protocol": PROTOCOL}}
    empty = np.zeros((2, 3), np.int64)
    return Cell(name, 0, facts, counts or (empty, empty, empty), np.zeros(2), np.zeros((2, 3, 15)))


@pytest.fixture
def compared(
    tmp_path: Path, row: Callable[..., Row], table: Callable[..., Table], spec: DataSpec
) -> Compared:
    names = ("unet", "v3plus", "<b>pspnet</b>")
    rows = [
        row(names[0], 0.812, 156, 98),
        row(names[1], 0.806, 38, 12, start="weights.safetensors", iou=(0.9, 0.8, None)),
        row(names[2], 0.45, 31, 9, has_learnt=False, iou=(0.5, 0.2, None)),
    ]
    found = table(rows, same=[{"unet", "v3plus"}], failed={"segnet": "out of memory; lower it"})
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (300, 400, 3), np.uint8)
    labels, first, second = rng.integers(0, 3, (3, 300, 400)).astype(np.uint8)
    views = [view(image, labels, answer, 255) for answer in (first, second, labels)]
    shown = strip("a.jpg", 0.5, names, views, LABELS)
    plan = Plan(100, 10, 4, 0.01, "random", 60.0, 9.0, 10**9, 10**6, ("Weights from scratch",))
    return Compared(
        tmp_path,
        found,
        take(found),
        Together({each.name: each.latency for each in rows}, [shown] * 5),
        {name: [cell(name.strip("<>b/"), tmp_path)] for name in names},
        Planned(tuple(Entry(name) for name in names), {"unet": plan}, {"segnet": {None: "x"}}),
    )


def page_of(compared: Compared, spec: DataSpec, **fields: Any) -> str:
    labelled = dataclasses.replace(spec, label_set=LABELS)
    config = CompareConfig(data=spec.root, minutes=10, **fields)
    return write_report(compared, config, labelled).read_text()


def test_the_page_refers_to_nothing_outside_itself(compared: Compared, spec: DataSpec) -> None:
    text = page_of(compared, spec)

    page = Page(text)
    references = page.values("src", "href", "srcset", "action", "data", "poster", "xlink:href")
    assert references
    assert [x[:40] for x in references if not x.startswith(("data:image/", "#"))] == []
    assert {tag for tag, _ in page.seen} & {"script", "iframe", "object", "embed", "base"} == set()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    assert not re.search(r"@import|url\(|https?:", style[1])
    assert "default-src 'none'" in text


def test_the_page_says_what_was_found(compared: Compared, spec: DataSpec) -> None:
    text = page_of(compared, spec)
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).replace("&nbsp;", " ")

    for sentence in compared.verdict.sentences:
        assert sentence.replace("<", "&lt;") in plain
    assert "&lt;b&gt;pspnet&lt;/b&gt;" in text  # a name is text, never HTML
    assert "<b>pspnet</b>" not in text
    assert "failed : out of memory; lower it" in plain
    assert "as good as the best (p = 0.21)" in plain
    assert "has learnt nothing yet" in plain
    assert "did not begin alike (unet: random, v3plus: weights.safetensors" in plain
    assert "The same images chose the best iteration" in plain
    assert "unet: Weights from scratch" in plain
    assert "0.812" in plain
    assert "0.792\N{EN DASH}0.832" in plain
    assert not re.search(r"\bnan\b", plain)
    assert [tag for tag, found in Page(text).seen if found.get("id") == "images"] == ["section"]


def test_terminal_page_and_verdict_mean_the_same_row_by_best(
    compared: Compared, spec: DataSpec, row: Callable[..., Row], table: Callable[..., Table]
) -> None:
    rows = [row("idle", 0.5, 1, 1, has_learnt=False), row("a", 0.49, 9, 9), row("b", 0.48, 3, 9)]
    found = table(rows, same=[{"a", "b"}, {"idle", "a"}, {"idle", "b"}])
    cells = {each.name: cell(each.name, compared.folder / "x") for each in rows}
    odd = dataclasses.replace(
        compared, table=found, verdict=take(found), cells={n: [c] for n, c in cells.items()}
    )

    assert found.best is found.rows[1]
    assert odd.verdict.quality == "a"
    lines = {line.split()[0]: line for line in result_lines(odd).splitlines()}
    assert lines["idle"].endswith("<- has learnt nothing yet")
    assert "<-" not in lines["a"]
    assert "<- as good (p = 0.21), 3 times as fast" in lines["b"]
    page = page_of(odd, spec)
    assert page.count("as good as the best") == 1
    assert '<td class="num best">0.490</td>' in page


def test_every_network_stands_in_every_part(compared: Compared, spec: DataSpec) -> None:
    text = page_of(compared, spec)

    for section in ("networks", "plots", "differences", "classes", "images"):
        found = re.search(rf'<section id="{section}">(.*?)</section>', text, re.DOTALL)
        assert found, section
        for name in ("unet", "v3plus", "pspnet"):
            assert name in found[1], (section, name)
    pictures = [found for tag, found in Page(text).seen if tag == "img"]
    assert len(pictures) == 5 * (2 + 2 * 3)
    assert {int(str(found["width"])) for found in pictures} == {SIDE}


def test_speeds_that_were_not_measured_are_blank_and_the_page_says_why(
    compared: Compared, spec: DataSpec
) -> None:
    rows = tuple(dataclasses.replace(row, latency=None) for row in compared.table.rows)
    found = dataclasses.replace(compared.table, rows=rows)
    together = Together({}, (), "out of memory")
    untimed = dataclasses.replace(compared, table=found, verdict=take(found), together=together)

    text = page_of(untimed, spec)

    assert not re.search(r"\bnan\b", text)
    assert "no speeds and no images side by side: out of memory; the same command" in text
    assert text.count('<td class="num" title="not measured">\N{EN DASH}</td>') == len(rows)
    sections = {str(found.get("id")) for tag, found in Page(text).seen if tag == "section"}
    assert sections == {"networks", "plots", "differences", "classes", "setup"}
    assert "Quality against speed" not in text
    assert "mIoU on val" in text  # the learning curves stay
    config = CompareConfig(data=spec.root, minutes=10)
    content = json.loads(json.dumps(results(untimed, config, spec), allow_nan=False))
    assert [each["ms_per_image"] for each in content["networks"]] == [None] * len(rows)
    assert (content["not_timed"], content["take"]["speed"]) == ("out of memory", None)
    assert "speed" in " ".join(content["take"]["why"])
    lines = result_lines(untimed).splitlines()
    assert " no speeds and no images side by side: out of memory; the same command" in "\n".join(
        lines
    )
    assert lines[1].split()[5] == "-"


def test_scoring_on_test_needs_no_excuse(compared: Compared, spec: DataSpec) -> None:
    assert "chose the best iteration" not in page_of(compared, spec, split="test")


def test_the_figures_are_plain_json_with_every_part(compared: Compared, spec: DataSpec) -> None:
    content = results(compared, CompareConfig(data=spec.root, minutes=10), spec)

    text = json.dumps(content, allow_nan=False)
    again = json.loads(text)
    assert set(again) == {
        *("format", "format_version", "atrous", "data", "budget", "protocol", "networks"),
        *("differences", "failed", "not_timed", "take"),
    }
    assert (again["format"], again["format_version"]) == ("atrous-comparison", 1)
    assert again["data"]["fingerprint"] == spec.fingerprint
    assert again["budget"] == {"kind": "minutes", "amount": 10, "seeds": 1, "batch_size": 16}
    assert again["protocol"] == PROTOCOL
    assert again["failed"] == {"segnet": "out of memory; lower it"}
    assert again["not_timed"] is None
    assert again["take"]["quality"] == "unet"
    first = again["networks"][0]
    assert first["name"] == "unet"
    assert first["interval_95"] == pytest.approx([0.792, 0.832])
    assert first["spread_between_seeds"] is None  # one seed
    assert first["iou"][2] is None
    assert first["ms_per_image"]["median"] == 156
    assert first["memory_bytes"] == 98_000_000
    assert (first["steps"], first["images_seen"]) == (100, 400)
    assert len(again["differences"]) == 3
    assert set(again["differences"][0]) == {
        *("first", "second", "gain_in_mean_iou", "interval_95", "p", "corrected_p", "significant"),
    }


def test_disagreement_counts_scored_pixels_on_which_any_two_differ() -> None:
    answers = [np.array([[0, 1, 2, 2]]), np.array([[0, 1, 1, 2]]), np.array([[0, 2, 1, 0]])]

    assert disagreement(answers, np.array([[0, 1, 1, 255]]), 255) == pytest.approx(2 / 3)
    assert disagreement(answers, np.full((1, 4), 255), 255) == 0.0


def test_images_are_looked_for_where_the_models_find_unequal_shares(tmp_path: Path) -> None:
    truth = np.array([[10, 0], [10, 10], [5, 5]])
    worse = cell("worse", tmp_path, (np.array([[9, 0], [2, 8], [4, 3]]), truth, truth))
    better = cell("better", tmp_path, (np.array([[10, 0], [9, 9], [4, 5]]), truth, truth))

    assert most_uneven([worse, better]) == [1, 2, 0]  # spreads 0.4, 0.2, 0.1


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    marks = [
        Mark(name, "c0", cost, value, (value, value))
        for name, cost, value in (
            ("slow and good", 100, 0.8),
            ("slow and bad", 90, 0.5),
            ("quick", 10, 0.6),
            ("as quick, worse", 10, 0.55),
        )
    ]

    assert [mark.name for mark in front(marks)] == ["slow and good", "quick"]


@pytest.mark.parametrize("number", [2, 4, 9])
@pytest.mark.parametrize("name", ["net", "deeplab_v3_plus", "unet mobilenet_v2_100"])
def test_names_that_would_meet_are_moved_apart_and_stay_in_the_drawing(
    name: str, number: int
) -> None:
    """As wide as they are on a phone: 19 units high, 11 a letter."""
    rng = np.random.default_rng(0)
    for near in (1.02, 1.3, 3):
        costs, values = near ** rng.random(number), rng.uniform(0.7, 0.71, number)
        marks = [
            Mark(f"{name} {i}", "c0", 30 * costs[i], values[i], (0.6, 0.8)) for i in range(number)
        ]

        drawn = scatter("t", marks)

        boxes = []
        for mark in drawn.marks:
            left = mark.label_x - (11 * len(mark.name) if mark.flush else 0)
            boxes.append((left, left + 11 * len(mark.name), mark.label_y - 14, mark.label_y + 5))
        for (a, b, c, d), (e, f, g, h) in itertools.combinations(boxes, 2):
            assert b <= e or f <= a or d <= g or h <= c
        assert all(a >= drawn.left and b <= drawn.width for a, b, _, _ in boxes)
        assert all(c >= 0 and d <= drawn.bottom for _, _, c, d in boxes)
        assert all(drawn.left < mark.x < drawn.right for mark in drawn.marks)
        assert all(
            drawn.top <= mark.high <= mark.y <= mark.low <= drawn.bottom for mark in drawn.marks
        )


def test_a_name_alone_stands_beside_its_dot() -> None:
    for cost, flush in ((10.0, False), (40.0, True)):
        marks = [Mark("a", "c0", cost, 0.5, (0.4, 0.6)), Mark("b", "c1", 15.0, 0.8, (0.7, 0.9))]
        mark = next(mark for mark in scatter("t", marks).marks if mark.name == "a")
        assert mark.flush is flush
        assert abs(mark.label_x - mark.x) < 12
        assert abs(mark.label_y - mark.y) < 6


def test_a_name_too_long_for_the_drawing_is_still_told() -> None:
    drawn = scatter("t", [Mark("x" * 90, "c0", 5.0 + i, 0.5, (0.4, 0.6)) for i in range(3)])

    assert len({mark.label_y for mark in drawn.marks}) == 3


def test_equal_figures_can_be_drawn() -> None:
    drawn = scatter("t", [Mark(n, "c0", 5.0, 1.0, (1.0, 1.0)) for n in "ab"])

    assert drawn.path == "M" or drawn.path.count("L") <= 1
    assert len(drawn.x_ticks) >= 2
    assert len(drawn.y_ticks) >= 2
