"""A run folder: its name, its resolved configuration, what may change when it is gone on with."""

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from atrous.errors import InputError, unknown
from atrous.files import write_text
from atrous.training.config import TrainConfig
from atrous.training.environment import read_environment
from atrous.training.extension_record import extended_length

__all__ = [
    "MERGED",
    "check_out",
    "from_yaml",
    "given_fields",
    "new_run",
    "read_config",
    "resumable",
    "resumed",
    "shown",
    "write_config",
]

MAY_CHANGE = {
    "data",
    "micro_batch",
    "tile",
    "workers",
    "cache",
    "device",
    "skip_bad",
    "patience",
}
"""Fields that may differ between a run and its continuation; data may move, not change."""

MERGED = ("options", "schedule_options", "lr_factors", "adversary_options")
"""Of these fields each entry is an option of its own."""


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
    for name in ("resume", "extend", "given"):  # of this session, not of the run
        del content[name]
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
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; restore it or start again")
    return TrainConfig(**from_yaml(content, str(path)))


def from_yaml(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return fields as `TrainConfig` takes them.

    Args:
        content: Names and plain values.
        where: What an error says they stand in.

    Raises:
        InputError: A name that is no field.
    """
    fields = dict(content)
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in fields:
        if name not in names:
            raise unknown(f"option in {where}", str(name), names)
    for name in ("data", "out"):
        if fields.get(name) is not None:
            fields[name] = Path(fields[name])
    for name in ("crop", "scale_range"):
        if isinstance(fields.get(name), list):
            fields[name] = tuple(fields[name])
    return fields


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
    changes["weights"] = _start_now(stored, config.resume)
    for field in dataclasses.fields(TrainConfig):
        value = getattr(config, field.name)
        if field.name in ("resume", "given") or not _is_given(config, field):
            continue
        if field.name == "extend":
            changes["iterations"] = extended_length(config.resume, stored, value)
        elif field.name == "iterations":
            changes |= {"iterations": value, "epochs": None, "minutes": None}
        elif field.name in MAY_CHANGE and not _rounds_otherwise(field.name, value, stored):
            changes[field.name] = value
        elif field.name in ("epochs", "minutes"):
            raise InputError(
                f"--{field.name} sets the length of a new run; this one has {stored.iterations} "
                "iterations: leave it out, or give --extend N"
            )
        elif _differs(field.name, value, stored, config.resume):
            flag, before = field.name.replace("_", "-"), _before(field.name, stored, config.resume)
            told = f" differs from the run's {shown(before)}"
            if before in (None, {}):
                told = ", but the run has none"
            raise InputError(f"--{flag} {shown(value)}{told}; leave it out, or start a new run")
    return dataclasses.replace(stored, **changes)


def _start_now(stored: TrainConfig, folder: Path) -> str:
    """Return where the model lies that a run begins with: that of the phase before moved along."""
    if stored.out is None or not Path(stored.weights).is_absolute():
        return stored.weights
    way = os.path.relpath(stored.weights, stored.out)
    inside = re.fullmatch(r"(\.\./)?phase-\d+/model", Path(way).as_posix())
    is_phase = inside and (inside[1] is None or re.fullmatch(r"phase-\d+", stored.out.name))
    return str((folder / way).resolve()) if is_phase else stored.weights


def given_fields(config: TrainConfig) -> set[str]:
    """Return the names of the fields that were typed, or set to something else than a default."""
    fields = dataclasses.fields(config)
    return {f.name for f in fields if f.name != "given" and _is_given(config, f)}


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Let an interrupt inside the block say how to go on with the run in `folder`."""
    try:
        yield
    except KeyboardInterrupt:
        line = f"interrupted.   Go on: atrous train --resume {shlex.quote(str(folder))}"
        raise KeyboardInterrupt(line) from None


def _is_given(config: TrainConfig, field: "dataclasses.Field[Any]") -> bool:
    """Return whether a field was typed, or set to something else than its default."""
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    value = getattr(config, field.name)
    return value is not None and (field.name in config.given or value != default)


def _rounds_otherwise(name: str, value: Any, stored: TrainConfig) -> bool:
    """Return whether samples are augmented elsewhere than in the run: on the device, or not."""
    return name == "cache" and "device" in (value, stored.cache)


def _differs(name: str, value: Any, stored: TrainConfig, folder: Path) -> bool:
    """Return whether an option that was given again means something else than in the run."""
    before = _before(name, stored, folder)
    if name == "out":
        return bool(Path(value).resolve() != folder.resolve())
    if name == "crop":
        side = (value, value) if isinstance(value, int) else value
        return bool(side not in (stored.crop_size, stored.crop))
    if name in MERGED:
        return any(before.get(key) != entry for key, entry in value.items())
    return bool(value not in (before, "auto"))  # auto: what was chosen when the run began


def _before(name: str, stored: TrainConfig, folder: Path) -> Any:
    """Return a field of the run; once all of a recipe is resolved the environment has its name."""
    if name == "recipe":
        return stored.recipe or read_environment(folder / "environment.json").get("recipe")
    return getattr(stored, name)


def shown(value: Any) -> str:
    """Return a value as it is typed."""
    if isinstance(value, dict):
        return ",".join(f"{key}={entry}" for key, entry in value.items())
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    return list(value) if isinstance(value, tuple) else value
