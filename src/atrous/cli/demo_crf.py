"""What `atrous demo --crf` adds: a CRF for the network that was just trained, and what it does."""

from pathlib import Path
from typing import TYPE_CHECKING

from atrous.cli.console import progress
from atrous.inference.config import CRFChoice

if TYPE_CHECKING:
    from atrous.data import DataSpec
    from atrous.evaluation import Evaluation
    from atrous.inference import Predictor

__all__ = ["sharpened", "told"]


def sharpened(
    predictor: "Predictor", choice: CRFChoice, spec: "DataSpec", model: Path
) -> "Predictor":
    """Return the predictor with a CRF: the named one, or the best on the validation scenes.

    The parameters of a search are stored in the model folder.
    """
    from atrous.evaluation.crf_search import search_crf
    from atrous.inference import Predictor
    from atrous.inference.crf_settings import open_crf
    from atrous.weights import store_crf

    if choice == "stored":
        with progress(None, "CRFs on scenes", unit="CRF") as bar:
            found = search_crf(predictor, spec, "val", progress=bar).to_json()
        store_crf(model, found)
        predictor.model.crf = found
    return Predictor(predictor.model, crf=open_crf(choice, predictor.model))


def told(before: "Evaluation", after: "Evaluation") -> str:
    """Return what the CRF did to the scenes that neither training nor search has seen."""
    rise = after.mean_iou - before.mean_iou
    verdict = "it helps here" if rise > 0.001 else "no gain here: leave it out"
    return f"With the CRF: mIoU {after.mean_iou:.3f} ({rise:+.3f}); {verdict}."
