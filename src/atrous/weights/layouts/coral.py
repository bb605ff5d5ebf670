"""google-coral/test_data: the authors' DeepLab v3 on MobileNetV2 for VOC, out of an 8-bit file.

The release's small form: of the ASPP only the 1x1 and the image level, output stride 16, aligned
corners. Batch norms of the head lie folded in its convolutions; ours have them, and they are
filled so that they add the folded bias and nothing else.
"""

from collections.abc import Mapping

from torch import Tensor

from atrous.weights.layouts.foreign import ForeignModel, bias_as_norm, renamed

__all__ = ["coral_model"]

ORIGIN = "google-coral/test_data"
LAYERS = {
    "aspp0": "aspp.point",
    "image_pooling": "aspp.image_level",
    "concat_projection": "aspp.project",
}
TABLE = {
    "features.": "encoder.features.",
    "logits.": "head.",
    **{f"{theirs}.weight": f"{ours}.conv.weight" for theirs, ours in LAYERS.items()},
}


def coral_model(tensors: Mapping[str, Tensor]) -> ForeignModel | None:
    """Return Coral's network as ours, or None if the tensors are none of its."""
    if "concat_projection.weight" not in tensors or "features.17.conv.3.weight" not in tensors:
        return None
    biases = {f"{theirs}.bias": f"{ours}.norm." for theirs, ours in LAYERS.items()}
    ours = renamed({k: v for k, v in tensors.items() if k not in biases}, TABLE)
    for theirs, norm in biases.items():
        ours |= bias_as_norm(norm, tensors[theirs])
    return ForeignModel(
        ORIGIN,
        "deeplab_v3",
        "mobilenet_v2",
        {"output_stride": 16, "rates": "none", "align_corners": True},
        ours,
    )
