"""`atrous predict MODEL IMAGE...`: palette masks of files, folders and patterns."""

import shlex

from atrous.cli.console import answer, progress, warn
from atrous.cli.progress import rate
from atrous.cli.review_lines import review_table
from atrous.inference import BatchResult, PredictConfig, predict_batch
from atrous.inference.config import SAMPLES

__all__ = ["run"]

SHOWN = 20
"""Failures told one by one; `--json` holds all of them."""


def run(config: PredictConfig) -> int:
    """Predict; return 0, 1 if an image failed or the disk is full, 130 after Ctrl-C."""
    with progress(None, "images") as bar:
        result = predict_batch(config, progress=bar)
    if result.doubt:
        warn(result.doubt)
    told, content = _summary(result, config), _content(result)
    if config.review and (result.written or result.skipped) and not _is_unfinished(result):
        told, content = _reviewed(result, config, told, content)
    answer(told, content)
    if result.interrupted:
        return 130
    return 1 if result.failures or result.stopped else 0


def _is_unfinished(result: BatchResult) -> bool:
    return result.interrupted or bool(result.stopped)


def _reviewed(
    result: BatchResult, config: PredictConfig, told: str, content: dict[str, object]
) -> tuple[str, dict[str, object]]:
    """Write the review of everything in the folder; add it to what is told."""
    from atrous.inference.review import review
    from atrous.reports import write_review

    assert result.label_set is not None
    with progress(None, "reviewed") as bar:
        items = review(result.folder, result.label_set, progress=bar)
    page = write_review(
        result.folder, items, result.label_set, model=config.model, method=str(config.doubt)
    )
    lines = [review_table(items), told, f"Review: {page}   ({len(items)} images, by doubt)"]
    return "\n".join(lines), content | {
        "review": {"page": page, "images": [item.to_json() for item in items]}
    }


def _summary(result: BatchResult, config: PredictConfig) -> str:
    lines = _failures(result)
    if result.stopped:
        lines.append(result.stopped)
    if result.interrupted:
        lines.append(f"Stopped after this image, nothing lost.   Go on: {_go_on(result, config)}")
    done = f"{len(result.written)} written"
    done += f", {result.skipped} there before" if result.skipped else ""
    speed = f", {rate(len(result.written) / result.seconds, 'img')}" if result.written else ""
    if not result.written and not result.skipped:
        return "\n".join([*lines, "No mask was written."])
    return "\n".join([*lines, f"Masks: {result.folder}   ({done}{speed})"])


def _failures(result: BatchResult) -> list[str]:
    """Return one line for one failure, else a line for each below their number."""
    count = len(result.failures)
    if count == 1:
        return [f"1 failed  {result.failures[0].message}"]
    lines = [f"{count} failed"] if count else []
    lines += [f"  {failure.message}" for failure in result.failures[:SHOWN]]
    return lines + ([f"  and {count - SHOWN} more: --json lists them all"] * (count > SHOWN))


def _go_on(result: BatchResult, config: PredictConfig) -> str:
    """Return the command that finishes what was interrupted."""
    words = ["atrous", "predict", config.model, *config.inputs, "--out", str(result.folder)]
    words += ["--overlay"] * config.overlay + ["--probabilities"] * config.probabilities
    words += ["--flip"] * config.flip + ["--review"] * config.review
    if config.uncertainty is not None:
        words += ["--uncertainty", config.uncertainty]
    if config.samples != SAMPLES:
        words += ["--samples", str(config.samples)]
    if config.scales != (1.0,):
        words += ["--scales", ",".join(map(str, config.scales))]
    if config.tile is not None:
        words += ["--tile", str(config.tile)]
    for name, default in (("crf", None), ("device", "auto"), ("precision", "fp32")):
        if getattr(config, name) != default:
            words += [f"--{name}", getattr(config, name)]
    return shlex.join([*words, "--resume"])


def _content(result: BatchResult) -> dict[str, object]:
    return {
        "folder": result.folder,
        "written": result.written,
        "skipped": result.skipped,
        "failed": [{"image": f.path, "error": f.message} for f in result.failures],
        "stopped": result.stopped,
        "interrupted": result.interrupted,
        "seconds": result.seconds,
        "doubt": result.doubt,
    }
