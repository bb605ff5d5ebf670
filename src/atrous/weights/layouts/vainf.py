"""VainF/DeepLabV3Plus-Pytorch: DeepLab v3 and v3+ on ResNet-50 and 101 and on MobileNetV2.

The ResNets are torchvision's, dilated in its way, without multi-grid. v3 has one more 3x3 before
the classifier as torchvision's; v3+ has one refining convolution and puts the skip first. Nothing
in a file tells the output stride: 16 is taken, which the published ones were trained with; another
is an option of `atrous.load`.

Its MobileNetV2 pads what comes to every unit before the expansion, where all others pad the
depthwise convolution behind it, and its stem not at all: `padding="early"`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from atrous.errors import InputError
from atrous.models import Option
from atrous.weights.layouts.foreign import (
    ForeignModel,
    aspp_names,
    image_level_first,
    renamed,
    resnet_name,
)

__all__ = ["vainf_model"]

ORIGIN = "VainF/DeepLabV3Plus-Pytorch"


def vainf_model(tensors: Mapping[str, Tensor]) -> ForeignModel | None:
    """Return VainF's network as ours, or None if the tensors are none of its.

    Raises:
        InputError: On another encoder than these.
    """
    is_plus = "classifier.aspp.convs.0.0.weight" in tensors
    if not is_plus and "classifier.classifier.0.convs.0.0.weight" not in tensors:
        return None
    encoder_name, options = _encoder(tensors)
    if is_plus:
        table = {
            **aspp_names("classifier.aspp.", tensors),
            "classifier.project.0.": "reduce.conv.",
            "classifier.project.1.": "reduce.norm.",
            "classifier.classifier.0.": "refine.0.conv.",
            "classifier.classifier.1.": "refine.0.norm.",
            "classifier.classifier.3.": "head.",
        }
        options["decoder_convolutions"] = 1
    else:
        table = {
            **aspp_names("classifier.classifier.0.", tensors),
            "classifier.classifier.1.": "aspp.refine.conv.",
            "classifier.classifier.2.": "aspp.refine.norm.",
            "classifier.classifier.4.": "head.",
        }
        options["refine"] = True
    ours = image_level_first(renamed(tensors, {**_ENCODER, **table}))
    if is_plus:
        name, skip = "refine.0.conv.weight", ours["reduce.conv.weight"].shape[0]
        ours[name] = torch.roll(ours[name], -skip, dims=1)  # ours: ASPP first, then the skip
    return ForeignModel(
        ORIGIN,
        "deeplab_v3_plus" if is_plus else "deeplab_v3",
        encoder_name,
        options,
        ours,
    )


_ENCODER = {
    "backbone.": "encoder.",
    "backbone.low_level_features.": "encoder.features.",
    "backbone.high_level_features.": "encoder.features.",
}


def _encoder(tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, Option]]:
    """Return the encoder's name, and the options that go with it."""
    options: dict[str, Option] = {"multi_grid": "none", "even_dilation": False, "separable": False}
    if "backbone.high_level_features.17.conv.0.0.weight" in tensors:
        return "mobilenet_v2", {**options, "padding": "early"}
    if "backbone.layer1.0.conv1.weight" in tensors:
        return resnet_name(tensors, "backbone.", ORIGIN), options
    raise InputError(
        f"{ORIGIN}'s network on an encoder that cannot be converted; ResNet-50, ResNet-101 and "
        "MobileNetV2 can"
    )
