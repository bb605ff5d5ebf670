"""What a run folder tells about itself: configuration, environment and the course of training."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from atrous.errors import InputError

__all__ = ["MISSING", "RunRecord", "TrainPoint", "Validation", "flatten", "read_run"]

MISSING = "\N{EN DASH}"
"""Stands where the configuration holds nothing."""


@dataclass(frozen=True)
class TrainPoint:
    """One line of `metrics.jsonl` from training; nan where a figure is missing."""

    step: int
    loss: float
    lr: float
    adversary_accuracy: float = math.nan


@dataclass(frozen=True)
class Validation:
    """One validation during training; IoU is nan for a class that the split lacks."""

    step: int
    mean_iou: float
    iou: tuple[float, ...]
    loss: float


@dataclass(frozen=True)
class RunRecord:
    """Everything but the evaluation that the report says about a run.

    Attributes:
        folder: The run folder.
        configuration: `config.yaml` as dotted names and texts.
        environment: `environment.json` likewise.
        train: Training lines, by step.
        validations: Validations, by step.
        saved: What the saved model says of itself; None if it says nothing.
    """

    folder: Path
    configuration: Mapping[str, str]
    environment: Mapping[str, str]
    train: tuple[TrainPoint, ...]
    validations: tuple[Validation, ...]
    saved: Validation | None = None

    @property
    def last_step(self) -> int:
        """The last iteration that the metrics know; 0 without metrics."""
        steps = [point.step for point in self.train] + [entry.step for entry in self.validations]
        return max(steps, default=0)

    @property
    def best(self) -> Validation | None:
        """The validation of the saved model, or the first of the highest mIoU, if there is one.

        The two differ where a run went on with another tile, or with another length after a kill.
        """
        if self.saved is not None:
            return self.saved
        scored = [entry for entry in self.validations if math.isfinite(entry.mean_iou)]
        return max(scored, key=lambda entry: entry.mean_iou, default=None)


def read_run(folder: Path) -> RunRecord:
    """Read `config.yaml`, `environment.json`, `metrics.jsonl` and the card of the best model.

    Each may be missing.

    A last line of the metrics that a kill cut in half is left out.

    Raises:
        InputError: `folder` is no folder, or one of the files cannot be understood.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no run folder; give the folder that `atrous train` wrote")
    lines = _metrics(folder / "metrics.jsonl")
    return RunRecord(
        folder=folder,
        configuration=_mapping(folder / "config.yaml"),
        environment=_mapping(folder / "environment.json"),
        train=tuple(
            TrainPoint(
                _step(x),
                _number(x, "loss"),
                _number(x, "lr"),
                _number(x, "adversary_accuracy"),
            )
            for x in _by_step(lines, "train")
        ),
        validations=tuple(
            Validation(_step(x), _number(x, "mean_iou"), _numbers(x, "iou"), _number(x, "loss"))
            for x in _by_step(lines, "val")
        ),
        saved=_saved(folder / "model" / "config.json"),
    )


def flatten(content: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return nested mappings as one level of dotted names and short texts.

    Example:
        >>> flatten({"crop": [2, 3], "gpu": {"name": "H200"}})
        {'crop': '2, 3', 'gpu.name': 'H200'}
    """
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _text(value)
    return flat


def _text(value: object) -> str:
    if value is None or value == [] or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(entry) for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mapping(path: Path) -> dict[str, str]:
    """Read a YAML or JSON file (JSON is YAML) that holds one mapping; {} when it is missing."""
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as YAML; restore it ({error})") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds {type(content).__name__}, but a mapping is needed")
    return flatten(content)


def _saved(path: Path) -> Validation | None:
    """Return the score in a model's card, if `atrous train` has written one."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        metrics, step = dict(card["metrics"]), int(card["provenance"]["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    score = _number(metrics, "mean_iou")
    return Validation(step, score, (), math.nan) if math.isfinite(score) else None


def _metrics(path: Path) -> list[dict[str, object]]:
    if not path.is_file():
        return []
    rows = path.read_text(encoding="utf-8").splitlines()
    lines: list[dict[str, object]] = []
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            lines.append(dict(json.loads(row)))
        except (json.JSONDecodeError, TypeError, ValueError) as error:
            if number == len(rows):
                break  # the process was killed while it wrote this line
            raise InputError(f"{path}, line {number} is no JSON object; remove it") from error
    return lines


def _by_step(lines: list[dict[str, object]], split: str) -> list[dict[str, object]]:
    """Return the lines of `split` by step; after a resume the later line of a step counts."""
    latest = {_step(line): line for line in lines if line.get("split") == split}
    return [latest[step] for step in sorted(latest)]


def _step(line: Mapping[str, object]) -> int:
    step = line.get("step")
    return step if isinstance(step, int) else 0


def _number(line: Mapping[str, object], key: str) -> float:
    value = line.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def _numbers(line: Mapping[str, object], key: str) -> tuple[float, ...]:
    values = line.get(key)
    if not isinstance(values, list):
        return ()
    return tuple(float(x) if isinstance(x, int | float) else math.nan for x in values)
