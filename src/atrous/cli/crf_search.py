"""`atrous crf-search MODEL --data D`: the best CRF for a model, and whether to use it at all."""

import math
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from atrous.cli.console import answer, progress
from atrous.cli.data_faults import look_through
from atrous.cli.progress import duration
from atrous.errors import counted
from atrous.evaluation.crf_search_config import FEWEST, CRFSearchConfig
from atrous.evaluation.loop import pairs_of
from atrous.weights.sources import check_source

if TYPE_CHECKING:
    from atrous.evaluation.crf_search import CRFSearch, Gain

__all__ = ["advice", "best_line", "gain_line", "run"]


def run(config: CRFSearchConfig) -> int:
    """Search, store, advise; return 0."""
    check_source(config.model)  # before the data, which may take minutes
    spec = look_through(config.data, config.skip_bad)
    pairs_of(spec, config.split)  # a misspelt split is told before torch is loaded
    from atrous.crf import DenseCRF
    from atrous.evaluation.crf_search import search_crf
    from atrous.inference import open_predictor
    from atrous.weights import read_model_config, store_crf

    folder = Path(config.model)
    is_kept = folder.is_dir()
    if is_kept:
        read_model_config(folder)  # where the result cannot be kept, say so before the search
    predictor = open_predictor(config.model, config)
    begin = time.monotonic()
    with progress(None, "CRFs on images", unit="CRF") as bar:
        base = DenseCRF.published(config.start)
        found = search_crf(
            predictor, spec, config.split, images=config.images, base=base, progress=bar
        )
    content = {**found.to_json(), "split": config.split, "protocol": predictor.protocol()}
    if is_kept:
        store_crf(folder, content)
    spent = duration(time.monotonic() - begin)
    lines = [
        f"{len(found.points)} CRFs on {found.images} images of {config.split} in {spent} min",
        gain_line("mIoU", found.mean_iou),
        gain_line("boundary F1", found.boundary_f1),
        best_line(found) + (f"   Stored: {folder / 'config.json'}" if is_kept else ""),
        advice(found, shlex.quote(config.model), is_kept),
    ]
    answer("\n".join(lines), content)
    return 0


def gain_line(name: str, gain: "Gain") -> str:
    """Return a score without and with the CRF, and the interval of the difference."""
    low, high = gain.interval
    told = "one image has no interval" if math.isnan(low) else f"95 % {low:+.4f} to {high:+.4f}"
    rise = gain.after - gain.before
    return f"  {name:<11}  {gain.before:.4f} -> {gain.after:.4f}   {rise:+.4f} ({told})"


def best_line(found: "CRFSearch") -> str:
    """Return the best parameters in the papers' words."""
    best = found.crf.appearance
    assert best is not None
    return f"Best: w1 {best.weight:g}, theta_alpha {best.xy_std:g}, theta_beta {best.rgb_std:g}."


def advice(found: "CRFSearch", model: str, is_kept: bool) -> str:
    """Return whether to use the CRF, and how."""
    if found.images < FEWEST:
        images = counted(found.images, "image")
        return f"No advice: {images} say too little, {FEWEST} or more are needed."
    if found.helps:
        how = f"atrous predict {model} IMAGES --crf" if is_kept else "a model folder can keep it"
        return f"It helps: each half was scored with the other half's best.   Next: {how}"
    if found.mean_iou.interval[1] < 0:
        return "Do not use a CRF with this model: it lowers the mIoU."
    return "Do not use a CRF with this model: its gain cannot be told from none."
