"""hszhao/semseg: PSPNet on ResNets with a deep stem, by the paper's first author.

The stem is a part of its own (`layer0`), the pyramid goes from coarse to fine, and all resizing
aligns corners; its code takes sizes 8 k + 1 only.
"""

from collections.abc import Mapping

from torch import Tensor

from atrous.weights.layouts.foreign import ForeignModel, renamed, resnet_name

__all__ = ["semseg_model"]

ORIGIN = "hszhao/semseg"
TABLE = {
    "layer0.0.": "encoder.conv1.0.",
    "layer0.1.": "encoder.conv1.1.",
    "layer0.3.": "encoder.conv1.3.",
    "layer0.4.": "encoder.conv1.4.",
    "layer0.6.": "encoder.conv1.6.",
    "layer0.7.": "encoder.bn1.",
    **{f"layer{stage}.": f"encoder.layer{stage}." for stage in (1, 2, 3, 4)},
    **{f"ppm.features.{level}.1.": f"pyramid.levels.{level}.1.conv." for level in range(4)},
    **{f"ppm.features.{level}.2.": f"pyramid.levels.{level}.1.norm." for level in range(4)},
    "cls.0.": "head.conv.conv.",
    "cls.1.": "head.conv.norm.",
    "cls.4.": "head.score.",
    "aux.0.": "auxiliary.conv.conv.",
    "aux.1.": "auxiliary.conv.norm.",
    "aux.4.": "auxiliary.score.",
}


def semseg_model(tensors: Mapping[str, Tensor]) -> ForeignModel | None:
    """Return semseg's network as ours, or None if the tensors are none of its."""
    if "ppm.features.0.1.weight" not in tensors or "layer0.0.weight" not in tensors:
        return None
    return ForeignModel(
        ORIGIN,
        "pspnet",
        resnet_name(tensors, "", ORIGIN) + "s",
        {"align_corners": True, "auxiliary": "aux.0.weight" in tensors},
        renamed(tensors, TABLE),
        head="head.score.weight",
    )
