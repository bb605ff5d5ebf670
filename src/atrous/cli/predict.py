"""`atrous predict MODEL IMAGE...`: palette masks of files, folders and patterns."""

import shlex

from atrous.cli.console import answer, progress, warn
from atrous.cli.progress import rate
from atrous.inference import BatchResult, PredictConfig, predict_batch

__all__ = ["run"]

SHOWN = 20
"""Failures told one by one; `--json` holds all of them."""


def run(config: PredictConfig) -> int:
    """Predict; return 0, 1 if an image failed or the disk is full, 130 after Ctrl-C."""
    with progress(None, "images") as bar:
        result = predict_batch(config, progress=bar)
    if result.doubt:
        warn(result.doubt)
    answer(_summary(result, config), _content(result))
    if result.interrupted:
        return 130
    return 1 if result.failures or result.stopped else 0


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
    words += ["--flip"] * config.flip
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
