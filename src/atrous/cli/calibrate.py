"""`atrous calibrate MODEL --data D`: probabilities that say how often the network is right."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from atrous.cli.console import answer, number, progress
from atrous.cli.data_faults import look_through
from atrous.evaluation.calibrate_config import CalibrateConfig
from atrous.evaluation.loop import pairs_of
from atrous.weights.sources import check_source

if TYPE_CHECKING:
    from atrous.evaluation.temperature import Calibration

__all__ = ["run", "verdict"]


def run(config: CalibrateConfig) -> int:
    """Fit, store, say what it changes; return 0."""
    check_source(config.model)  # before the data, which may take minutes
    folder = Path(config.model)
    is_kept = folder.is_dir()
    spec = look_through(config.data, config.skip_bad)
    pairs_of(spec, config.split)  # a misspelt split is told before torch is loaded
    from atrous.evaluation.temperature import calibrate
    from atrous.inference import open_predictor
    from atrous.weights import read_model_config, store_calibration

    if is_kept:
        read_model_config(folder)  # where the result cannot be kept, say so before the work
    predictor = open_predictor(config.model, config)
    with progress(None, "images") as bar:
        found = calibrate(
            predictor, spec, config.split, images=config.images, seed=config.seed, progress=bar
        )
    settings = predictor.without_temperature().protocol()
    content = {
        **found.to_json(),
        "split": config.split,
        "seed": config.seed,
        "data": spec.root.name,
        "data_hash": spec.fingerprint,
        "protocol": settings,
    }
    if is_kept:
        store_calibration(folder, content if found.helps else None)
    lines = [
        f"Temperature {found.temperature:.3f}, from {number(found.pixels)} pixels of "
        f"{number(found.images)} images of {config.split}",
        _line("expected calibration error", found.error),
        _line("negative log-likelihood", found.likelihood),
        verdict(found, config, is_kept),
    ]
    answer("\n".join(lines), {**content, "helps": found.helps, "stored": is_kept and found.helps})
    return 0


def verdict(found: "Calibration", config: CalibrateConfig, is_kept: bool) -> str:
    """Return what becomes of the temperature."""
    if not found.helps:
        return "Not stored: on images that it was not fitted on, a temperature is no gain."
    bound = ""
    if found.is_at_bound:
        bound = "This is the end of what is allowed: label more images, harder ones.   "
    if not is_kept:
        return f"{bound}Not stored: {config.model} is no model folder of yours."
    model, data = shlex.quote(config.model), shlex.quote(str(config.data))
    stored = f"Stored: {Path(config.model) / 'config.json'}, used for every probability."
    return f"{bound}{stored}   Next: atrous evaluate {model} --data {data}"


def _line(name: str, pair: tuple[float, float]) -> str:
    before, after = pair
    return f"  {name:<26}  {before:.4f} -> {after:.4f}"
