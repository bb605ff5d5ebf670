"""wkentaro/pytorch-fcn: FCN-32s, 16s and 8s on VGG-16, converted from the authors' Caffe models.

Layers have Caffe's names. The deconvolutions are dense and hold a bilinear kernel on the diagonal;
ours keep the diagonal, if there is nothing beside it. Images come as BGR with values to 255 and
the mean taken off, as in `deeplab_pytorch.py`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.models import Option
from atrous.ops import Normalization
from atrous.weights.layouts.deeplab_pytorch import for_rgb
from atrous.weights.layouts.foreign import ForeignModel, renamed

__all__ = ["pytorch_fcn_model"]

ORIGIN = "wkentaro/pytorch-fcn"
CAFFE = Normalization(
    (122.67891434 / 255, 116.66876762 / 255, 104.00698793 / 255), (1 / 255, 1 / 255, 1 / 255)
)
"""The mean that it takes off, as RGB on the scale where white is 1."""

# torchvision's numbers of VGG-16's convolutions, stage by stage (five of two or three).
_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_UPSAMPLINGS = {
    "fcn32s": ("upscore",),
    "fcn16s": ("upscore2", "upscore16"),
    "fcn8s": ("upscore2", "upscore_pool4", "upscore8"),
}
TABLE = {
    **{
        f"conv{stage}_{number}.": f"encoder.features.{index}."
        for stage, indices in enumerate(_STAGES, start=1)
        for number, index in enumerate(indices, start=1)
    },
    "fc6.": "encoder.classifier.0.",
    "fc7.": "encoder.classifier.3.",
    "score_fr.": "scores.0.",
    "score_pool4.": "scores.1.",
    "score_pool3.": "scores.2.",
}


def pytorch_fcn_model(tensors: Mapping[str, Tensor]) -> ForeignModel | None:
    """Return pytorch-fcn's network as ours, or None if the tensors are none of its.

    Raises:
        InputError: Deconvolutions that mix the classes.
    """
    if "conv1_1.weight" not in tensors or "score_fr.weight" not in tensors:
        return None
    ends = {"upscore.weight": "fcn32s", "upscore16.weight": "fcn16s", "upscore8.weight": "fcn8s"}
    name = next((ours for key, ours in ends.items() if key in tensors), "fcn8s")
    table = {f"{up}.": f"upsamplings.{i}." for i, up in enumerate(_UPSAMPLINGS[name])}
    ours = for_rgb(renamed(tensors, {**TABLE, **table}), "encoder.features.0.weight")
    for key in [key for key in ours if key.startswith("upsamplings.")]:
        ours[key] = _diagonal(ours[key])
    options: dict[str, Option] = {"fc_channels": ours["encoder.classifier.0.weight"].shape[0]}
    return ForeignModel(
        ORIGIN, name, "vgg16", options, ours, head="scores.0.weight", normalization=CAFFE
    )


def _diagonal(weight: Tensor) -> Tensor:
    """Return the kernel of each class by itself, (K, 1, h, w), from a dense one (K, K, h, w)."""
    kept = torch.diagonal(weight).permute(2, 0, 1).unsqueeze(1)
    if weight.count_nonzero() != kept.count_nonzero():
        raise InputError(f"deconvolutions of {ORIGIN} that mix the classes have no place here")
    return kept.contiguous()
