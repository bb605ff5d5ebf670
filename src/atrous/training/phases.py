"""A training of several phases on the disk: the last one is the run, earlier ones lie inside it.

`runs/NAME/phase-1`, `phase-2`, ... are run folders like any other, with a checkpoint, a model and a
journal of their own; each begins with the best model of the one before. All are written down before
the first step, so `--resume runs/NAME` needs to know nothing but the folder.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from atrous.training.checkpoints import read_progress
from atrous.training.config import TrainConfig
from atrous.training.extension_record import record_extension
from atrous.training.ranks import Ranks
from atrous.training.run_folder import read_config, resumed, write_config
from atrous.training.watch import Reporter, has_stopped

__all__ = ["begin_phases", "earlier_phases", "is_done", "write_down"]


def begin_phases(folder: Path, phases: Sequence[TrainConfig]) -> None:
    """Write down every phase of a run.

    Args:
        folder: The run folder.
        phases: What each of them does, in order; the first begins with its own `weights`.
    """
    places = [folder / f"phase-{number}" for number in range(1, len(phases))]
    before: Path | None = None
    for place, phase in zip([*places, folder], phases, strict=True):
        place.mkdir(parents=True, exist_ok=True)
        start = phase.weights if before is None else str((before / "model").resolve())
        write_config(place, replace(phase, out=place, weights=start))
        before = place


def earlier_phases(folder: Path) -> list[Path]:
    """Return the folders of the phases before the last one, in order."""
    found = [path for path in folder.glob("phase-*") if (path / "config.yaml").is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("phase-")))


def is_done(folder: Path) -> bool:
    """Return whether a phase has come to its end and left a model."""
    config, progress = read_config(folder), read_progress(folder / "last.ckpt")
    if progress is None or config.iterations is None or not (folder / "model").is_dir():
        return False
    has_waited = has_stopped(progress.scores, config.patience, progress.patient_since)
    return progress.step >= config.iterations or has_waited


def write_down(
    config: TrainConfig, earlier: Sequence[Path], reporter: Reporter, ranks: Ranks
) -> TrainConfig:
    """Write what was given down in all phases that are left, a length in the last one alone.

    That one may begin many sessions later, which need to know nothing but the folder.
    """
    assert config.resume is not None
    folder, last = config.resume, resumed(config)
    if config.iterations or config.extend:
        reporter.note(
            f"Length   {last.iterations} iterations of the last phase, {last.model}; "
            "those before it keep theirs"
        )
    if ranks.is_first:
        if config.extend and last.iterations and read_config(folder).iterations != last.iterations:
            record_extension(folder, by=config.extend, to=last.iterations, at=0)
        for place in (place for place in earlier if not is_done(place)):
            own = replace(config, resume=place, out=None, iterations=None, extend=None)
            write_config(place, resumed(own))
        write_config(folder, last)
    ranks.any(False)  # wait for the files
    return TrainConfig(resume=folder)
