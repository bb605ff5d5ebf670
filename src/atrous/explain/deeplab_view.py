"""The field of view of fc6 as DeepLab v1 counts it (Chen et al., ICLR 2015, Sec. 3.2 and Table 2).

The paper does not say how far fc6 sees into the image, but how large a part of it the kernel spans
at least: it leaves the 3x3 convolutions out. Its poolings alone make cells of 2 x 2 x 2 x 2 x 2
pixels, which VGG-16 puts 32 pixels apart and the hole algorithm 8. A kernel of k taps at rate r
over these cells is the composition rule of `Span`, begun anew behind the last pooling:

    8 (k - 1) r + 32  =  ((k - 1) r + 4) 8
"""

import torch
from torch import nn

from atrous.explain.trace import listen
from atrous.models import SegmentationModel
from atrous.models.deeplab_v1 import HoleVGG16

__all__ = ["field_of_view"]

CELL = 2.0**5
"""Pixels of the image that a cell of VGG-16 stands for after its five poolings."""


def field_of_view(model: SegmentationModel) -> dict[str, float]:
    """Return the side in pixels that fc6 spans, by its name; DeepLab v2 has one for each rate.

    Args:
        model: Any; the result is empty where nothing stands on the VGG-16 of DeepLab v1 and v2.
    """
    channels = len(model.normalization.mean)
    last_pooling: dict[str, float] = {}
    kernels: list[str] = []
    for name, encoder in model.named_modules():
        if isinstance(encoder, HoleVGG16):
            prefix = f"{name}." if name else ""
            last_pooling[f"{prefix}features.{len(encoder.features) - 1}"] = CELL
            kernels += [f"{prefix}classifier.{key}" for key in _fc6(encoder.classifier)]
    if not kernels:
        return {}
    images = torch.empty(1, channels, 129, 129, device="meta")
    heard = {o.owner: o for o in reversed(listen(model, images, cells=last_pooling))}
    spans = {name: heard[name].spans for name in kernels}
    return {name: vertical[0].size for name, vertical in spans.items() if vertical}


def _fc6(classifier: nn.Module) -> list[str]:
    """Return the names of the convolutions that see more than one cell."""
    return [
        name
        for name, layer in classifier.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1
    ]
