"""torchvision's `deeplabv3_resnet50`, `_resnet101`, `_mobilenet_v3_large`, and its `fcn_resnet`s.

The first are DeepLab v3 with one more 3x3 before the classifier, rates 12, 24 and 36 at any output
stride, no multi-grid, and a second classifier, which is left out on MobileNetV3: it looks at the
first unit of a stage, where ours have no feature map. The others are called FCN, but have nothing
of that paper's skips: they are the dilated baseline of PSPNet, without its pyramid.
"""

from collections.abc import Mapping

from torch import Tensor

from atrous.weights.layouts.foreign import (
    ForeignModel,
    aspp_names,
    image_level_first,
    renamed,
    resnet_name,
)

__all__ = ["torchvision_model"]

ORIGIN = "torchvision"
AUXILIARY = {
    "aux_classifier.0.": "auxiliary.conv.conv.",
    "aux_classifier.1.": "auxiliary.conv.norm.",
    "aux_classifier.4.": "auxiliary.score.",
}


def torchvision_model(tensors: Mapping[str, Tensor]) -> ForeignModel | None:
    """Return torchvision's network as ours, or None if the tensors are none of its."""
    if "classifier.0.convs.0.0.weight" in tensors:
        return _deeplab_v3(tensors)
    if "classifier.4.weight" in tensors and "backbone.conv1.weight" in tensors:
        return _fcn(tensors)
    return None


def _deeplab_v3(tensors: Mapping[str, Tensor]) -> ForeignModel:
    is_mobilenet = "backbone.0.0.weight" in tensors
    if is_mobilenet:
        tensors = {k: v for k, v in tensors.items() if not k.startswith("aux_classifier.")}
    table = {
        "backbone.": "encoder.features." if is_mobilenet else "encoder.",
        **aspp_names("classifier.0.", tensors),
        "classifier.1.": "aspp.refine.conv.",
        "classifier.2.": "aspp.refine.norm.",
        "classifier.4.": "head.",
        **AUXILIARY,
    }
    return ForeignModel(
        ORIGIN,
        "deeplab_v3",
        "mobilenet_v3_large" if is_mobilenet else resnet_name(tensors, "backbone.", ORIGIN),
        {
            "output_stride": 16 if is_mobilenet else 8,
            "rates": "12,24,36",
            "multi_grid": "none",
            "even_dilation": is_mobilenet,
            "dropout": 0.5,
            "refine": True,
            "auxiliary": "aux_classifier.4.weight" in tensors,
        },
        image_level_first(renamed(tensors, table)),
    )


def _fcn(tensors: Mapping[str, Tensor]) -> ForeignModel:
    table = {
        "backbone.": "encoder.",
        "classifier.0.": "head.conv.conv.",
        "classifier.1.": "head.conv.norm.",
        "classifier.4.": "head.score.",
        **AUXILIARY,
    }
    return ForeignModel(
        ORIGIN,
        "pspnet",
        resnet_name(tensors, "backbone.", ORIGIN),
        {
            "bins": "none",
            "even_dilation": False,
            "auxiliary": "aux_classifier.4.weight" in tensors,
        },
        renamed(tensors, table),
        head="head.score.weight",
    )
