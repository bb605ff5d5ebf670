"""The best model of a run so far: what lies in its folder, and the score that it has to beat.

The model folder alone says which one is the best. A checkpoint does not repeat it: a run that is
killed between the two writes would contradict itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrous.data import DataSpec
from atrous.evaluation import Evaluation, evaluate
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.watch import Reporter
from atrous.weights import load, read_model_config, save

__all__ = ["Best", "best_so_far", "save_best"]


@dataclass(frozen=True)
class Best:
    """The best validation of a run.

    Attributes:
        mean_iou: Its score; -1 before the first one.
        step: The optimizer steps that it was taken after.
    """

    mean_iou: float = -1.0
    step: int = 0


def save_best(
    model: SegmentationModel,
    folder: Path,
    evaluation: Evaluation,
    provenance: Mapping[str, object],
    licence: str | None = None,
) -> None:
    """Write the model folder of the run in `folder`.

    Args:
        model: The best so far.
        folder: The run folder.
        evaluation: Its scores.
        provenance: "step", data, seed, encoder weights.
        licence: Terms of the weights, if somebody has set them.
    """
    metrics = evaluation.to_json()
    del metrics["per_image"]  # a model is given away; the names of private images are not
    save(model, folder / "model", metrics=metrics, provenance=provenance, licence=licence)


def best_so_far(
    folder: Path, spec: DataSpec, *, tile: int | None, done: int, device: str, reporter: Reporter
) -> Best:
    """Return the score of the model that the run in `folder` has kept.

    Where the run goes on with another tile, that model is scored and written again: the scores of
    two tiles cannot be compared.

    Args:
        folder: The run folder.
        spec: The data.
        tile: The windows of this continuation.
        done: Optimizer steps of the checkpoint. After a kill the model may be ahead of it.
        device: "cpu" or "cuda".
        reporter: Is told of another tile, and of a model that is ahead.
    """
    place = folder / "model"
    if not place.is_dir() or not any(place.glob("*.safetensors")):
        return Best()
    card = read_model_config(place)
    step, score = card.provenance.get("step"), card.metrics.get("mean_iou")
    if not isinstance(step, int) or not isinstance(score, float):
        return Best()  # not written by a run: the next validation replaces it
    if card.tile != tile:
        model = load(place)
        model.tile = tile
        evaluation = evaluate(Predictor(model, device=device), spec, "val")
        save_best(model, folder, evaluation, card.provenance, card.licence)
        reporter.note(
            f"Best     of iteration {step}, scored again with tile {_in_words(tile)}: "
            f"mean IoU {evaluation.mean_iou:.3f} instead of {score:.3f} with {_in_words(card.tile)}"
        )
        score = evaluation.mean_iou
    if step > done:
        reporter.note(
            f"Best     of iteration {step}, saved before the run was stopped at {done}: "
            f"mean IoU {score:.3f}; it stays until it is beaten"
        )
    return Best(score, step)


def _in_words(tile: int | None) -> str:
    return "auto" if tile is None else str(tile)
