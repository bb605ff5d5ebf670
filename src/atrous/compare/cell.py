"""One cell of the comparison: one network, one seed, trained (or found) and scored.

A cell is a folder: `run/`, an ordinary run that `atrous train --resume` knows too, `counts.npz`,
and `cell.json`, which is written last. Where `cell.json` is, the cell is finished.
"""

import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from atrous.compare.apart import Tell
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.compare.plan import Plan, planned_training
from atrous.compare.scoring import opened, predictor_of
from atrous.data import DataSpec, open_data
from atrous.errors import InputError
from atrous.evaluation import Evaluation, evaluate
from atrous.evaluation.bootstrap import Counts
from atrous.files import write_bytes, write_json
from atrous.training import RunResult, Silent, TrainConfig, fit
from atrous.weights import read_model_config

__all__ = ["Cell", "read_cell", "run_cell"]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Cell:
    """A finished cell, as it lies on the disk.

    Attributes:
        name: Of its network in the comparison.
        seed: Of its training; None for a model that was finished before.
        facts: What `cell.json` says.
        counts: Pixels of each class in each image.
        boundary: (N,) BF score of each image.
        confidence: (N, 3, bins) what each image adds to the calibration error.
    """

    name: str
    seed: int | None
    facts: Mapping[str, object]
    counts: Counts
    boundary: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def model(self) -> Path:
        """Return the folder of its model."""
        return Path(str(self.facts["model"]))

    @property
    def further(self) -> int:
        """Return by how many steps it was trained beyond its plan, with `atrous train --extend`."""
        steps = self.facts.get("steps")
        planned = self.facts.get("planned_steps", steps)
        return steps - planned if isinstance(steps, int) and isinstance(planned, int) else 0


def run_cell(
    config: CompareConfig,
    entry: Entry,
    seed: int,
    plan: Plan,
    folder: Path,
    fingerprint: str,
    tell: Tell,
) -> None:
    """Train what is still to be trained, score it, and write the cell (see `apart`).

    Raises:
        InputError: The data have changed since the comparison began, or what training raises.
        KeyboardInterrupt: Ctrl-C; the run can be gone on with.
    """
    spec = open_data(config.data)
    if spec.fingerprint != fingerprint:
        raise InputError("the data have changed since the comparison began; restore them")
    share = plan.train_seconds / max(plan.seconds, 1e-9)
    facts: dict[str, object] = {}
    if entry.model is not None:
        predictor, model = opened(entry, config), entry.model
    else:
        training = planned_training(config, entry, seed, plan)
        result = _trained(training, folder / "run", spec, tell, share)
        assert result.predictor is not None
        predictor, model = predictor_of(result.predictor.model, config), result.model
        facts = {"steps": result.step, "images_seen": result.step * config.batch_size}
        facts |= {"seed": seed, "planned_steps": plan.iterations, **_spent(folder / "run")}
    evaluation = evaluate(
        predictor,
        spec,
        config.split,
        details=True,
        progress=lambda done, total: tell("scoring", share + (1 - share) * done / total),
    )
    _write(folder, entry, evaluation, model, facts)


def read_cell(folder: Path, entry: Entry) -> Cell | None:
    """Return the cell in `folder` if it is finished, and of the model that is there now."""
    try:
        facts = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
        with np.load(folder / "counts.npz") as arrays:
            counts = arrays["hits"], arrays["truth"], arrays["predicted"]
            boundary, confidence = arrays["boundary"], arrays["confidence"]
    except (OSError, ValueError, KeyError):
        return None
    if facts.get("format") != FORMAT:
        return None
    model = entry.model or folder / "run" / "model"  # the folder may have been moved
    if _fingerprint(model) != facts.get("model_fingerprint"):
        return None  # it was trained further meanwhile, or is gone
    facts["model"] = str(model)
    return Cell(entry.name, facts["seed"], facts, counts, boundary, confidence)


def _fingerprint(model: Path) -> str | None:
    """Return that of a model folder, None where there is none."""
    try:
        return read_model_config(model).fingerprint
    except (InputError, OSError):
        return None


def _write(
    folder: Path, entry: Entry, evaluation: Evaluation, model: Path, facts: Mapping[str, object]
) -> None:
    """Write `counts.npz`, then `cell.json`."""
    hits, truth, predicted = _counts(evaluation)
    details = [image.details for image in evaluation.per_image if image.details is not None]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        hits=hits,
        truth=truth,
        predicted=predicted,
        boundary=np.array([_mean_of_known(each.boundary_f1) for each in details]),
        confidence=np.stack([each.calibration for each in details if each.calibration is not None]),
    )
    write_bytes(folder / "counts.npz", buffer.getvalue())
    card = read_model_config(model)
    content = {
        "format": FORMAT,
        "name": entry.full_name or entry.name,
        "network": card.spec.architecture,
        "encoder": card.spec.encoder_name,
        "seed": None,
        "model": str(model),
        "model_fingerprint": card.fingerprint,
        "provenance": dict(card.provenance),
        **facts,
        "evaluation": evaluation.to_json(),
    }
    write_json(folder / "cell.json", content)


def _counts(evaluation: Evaluation) -> Counts:
    """Return the counts of every image of an evaluation."""
    images = evaluation.per_image
    return (
        np.stack([image.hits for image in images]),
        np.stack([image.truth for image in images]),
        np.stack([image.predicted for image in images]),
    )


def _mean_of_known(values: NDArray[np.float64]) -> float:
    """Return the mean over the classes that occur, NaN where none does."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _trained(
    training: TrainConfig, run: Path, spec: DataSpec, tell: Tell, share: float
) -> RunResult:
    """Train, or go on where an earlier process was killed."""
    if (run / "config.yaml").is_file():
        config = TrainConfig(resume=run, data=training.data)
    else:
        config = dataclasses.replace(training, out=run)
    assert training.iterations is not None
    result = fit(config, spec=spec, reporter=_Steps(training.iterations, tell, share))
    if result.predictor is None:
        raise KeyboardInterrupt
    return result


class _Steps(Silent):
    """Tells how far a training has come."""

    def __init__(self, iterations: int, tell: Tell, share: float) -> None:
        self._iterations = iterations
        self._tell = tell
        self._share = share
        self._score = ""

    def step(self, step: int, *, loss: float, images_per_second: float) -> None:
        """Tell the step, and the latest score."""
        text = f"iteration {step}/{self._iterations}  loss {loss:.2f}{self._score}"
        self._tell(text, self._share * step / self._iterations)

    def validation(self, step: int, *, mean_iou: float, best: bool) -> None:
        """Remember the score."""
        self._score = f"  mIoU {mean_iou:.3f}"


def _spent(run: Path) -> dict[str, object]:
    """Return how long a run took, by its journal: a killed part that was done again counts once."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["split"] == "train"]
    validations = [line for line in lines if line["split"] == "val"]
    last = max((line["step"] for line in lines), default=0)
    a_step = float(np.mean([line["seconds"] for line in steps])) if steps else 0.0
    seconds = last * a_step + sum(line["seconds"] for line in validations)
    best = max(validations, key=lambda line: line["mean_iou"], default=None)
    return {"train_seconds": seconds, "best_step": best["step"] if best else None}
