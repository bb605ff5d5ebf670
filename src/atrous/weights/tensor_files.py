"""Files of tensors from anywhere: safetensors, and pickles only as far as torch deems them safe."""

import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from atrous.errors import InputError

__all__ = ["SUFFIXES", "read_metadata", "read_tensors"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
NESTED = ("state_dict", "model_state_dict", "model_state", "model")
"""Where training scripts put the weights inside a checkpoint with other things."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of named tensors onto the CPU, with the file's own remarks.

    Args:
        path: `.safetensors`, or `.pth`, `.pt`, `.bin` as `torch.save` writes them. Those are only
            read with `weights_only=True`: code in them is never run.

    Returns:
        Name -> tensor, in the dtype of the file; and the text entries of a safetensors header.

    Raises:
        InputError: Missing, a directory, empty, truncated, of another kind, or without tensors.
    """
    _judge(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_pickle(path), {}


def read_metadata(path: Path) -> dict[str, str]:
    """Return the text entries of a safetensors header; other formats have none.

    Raises:
        InputError: As in `read_tensors`.
    """
    _judge(path)
    if path.suffix != ".safetensors":
        return {}
    with _opened(path) as file:
        return file.metadata() or {}


def _judge(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of a file of weights")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file of weights inside it")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} ends in {path.suffix!r}; weights come as {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} has 0 bytes; copy it again")


class _OpenFile(Protocol):
    """The part of `safetensors.safe_open` that is used here; it has no types of its own."""

    def keys(self) -> list[str]: ...
    def get_tensor(self, name: str) -> Tensor: ...
    def metadata(self) -> dict[str, str] | None: ...


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with _opened(path) as file:
        names = list(file.keys())
        # clone: a mapped file that is cut short later would crash the process
        return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_OpenFile]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) is truncated or no safetensors file "
            f"({error}); copy it again"
        ) from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
            warnings.simplefilter("ignore")  # what torch suspects is said below, in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than tensors, and loading it could run code; save only the "
            "state_dict, best as .safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is truncated or no file of torch.save ({_first_line(error)}); copy it again"
        ) from error
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = _only_tensors(content)
    if not tensors:
        raise InputError(f"{path} holds no named tensors; save the network's state_dict")
    return tensors


def _numpy_scalars() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return what makes a NumPy number, such as a best score that was saved beside the weights.

    It builds numbers and nothing else; NumPy 1 pickled it under another name than NumPy 2 does.
    """
    make = cast("Callable[..., Any]", np.float64(0).__reduce__()[0])
    kinds = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64")]
    return [make, (make, "numpy.core.multiarray.scalar"), np.dtype, *kinds]


def _only_tensors(content: object) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:80] if str(error) else type(error).__name__
