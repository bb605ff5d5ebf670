"""`report.html` of a comparison: one static page that answers "which one?"."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from atrous import __version__
from atrous.compare.comparison import Compared
from atrous.compare.config import CompareConfig
from atrous.compare.record import protocol_of
from atrous.compare.significance import enough_draws
from atrous.compare.table import Table
from atrous.compare.verdict import as_good, why_equal
from atrous.data import DataSpec
from atrous.files import write_text
from atrous.labels import LabelSet
from atrous.reports.chart import Chart, Line, line_chart, thin
from atrous.reports.class_rows import css_colour
from atrous.reports.page import count, render
from atrous.reports.pictures import WRONG
from atrous.reports.run_record import flatten, read_run
from atrous.reports.scatter import Mark, Scatter, scatter

__all__ = ["write_report"]

MOST_POINTS = 120
"""Points of a learning curve."""

FEW_IMAGES = 20
"""Below this the bootstrap is known to promise too much."""

COLOURS = 8
"""Curves that have a colour of their own in `page.css`; more networks share them."""


def write_report(compared: Compared, config: CompareConfig, spec: DataSpec) -> Path:
    """Write `report.html` into the folder of a comparison: no network, no script.

    Args:
        compared: What it found.
        config: What it was told.
        spec: The data.

    Returns:
        The path of the report.
    """
    table = compared.table
    path = compared.folder / "report.html"
    content = {
        "title": f"Which network for {_data_name(config, spec)}?",
        "subtitle": _subtitle(compared, config, spec),
        "notice": config.notice,
        "version": __version__,
        "written": datetime.now().astimezone(),
        "split": config.split,
        "table": table,
        "verdict": compared.verdict,
        "equals": _equals(table),
        "pairs": sorted(table.differences, key=lambda d: d.corrected_p),
        "draws": enough_draws(len(table.differences)),
        "seeds": config.seeds,
        "pareto": _pareto(table),
        "classes": _class_table(table, spec.label_set),
        "strips": compared.together.strips,
        "swatches": [css_colour(colour) for colour in spec.label_set.colours],
        "wrong": css_colour(WRONG),
        "curves": _curves(compared),
        "budget": _budget(config),
        "plans": compared.planned.plans,
        "protocol": flatten(protocol_of(compared)),
        "data_hash": spec.fingerprint,
        "remarks": _remarks(compared, config),
    }
    write_text(path, render("compare_report.html.jinja", content))
    return path


def _data_name(config: CompareConfig, spec: DataSpec) -> str:
    source = config.data
    is_named = source.is_file() and source.stem != "data"
    return source.stem if is_named else spec.root.resolve().name


def _subtitle(compared: Compared, config: CompareConfig, spec: DataSpec) -> str:
    table = compared.table
    networks = f"{len(table.rows)} network{'s' * (len(table.rows) != 1)}"
    learnt = len(spec.splits.get("train", ()))
    trained = [f"{count(learnt)} images to learn from"] if learnt else []
    scored = f"{count(table.images)} images of {config.split} to judge by"
    return " · ".join(
        [networks, _budget(config), *trained, scored, f"{len(table.classes)} classes"]
    )


def _budget(config: CompareConfig) -> str:
    kind, amount = config.budget
    words = {"minutes": "minutes", "iterations": "iterations", "samples": "training images"}
    each = f"{amount:g} {words[kind]} each"
    return each if config.seeds == 1 else f"{each}, {config.seeds} seeds"


def _equals(table: Table) -> Mapping[str, str]:
    """Return the rows that are as good as the best, and why they are called so."""
    best = table.best
    if best is None:
        return {}
    twins = [row for row in as_good(table) if row is not best]
    return {row.name: why_equal(table.between(best.name, row.name)) for row in twins}


def _pareto(table: Table) -> Scatter | None:
    """Return quality against speed; None where no speed was measured."""
    if not (table.rows and table.is_timed):
        return None
    marks = [
        Mark(row.name, f"c{index % COLOURS}", row.milliseconds, row.mean_iou, row.interval)
        for index, row in enumerate(table.rows)
    ]
    return scatter("mIoU against milliseconds an image", marks)


def _class_table(table: Table, label_set: LabelSet) -> list[dict[str, object]]:
    """Return a row for each class: its colour, and the IoU of every network with its shade."""
    rows: list[dict[str, object]] = []
    for k, name in enumerate(label_set.names):
        values = [row.iou[k] for row in table.rows]
        known = [value for value in values if value is not None]
        rows.append(
            {
                "name": name,
                "colour": css_colour(label_set.colours[k]),
                "values": values,
                "best": max(known, default=None),
            }
        )
    return rows


def _curves(compared: Compared) -> list[Chart]:
    """Return validation mIoU over the steps of all networks, where there are journals of them."""
    lines: list[Line] = []
    key: list[tuple[str, str]] = []
    last = 0
    for index, row in enumerate(compared.table.rows):
        kind = f"c{index % COLOURS}"
        for cell in compared.cells[row.name]:
            run = cell.model.parent
            if not (run / "metrics.jsonl").is_file():
                continue
            record = read_run(run)
            points = thin([(x.step, x.mean_iou) for x in record.validations], MOST_POINTS)
            if points:
                lines.append(Line(kind, points))
                last = max(last, record.last_step)
        if any(line.kind == kind for line in lines):
            key.append((kind, row.name))
    if not lines:
        return []
    return [line_chart("mIoU on val", lines, last_step=last, key=key, top=1.0)]


def _remarks(compared: Compared, config: CompareConfig) -> list[str]:
    """Return what a careful reader would object to, before they do."""
    rows = compared.table.rows
    said = [compared.together.lack] if compared.together.lack else []
    said += [f"{row.name}: {remark}" for row in rows for remark in row.remarks]
    said += [
        f"{name}: {note}" for name, plan in compared.planned.plans.items() for note in plan.notes
    ]
    starts = {row.start for row in rows if row.start != "finished"}
    if len(starts) > 1:
        said.append(
            "The networks did not begin alike ("
            + ", ".join(f"{row.name}: {row.start}" for row in rows if row.start != "finished")
            + "): part of every difference is that of the start, not of the network."
        )
    if compared.table.images < FEW_IMAGES:
        said.append(
            f"{compared.table.images} images are few: draws of so few vary less than new images "
            "would, so intervals are too narrow and p-values too small."
        )
    finished = [row.name for row in rows if row.start == "finished"]
    if finished:
        said.append(f"Trained before, with a budget of their own: {', '.join(finished)}.")
    if config.split == "val" and len(finished) < len(rows):
        said.append(
            "The same images chose the best iteration of each training, so every score here "
            "flatters a little; --split test, where there is one, does not."
        )
    if config.seeds == 1 and len(finished) < len(rows):
        said.append(
            "One training of each network: the intervals are over images alone. Another seed may "
            "move a score as far; --seeds 3 shows how far."
        )
    said += [f"{row.name} has learnt nothing yet." for row in rows if not row.has_learnt]
    return said
