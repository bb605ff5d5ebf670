"""The report of one training run: is it good, where is it wrong, what to do next."""

from datetime import datetime
from pathlib import Path

import numpy as np

from atrous import __version__
from atrous.data import DataSpec, Pair
from atrous.evaluation import Evaluation
from atrous.files import write_text
from atrous.inference import Predictor
from atrous.reports.class_rows import class_rows
from atrous.reports.course import course_charts
from atrous.reports.data_rows import data_rows, never_seen, split_summaries
from atrous.reports.gallery import best_and_worst
from atrous.reports.next_steps import near, next_steps
from atrous.reports.page import count, render
from atrous.reports.remarks import remarks
from atrous.reports.run_record import MISSING, RunRecord, read_run
from atrous.reports.score_content import score_content

__all__ = ["write_training_report"]


def write_training_report(
    run_folder: Path, *, evaluation: Evaluation, spec: DataSpec, predictor: Predictor
) -> Path:
    """Write `report.html` into a run folder: one file that needs no network and no script.

    Args:
        run_folder: Holds `config.yaml`, `environment.json` and `metrics.jsonl`; a missing one
            leaves its section out.
        evaluation: Of the best model, with one score an image.
        spec: The data of the run; the evaluated images are read again from it.
        predictor: The one that was evaluated; it draws the best and the worst images.

    Returns:
        The path of the report.

    Raises:
        InputError: `run_folder` is no folder, or one of its files cannot be understood.
        OSError: The disk is full, ...; an earlier report is intact.
    """
    run = read_run(run_folder)
    split = str(evaluation.protocol.get("split", "val"))

    def predict(pair: Pair) -> np.ndarray:
        return predictor(spec.read_image(pair)).labels

    best, worst = best_and_worst(evaluation, spec, predict, split=split)
    content = {
        "title": _title(run_folder),
        "subtitle": _subtitle(run, spec, predictor),
        "version": __version__,
        "written": datetime.now().astimezone(),
        "split": split,
        "best": best,
        "worst": worst,
        **_scores(evaluation, spec, run),
        **_course(evaluation, spec, run, split),
        **_data(spec),
    }
    path = run_folder / "report.html"
    write_text(path, render("training_report.html.jinja", content))
    return path


def _scores(evaluation: Evaluation, spec: DataSpec, run: RunRecord) -> dict[str, object]:
    """Return what the template says about the evaluation."""
    rows = class_rows(evaluation.matrix, evaluation.label_set, [x.iou for x in run.validations])
    said = remarks(evaluation, rows, run, never_seen(spec, "train"))
    return {**score_content(evaluation, rows), "remarks": said}


def _course(
    evaluation: Evaluation, spec: DataSpec, run: RunRecord, split: str
) -> dict[str, object]:
    """Return what the template says about the run itself."""
    baseline, constant = evaluation.baseline
    name = f"all {evaluation.label_set.names[constant]}"
    name += "" if split == "val" else f" in {split}"  # the curve is of val
    return {
        "run": run,
        "missing": MISSING,
        "charts": course_charts(run, baseline, name),
        "steps": next_steps(run, spec, split),
    }


def _data(spec: DataSpec) -> dict[str, object]:
    """Return what the template says about the data."""
    return {
        "splits": split_summaries(spec),
        "data_rows": data_rows(spec),
        "findings": spec.findings,
    }


def _title(folder: Path) -> str:
    """Return the run's name: its folder as typed, without the `runs` that all of them lie in."""
    short = near(folder.resolve())
    parts = [part for part in short.parts if part != "runs"]
    return "/".join(parts) if parts and not short.is_absolute() else short.name


def _subtitle(run: RunRecord, spec: DataSpec, predictor: Predictor) -> str:
    """Return what was trained on what, in one line."""
    model = predictor.model
    parts = (model.spec.architecture, model.spec.encoder_name)
    network = " / ".join(part for part in parts if part)  # no name: the paper's own encoder
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    length = [f"{count(run.last_step)} iterations"] if run.last_step else []
    size = f"{parameters:.1f} M parameters"
    return " · ".join([network, size, *length, f"data {spec.root.name}"])
