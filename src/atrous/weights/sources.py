"""Where a model comes from: a folder here, the one that is shipped, or the Hugging Face hub."""

import errno
import re
from pathlib import Path

from atrous.errors import InputError, closest, closest_path

__all__ = [
    "CONFIG_FILE",
    "SHIPPED",
    "WEIGHTS_FILE",
    "WeightsUnreachable",
    "check_source",
    "find_model",
    "has_hub_form",
    "is_network_error",
    "what_lies_there",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

SHIPPED = {"street-scenes": "street_scenes"}
"""Models inside the package: name -> folder beside this file."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class WeightsUnreachable(InputError):  # noqa: N818 - reads as what happened
    """Weights asked for by name cannot be had from here; training may start without."""


def find_model(source: str | Path) -> Path:
    """Return the folder of a model; fetch it if `source` is an id of the Hugging Face hub.

    Args:
        source: A folder, a name of `SHIPPED`, or `organisation/name`. What lies on this disk
            comes first. From the hub only the two files of a model folder are taken.

    Raises:
        InputError: It is nothing of the three.
        WeightsUnreachable: It has the form of a hub id, but the hub does not answer.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if str(source) in SHIPPED:
        return Path(__file__).parent / SHIPPED[str(source)]
    if folder.exists():
        raise InputError(f"{source} is a file, but a model is a folder; give {folder.parent}")
    if has_hub_form(str(source)):
        return _fetch(str(source))
    near = _closest_model(folder)
    question = f"did you mean {near}? " if near else ""
    raise InputError(
        f"no model at {source}; {question}give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, "
        f"organisation/name of the Hugging Face hub, or {', '.join(SHIPPED)}"
    )


def check_source(source: str | Path) -> None:
    """Refuse at once what `load` would refuse for want of a model; neither torch nor tensors.

    Raises:
        InputError, WeightsUnreachable: As `find_model`; or the folder holds no weights.
    """
    if Path(source).is_file():  # a checkpoint of another library; `load` judges it
        return
    folder = find_model(source)
    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(what_lies_there(folder))


def what_lies_there(folder: Path) -> str:
    """Say what is missing in a folder without weights, and where the model may be instead."""
    if (folder / "model" / WEIGHTS_FILE).is_file():
        return f"{folder} is a run, not a model; give {folder / 'model'}"
    return f"{folder} has no {WEIGHTS_FILE}; give a folder that atrous saved, or copy it whole"


def _closest_model(wanted: Path) -> str:
    """Return the shipped name or the folder here that is written most like `wanted`, or ""."""
    near = closest_path(wanted)
    here = [str(near)] if near is not None and near.is_dir() else []
    return next(iter(closest(str(wanted), [*SHIPPED, *here], count=1)), "")


def has_hub_form(source: str) -> bool:
    """Tell `organisation/name` from a misspelt path: `runs/stret` where `runs` exists."""
    return bool(HUB_ID.fullmatch(source)) and not Path(source).parent.exists()


def _fetch(identifier: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(identifier, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(
            f"{identifier} is no folder here and no public model on the Hugging Face hub; "
            "check the spelling"
        ) from error
    except Exception as error:
        if not is_network_error(error):
            raise
        raise WeightsUnreachable(
            f"{identifier} is no folder here, and the Hugging Face hub does not answer "
            f"({type(error).__name__}); connect, or copy the model folder here and give its path"
        ) from error


def is_network_error(error: Exception) -> bool:
    """Tell whether the way to the hub failed, rather than this disk or our code."""
    if isinstance(error, OSError):
        return error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
    # the hub's HTTP library changed between versions, and not all its errors are OSErrors
    return type(error).__module__.startswith(("http", "requests"))
