"""`atrous calibrate MODEL --data D`: probabilities that say how often the network is right."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atrous.cli.console import answer, number, progress, warn
from atrous.cli.data_faults import look_through
from atrous.errors import InputError
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

    # Read before the work: where the result cannot be kept, that is told at once.
    provenance = read_model_config(folder).provenance if is_kept else {}
    if config.split == "train":
        _check_training_split(provenance, spec.fingerprint, config.model)
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
    others = [name for name in spec.splits if name not in ("train", config.split)]
    lines = [
        f"Temperature {found.temperature:.3f}, from {number(found.pixels)} pixels of "
        f"{number(found.images)} images of {config.split}",
        _line("expected calibration error", found.error),
        _line("negative log-likelihood", found.likelihood),
        verdict(found, config, is_kept, [name for name in others if spec.splits[name]]),
    ]
    answer("\n".join(lines), {**content, "helps": found.helps, "stored": is_kept and found.helps})
    return 0


def verdict(
    found: "Calibration", config: CalibrateConfig, is_kept: bool, others: Sequence[str]
) -> str:
    """Return what becomes of the temperature; `others` are splits that it was not fitted on."""
    low, high = found.gain
    if math.isnan(low):
        return "Not stored: one image cannot tell whether a temperature suits another one."
    gain = f"a gain of {found.likelihood[0] - found.likelihood[1]:.4f} nats"
    gain += f" (95 % {low:.4f} to {high:.4f}) on images that it was not fitted on"
    if not found.helps:
        return f"Not stored: {gain} may be chance."
    bound = ""
    if found.is_at_bound:
        bound = "This is the end of what is allowed: label more images, harder ones.   "
    if not is_kept:
        return f"{bound}Not stored: {config.model} is no model folder of yours."
    stored = f"Stored: {Path(config.model) / 'config.json'}, used for every probability; {gain}."
    if not others:
        return bound + stored
    words = ["evaluate", config.model, "--data", str(config.data), "--split", others[0]]
    return f"{bound}{stored}   Next: atrous {shlex.join(words)}"


def _check_training_split(provenance: Mapping[str, object], fingerprint: str, model: str) -> None:
    """Refuse the images that a model was trained on; doubt others of that name.

    Raises:
        InputError: The model says that it was trained on these data.
    """
    todo = "take images that it was not trained on: --split val"
    if provenance.get("data") == fingerprint:
        raise InputError(
            f"{model} was trained on split train of these data, where it is surer and more often "
            f"right than anywhere else; {todo}"
        )
    warn(f"if {model} was trained on this split, the temperature will be too low; {todo}")


def _line(name: str, pair: tuple[float, float]) -> str:
    before, after = pair
    return f"  {name:<26}  {before:.4f} -> {after:.4f}"
