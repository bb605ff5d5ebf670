"""A run folder: its name, its resolved configuration, its environment."""

import dataclasses
import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from atrous.errors import InputError, unknown
from atrous.files import write_json, write_text
from atrous.training.config import TrainConfig

__all__ = [
    "check_data",
    "check_out",
    "new_run",
    "read_config",
    "resumed",
    "write_config",
    "write_environment",
]

MAY_CHANGE = {"data", "resume", "iterations", "tile", "workers", "device", "skip_bad"}
"""Fields that may differ between a run and its continuation; data may move, not change."""

PACKAGES = (
    "atrous",
    "torch",
    "lightning",
    "timm",
    "torchvision",
    "numpy",
    "opencv-python-headless",
)


def new_run(config: TrainConfig) -> Path:
    """Return the folder of a new run, made and empty.

    Raises:
        InputError: `out` exists and holds something.
    """
    if config.out is None:
        assert config.data is not None
        source = config.data.resolve()
        name = re.sub(r"[^\w.-]+", "-", source.parent.name if source.is_file() else source.name)
        return _numbered(name or "run")
    check_out(config.out)
    config.out.mkdir(parents=True, exist_ok=True)
    return config.out


def check_out(folder: Path) -> None:
    """Require a folder that is new or empty.

    Raises:
        InputError: It holds something, or is a file.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{folder} is not empty; give another --out, or --resume {folder} to go on with it"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder as --out")


def _numbered(name: str) -> Path:
    """Make and return the first of runs/NAME-1, runs/NAME-2, ... that nobody has taken."""
    number = 1
    while True:
        folder = Path("runs") / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # also one that another run takes in this moment
            number += 1
        else:
            return folder


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write the resolved configuration; `--config` reads it back."""
    content = {name: _plain(value) for name, value in dataclasses.asdict(config).items()}
    content.pop("resume")
    write_text(folder / "config.yaml", yaml.safe_dump(content, sort_keys=False))


def read_config(folder: Path) -> TrainConfig:
    """Read the configuration of the run in `folder`.

    Raises:
        InputError: The folder is no run folder, or its configuration has been damaged.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(f"{folder} is no run folder (no config.yaml); give the folder of a run")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML; restore it or start again") from error
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; restore it or start again")
    for name in content:
        if name not in names:
            raise unknown(f"option in {path}", str(name), names)
    for name in ("data", "out"):
        content[name] = Path(content[name]) if content.get(name) is not None else None
    for name in ("crop", "scale_range"):
        if isinstance(content.get(name), list):
            content[name] = tuple(content[name])
    return TrainConfig(**content)


def resumed(config: TrainConfig) -> TrainConfig:
    """Return the configuration of the run that `config.resume` names, with what may change.

    Raises:
        InputError: An option is given that cannot change in the middle of a run.
    """
    assert config.resume is not None
    if not config.resume.is_dir():
        raise InputError(f"{config.resume}: no such run folder; `ls runs` shows what there is")
    stored = read_config(config.resume)
    changes: dict[str, Any] = {"resume": config.resume, "out": config.resume}
    for field in dataclasses.fields(TrainConfig):
        value = getattr(config, field.name)
        default = (
            field.default_factory()
            if field.default_factory is not dataclasses.MISSING
            else field.default
        )
        if value == default or field.name == "resume":
            continue
        if field.name in MAY_CHANGE:
            changes[field.name] = value
        elif field.name in ("epochs", "minutes"):
            raise InputError(
                f"--{field.name} sets the length of a new run; this one has {stored.iterations} "
                "iterations: leave it out, or give --iterations"
            )
        elif _differs(field.name, value, stored, config.resume):
            flag = f"--{field.name.replace('_', '-')}"
            raise InputError(
                f"{flag} {value} differs from the run's {getattr(stored, field.name)}; "
                f"leave it out, or start a new run"
            )
    return dataclasses.replace(stored, **changes)


def check_data(folder: Path, fingerprint: str) -> None:
    """Require the data that the run in `folder` was begun on, wherever they lie now.

    Raises:
        InputError: Files were added, removed or changed, or the classes are others.
    """
    try:
        known = json.loads((folder / "environment.json").read_text())["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # lost or damaged: nothing to compare with
    if known != fingerprint:
        raise InputError(
            f"the data have changed since {folder} began, so it cannot go on step-exact; "
            "restore them, or start a new run with --data"
        )


def _differs(name: str, value: Any, stored: TrainConfig, folder: Path) -> bool:
    """Return whether an option that was given again means something else than in the run."""
    before = getattr(stored, name)
    if name == "out":
        return bool(Path(value).resolve() != folder.resolve())
    if name == "crop":
        side = (value, value) if isinstance(value, int) else value
        return bool(side != stored.crop_size)
    if name == "options":
        return any(before.get(key) != entry for key, entry in value.items())
    return bool(value != before)


def write_environment(folder: Path, **facts: object) -> None:
    """Write `environment.json`: versions, machine, and whatever else is worth keeping."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }
    write_json(folder / "environment.json", {**machine, "versions": versions, **facts})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    return list(value) if isinstance(value, tuple) else value
