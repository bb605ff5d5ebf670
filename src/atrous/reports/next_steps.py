"""What to type after a run, with the run's own paths filled in."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from atrous.data import DataSpec
from atrous.reports.run_record import MISSING, RunRecord

__all__ = ["Step", "near", "next_steps"]


@dataclass(frozen=True)
class Step:
    """A purpose and the line to type for it."""

    purpose: str
    command: str


def next_steps(run: RunRecord, spec: DataSpec, split: str) -> list[Step]:
    """Return the commands that use the model of `run`, score it on `split` and train on."""
    folder = near(run.folder).as_posix()
    model, data = shlex.quote(f"{folder}/model"), shlex.quote(_data(run, spec).as_posix())
    part = "" if split == "val" else f" --split {shlex.quote(split)}"
    tile = run.configuration.get("tile", MISSING)  # another one would give another score
    part += "" if tile == MISSING else f" --tile {tile}"
    steps = [
        Step("Segment your own images", f"atrous predict {model} FOLDER --overlay"),
        Step("Score it again", f"atrous evaluate {model} --data {data}{part}"),
    ]
    if run.last_step:
        command = f"atrous train --resume {shlex.quote(folder)} --extend {run.last_step}"
        steps.append(Step("Train longer, from where it stopped", command))
    source = f"atrous.Predictor(atrous.load({f'{folder}/model'!r}))"
    python = f'import atrous; {source}("photo.jpg").save("mask.png")'
    return [*steps, Step("The same from Python", python)]


def _data(run: RunRecord, spec: DataSpec) -> Path:
    """Return what `--data` was: a folder, or the data.yaml that described it."""
    given = run.configuration.get("data", MISSING)
    return near(Path(given) if given != MISSING else spec.root)


def near(path: Path) -> Path:
    """Return `path` as it is typed from the current folder, where it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
