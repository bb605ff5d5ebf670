"""What a foreign checkpoint comes to, and the few steps that most layouts share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.models import Option
from atrous.ops import Normalization

__all__ = [
    "ForeignModel",
    "aspp_names",
    "bias_as_norm",
    "image_level_first",
    "renamed",
    "resnet_name",
]


@dataclass(frozen=True)
class ForeignModel:
    """A network of ours that computes what a foreign checkpoint's network computes.

    Attributes:
        origin: Whose layout it is, for messages.
        architecture: A name of `MODELS`.
        encoder_name: A name that `create_encoder` knows.
        options: Of the network, where they are not its defaults.
        tensors: Renamed to what our network calls them.
        head: Name of the weights that score the classes: its shape tells how many there are.
        normalization: Of the images; None is the encoder's own.
    """

    origin: str
    architecture: str
    encoder_name: str
    options: Mapping[str, Option]
    tensors: Mapping[str, Tensor] = field(repr=False)
    head: str = "head.weight"
    normalization: Normalization | None = None


def renamed(tensors: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """Replace the longest prefix of each name that the table has; other names stay.

    Example:
        >>> list(renamed({"a.0.w": 1, "a.1.w": 2, "b": 3}, {"a.": "x.", "a.1.": "y."}))
        ['x.0.w', 'y.w', 'b']
    """
    prefixes = sorted(table, key=len, reverse=True)
    result = {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        result[table.get(prefix, "") + name.removeprefix(prefix)] = tensor
    return result


def resnet_name(tensors: Mapping[str, Tensor], prefix: str, origin: str) -> str:
    """Return which ResNet's units lie under a prefix, by their number and kind.

    Raises:
        InputError: None that we know.
    """
    units = tuple(
        len({k.split(".")[0] for k in _below(tensors, f"{prefix}layer{stage}.")})
        for stage in (1, 2, 3, 4)
    )
    kind = "bottleneck" if f"{prefix}layer1.0.conv3.weight" in tensors else "basic"
    depth = _DEPTHS.get((kind, units))
    if depth is None:
        raise InputError(
            f"{origin}'s network on an encoder that is not known here ({kind} units {units}); "
            "ResNet-18, 34, 50, 101 and 152 can be converted"
        )
    return f"resnet{depth}"


def aspp_names(
    prefix: str, tensors: Mapping[str, Tensor], *, separable: bool = False
) -> dict[str, str]:
    """Return the table of an ASPP as torchvision numbers it: 1x1, the rates, image level.

    Args:
        prefix: Where it lies in the file.
        tensors: The file's; they tell how many branches there are.
        separable: A branch is two convolutions and one norm (segmentation_models_pytorch).
    """
    last = max(int(name.split(".")[0]) for name in _below(tensors, f"{prefix}convs."))
    table = {
        "convs.0.0.": "point.conv.",
        "convs.0.1.": "point.norm.",
        f"convs.{last}.1.": "image_level.conv.",
        f"convs.{last}.2.": "image_level.norm.",
        "project.0.": "project.conv.",
        "project.1.": "project.norm.",
    }
    for index in range(1, last):
        theirs, ours = f"convs.{index}.", f"atrous.{index - 1}."
        if separable:
            table[f"{theirs}0.0."] = f"{ours}depthwise.conv."
            table[f"{theirs}0.1."] = f"{ours}pointwise.conv."
            table[f"{theirs}1."] = f"{ours}pointwise.norm."
        else:
            table[f"{theirs}0."] = f"{ours}conv."
            table[f"{theirs}1."] = f"{ours}norm."
    return {prefix + theirs: f"aspp.{ours}" for theirs, ours in table.items()}


def image_level_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reorder what the ASPP's projection sees: with us the image level comes first, not last."""
    name = "aspp.project.conv.weight"
    weight = tensors[name]
    return {**tensors, name: torch.roll(weight, weight.shape[0], dims=1)}


def bias_as_norm(prefix: str, bias: Tensor) -> dict[str, Tensor]:
    """Return the tensors of a batch norm that adds a bias (C,) in evaluation, and nothing else.

    Args:
        prefix: What the norm is called, with its dot.
        bias: Of a convolution which has no norm, or into which one was folded.
    """
    return {
        f"{prefix}weight": torch.ones_like(bias),
        f"{prefix}bias": bias,
        f"{prefix}running_mean": torch.zeros_like(bias),
        f"{prefix}running_var": torch.full_like(bias, 1 - 1e-5),  # and its eps make 1
        f"{prefix}num_batches_tracked": torch.tensor(0),
    }


_DEPTHS: dict[tuple[str, tuple[int, ...]], int] = {
    ("basic", (2, 2, 2, 2)): 18,
    ("basic", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in tensors if name.startswith(prefix)]
