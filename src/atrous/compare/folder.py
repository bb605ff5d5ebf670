"""The folder of a comparison: where its parts lie, and with which settings it was begun."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry
from atrous.data import DataSpec
from atrous.errors import InputError
from atrous.files import write_json

__all__ = ["Folder", "Kept", "default_out", "open_folder"]

SETTINGS = (
    *("split", "crf", "weights", "batch_size", "val_every", "crop", "input_scale", "class_weights"),
    *("optimizer", "precision", "device"),
)
"""What must be the same for all cells. Networks, encoders and seeds may be added later."""


class Kept(Protocol):
    """A measurement that can be written to a file."""

    def to_json(self) -> dict[str, object]:
        """Return plain values."""


K = TypeVar("K", bound=Kept)


class Folder:
    """`compare.json`, `results.json`, `report.html`; a folder for each network, in it its cells."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def network(self, entry: Entry) -> Path:
        """Return the folder of one network: plan, weight, cells."""
        return self.path / entry.slug

    def cell(self, entry: Entry, seed: int | None) -> Path:
        """Return the folder of one training, or of the scores of a finished model."""
        return self.network(entry) / ("scored" if seed is None else f"seed-{seed}")

    def kept(
        self, file: Path, rebuild: Callable[[Mapping[str, object]], K], measure: Callable[[], K]
    ) -> K:
        """Return what an earlier session has written to `file`, or measure it and write it."""
        try:
            return rebuild(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            found = measure()
        write_json(file, found.to_json())
        return found


def default_out(config: CompareConfig) -> Path:
    """Return runs/compare-<data name>: the same command finds it again."""
    source = config.data.resolve()
    if source.is_file():
        name = source.parent.name if source.stem == "data" else source.stem
    else:
        name = source.name
    name = re.sub(r"[^\w.-]+", "-", name) or "data"
    return Path("runs") / f"compare-{name}"


def open_folder(path: Path, config: CompareConfig, spec: DataSpec) -> Folder:
    """Return the folder of a comparison, new or to be gone on with.

    As long as no cell has begun, other settings replace those that are there: a budget that was
    refused by the plan must not stand in the way of a larger one.

    Raises:
        InputError: It holds something else, or a comparison with other settings.
    """
    settings = _settings(config, spec)
    file = path / "compare.json"
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; give a folder as --out")
    if not file.is_file():
        if path.is_dir() and any(path.iterdir()):
            raise InputError(f"{path} is not empty and holds no comparison; give another --out")
        write_json(file, settings)
        return Folder(path)
    try:
        before = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{file} is damaged; give another --out") from error
    told = _differences(before, settings)
    if told and _has_begun(path):
        raise InputError(
            f"{path} holds a comparison with other settings ({'; '.join(told)}); give them again "
            "to go on, or another --out to begin anew"
        )
    if told:
        for plan in path.glob("*/plan.json"):  # of the former budget, images or batch size
            plan.unlink()
        write_json(file, settings)
    return Folder(path)


def _has_begun(path: Path) -> bool:
    """Return whether there is a cell, finished or not: a folder in the folder of a network."""
    return any(part.is_dir() for part in path.glob("*/*"))


def _settings(config: CompareConfig, spec: DataSpec) -> dict[str, object]:
    """Return what decides the cells, as JSON gives it back."""
    kind, amount = config.budget
    chosen = {name: getattr(config, name) for name in SETTINGS}
    content = {"data": spec.fingerprint, "budget": f"{amount:g} {kind}", **chosen}
    return dict(json.loads(json.dumps(content)))


def _differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return each setting that differs, in words."""
    names = [name for name in now if before.get(name) != now[name]]
    return [
        "the data have changed"
        if name == "data"
        else f"{name.replace('_', ' ')} {_word(before.get(name))} there, {_word(now[name])} here"
        for name in names
    ]


def _word(value: object) -> str:
    return "none" if value is None else str(value)
