"""Which parameters learn how fast, and which of them decay: the optimizer's groups.

The papers give rates by part: the encoder, the classifier (the layers whose size depends on the
number of classes), the decoder (all else), and biases besides. A factor of a part and that of
biases multiply: DeepLab v1's classifier learns 10 times as fast and its biases 20 times (Sec. 5 and
the release). What is fixed (FCN's deconvolutions) has no gradient and is in no group.
"""

from collections.abc import Collection, Mapping
from typing import TypedDict

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from atrous.models import SegmentationModel
from atrous.training.config import Decayed

__all__ = ["Group", "parameter_groups"]


class Group(TypedDict):
    """One group of the optimizer, as torch takes it."""

    params: list[nn.Parameter]
    weight_decay: float
    lr_factor: float


def parameter_groups(
    model: SegmentationModel,
    *,
    weight_decay: float,
    decayed: Decayed = "weights",
    factors: Mapping[str, float] | None = None,
    classifier: Collection[str] = (),
) -> list[Group]:
    """Sort the parameters that learn by their rate and their decay.

    Args:
        model: The network.
        weight_decay: Of those that decay.
        decayed: "weights": of two or more dimensions, neither biases nor norms; "dense": the same
            without depthwise kernels (the release of DeepLab v3+); "scales": also the scales of
            norms, not their shifts (Caffe: SegNet); "all": everything (PSPNet's training code).
        factors: Of the learning rate, by part; 1 where a part is not named. A factor of 0 keeps a
            part as it is.
        classifier: Names of the parameters whose shape depends on the number of classes.

    Returns:
        A group for each pair of decay and factor that occurs, decayed ones first; never empty.
    """
    encoder = {id(p) for part in model.encoders for p in part.parameters()}
    owners = dict(model.named_modules())
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = owners[name.rpartition(".")[0]]
        part = "encoder" if id(parameter) in encoder else "decoder"
        part = "classifier" if name in classifier else part
        factor = (factors or {}).get(part, 1.0)
        if name.endswith("bias") and not _is_norm(owner):
            factor *= (factors or {}).get("biases", 1.0)
        decay = weight_decay if _decays(decayed, name, parameter, owner) else 0.0
        found.setdefault((decay, factor), []).append(parameter)
    ordered = sorted(found, key=lambda key: (-key[0], key[1]))
    return [Group(params=found[key], weight_decay=key[0], lr_factor=key[1]) for key in ordered]


def _decays(decayed: Decayed, name: str, parameter: nn.Parameter, owner: nn.Module) -> bool:
    if decayed == "all":
        return True
    if decayed == "scales":
        return not name.endswith("bias")
    is_depthwise = isinstance(owner, nn.Conv2d) and owner.groups == owner.in_channels > 1
    return parameter.ndim > 1 and not (decayed == "dense" and is_depthwise)


def _is_norm(module: nn.Module) -> bool:
    """Shifts of norms are no biases: no paper speeds them up.

    On several GPUs batch norm is a SyncBatchNorm by now, which is no BatchNorm2d.
    """
    return isinstance(module, _BatchNorm | nn.GroupNorm | nn.LayerNorm)
