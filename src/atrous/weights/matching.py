"""Does a set of named tensors belong to this network? If not: where do they part, in one line."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from atrous.errors import InputError

__all__ = ["check_match"]


def check_match(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], network: str) -> None:
    """Compare names and shapes; dtypes may differ.

    Args:
        wanted: State of the network; may lie on the meta device.
        given: Tensors from a file.
        network: What the network is called in the message.

    Raises:
        InputError: A name is missing or too many, or a shape differs.
    """
    faults = []
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    shapes = [
        f"{name} is {_shape(given[name])} instead of {_shape(wanted[name])}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    if missing:
        faults.append(f"{len(missing)} of {len(wanted)} tensors missing ({_some(missing)})")
    if unexpected:
        faults.append(f"{len(unexpected)} unknown ({_some(unexpected)})")
    if shapes:
        faults.append(f"{len(shapes)} of another shape ({_some(shapes)})")
    if faults:
        raise InputError(
            f"checkpoint of another architecture, not of {network}: {'; '.join(faults)}; "
            "name the network that these weights were saved from"
        )


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"


def _some(names: Iterable[str], count: int = 2) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
