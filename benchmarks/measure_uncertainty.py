"""Does doubt find mistakes? Each method of uncertainty against the errors of the same network.

Regime: one model, one split, its images one by one at the labels' own size, void left out. For the
entropy, the mutual information and the variance of each method: the area under the ROC curve for
"this pixel is wrong", and the error rate among the 5 % most doubtful pixels beside that of all. For
the review: rank correlation (Spearman) of an image's error rate with the mean of its doubt, which
is what a review takes, with the mean of the 5 % highest values, and with the same after smoothing.

Usage: python benchmarks/measure_uncertainty.py MODEL DATA [--split val] [--images N] [--samples N]
"""

import argparse
import json
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import spearmanr

import atrous
from atrous.data import open_data
from atrous.evaluation.loop import pairs_of
from atrous.inference import Uncertainty
from atrous.inference.review import SHARE, smoothed_doubt
from atrous.labels import VOID

LEVELS = 2**16
METHODS = ("entropy", "mc_dropout", "flip", "scales")


@dataclass
class Tally:
    """Pixels by level of doubt, right and wrong; figures of the images."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros((2, LEVELS)))
    images: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, doubt: np.ndarray, wrong: np.ndarray, scored: np.ndarray) -> None:
        """Count the pixels of one image."""
        levels = np.rint(doubt * (LEVELS - 1)).astype(np.int64)
        for is_wrong in (0, 1):
            chosen = levels[scored & (wrong == bool(is_wrong))]
            self.counts[is_wrong] += np.bincount(chosen, minlength=LEVELS)
        self.images.append(
            (
                float(wrong[scored].mean()),
                float(doubt.mean()),
                highest(doubt),
                highest(smoothed_doubt(doubt)),
            )
        )

    def figures(self) -> dict[str, float]:
        """Return AUROC, error rates and rank correlations."""
        right, wrong = self.counts[:, ::-1]  # the most doubtful first
        rates = np.cumsum(wrong) / wrong.sum()
        alarms = np.cumsum(right) / right.sum()
        area = np.trapezoid(np.r_[0, rates], np.r_[0, alarms])
        both = np.cumsum(right + wrong)
        top = int(np.searchsorted(both, SHARE * both[-1]))
        errors, *doubts = np.array(self.images).T
        ranks = [float(spearmanr(errors, each).statistic) for each in doubts]
        return {
            "auroc": float(area),
            "error_rate_top": float(wrong[: top + 1].sum() / both[top]),
            "error_rate": float(wrong.sum() / both[-1]),
            "share_of_errors_in_top": float(rates[top]),
            **dict(zip(("rank_mean", "rank_top", "rank_smoothed"), ranks, strict=True)),
        }


def highest(doubt: np.ndarray) -> float:
    """Return the mean of the 5 % highest values."""
    count = max(1, round(SHARE * doubt.size))
    return float(np.sort(doubt, axis=None)[-count:].mean())


def main() -> None:
    """Measure every method on the same images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()

    model, spec = atrous.load(options.model), open_data(options.data)
    pairs = pairs_of(spec, options.split)
    chosen = np.linspace(0, len(pairs) - 1, min(options.images, len(pairs))).astype(int)
    content: dict[str, object] = {"model": options.model, "images": len(chosen)}
    for method in options.methods.split(","):
        predictor = atrous.Predictor(model, uncertainty=Uncertainty(method, options.samples))
        names, seconds = ("entropy", "mutual information", "variance"), 0.0
        tallies = {name: Tally() for name in names}
        for index in chosen:
            labels = spec.read_labels(pairs[index])
            begin = time.process_time()
            found = predictor(spec.read_image(pairs[index]))
            seconds += time.process_time() - begin
            wrong, scored = found.labels != labels, labels != VOID
            for tally, doubt in zip(
                tallies.values(),
                (found.uncertainty, found.mutual_information, 4 * found.variance),  # to 0..1
                strict=True,
            ):
                tally.add(doubt, wrong, scored)
        if method == "entropy":  # of one pass
            del tallies["mutual information"], tallies["variance"]
        rows = {name: tally.figures() for name, tally in tallies.items()}
        content[method] = {**rows, "cpu_seconds_per_image": seconds / len(chosen)}
        for name, row in rows.items():
            told = "  ".join(f"{key} {value:.3f}" for key, value in row.items())
            print(f"{method:<11} {name:<19} {told}", flush=True)
    print(json.dumps({**content, "torch": torch.__version__, "atrous": atrous.__version__}))


if __name__ == "__main__":
    main()
