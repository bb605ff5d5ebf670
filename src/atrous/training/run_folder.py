"""A run folder: its name, its resolved configuration, its environment."""

import dataclasses
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

__all__ = ["new_run", "read_config", "resumed", "write_config", "write_environment"]

MAY_CHANGE = {"resume", "iterations", "workers", "device", "skip_bad"}
"""Fields that may differ between a run and its continuation."""

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
        number = 1
        while (folder := Path("runs") / f"{name or 'run'}-{number}").exists():
            number += 1
    else:
        folder = config.out
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(
                f"{folder} is not empty; give another --out, or --resume {folder} to go on with it"
            )
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; give a folder as --out")
    folder.mkdir(parents=True, exist_ok=True)
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
        if value == default or field.name in changes:
            continue
        if field.name in MAY_CHANGE:
            changes[field.name] = value
        elif value != getattr(stored, field.name):
            flag = f"--{field.name.replace('_', '-')}"
            raise InputError(
                f"{flag} {value} differs from the run's {getattr(stored, field.name)}; "
                f"leave it out, or start a new run"
            )
    return dataclasses.replace(stored, **changes)


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
