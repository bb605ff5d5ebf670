"""Taps of atrous convolutions that a training crop never feeds.

A tap d cells from the centre of its kernel reads the map only where the map is longer than d; on
a shorter one it meets padding alone, its gradient is 0, and the kernel is 1x1 (DeepLab v3, Sec. 3.3
and Fig. 4). A larger image, in validation say, feeds it all the same, and what it began with then
speaks as loud as what was learnt: `deeplab_v3_plus` trained on CamVid with crops of 256 labelled
0.42 of the pixels of whole frames rightly, and 0.77 with its ASPP's batch norms measured there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atrous.models import SegmentationModel

__all__ = ["unfed_taps"]

MULTIPLE = 32
"""The crop that is advised is one of these, the coarsest stride of the encoders."""

Reached = dict[str, tuple[int, int, int]]
"""Layer -> how far its outermost tap lies from the centre, height and width of its input, cells."""


def unfed_taps(
    model: SegmentationModel, crop: tuple[int, int], image: tuple[int, int]
) -> str | None:
    """Return a line about taps that crops leave untrained and whole images feed, or None.

    Args:
        model: The network, on any device; nothing is computed.
        crop: (height, width) of what it is trained on.
        image: (height, width) of the largest image that it is to answer on, as it sees it.
    """
    if crop[0] >= image[0] and crop[1] >= image[1]:
        return None
    trained, asked = _reached(model, crop), _reached(model, image)
    unfed: dict[int, tuple[int, int]] = {}
    for name, (reach, *sides) in trained.items():
        larger = asked[name][1:]
        if any(side <= reach < other for side, other in zip(sides, larger, strict=True)):
            unfed[reach] = sides[0], sides[1]
    if not unfed:
        return None
    reach = max(unfed)
    height, width = unfed[reach]
    cells = [
        (reach + 1) * -(-side // cell) for side, cell in zip(crop, (height, width), strict=True)
    ]
    fitting = -(-max(cells) // MULTIPLE) * MULTIPLE
    taps = " and ".join(map(str, sorted(unfed)))
    return (
        f"Crop     {crop[0]}x{crop[1]} makes a map of {height}x{width} cells, too small to train "
        f"taps {taps} cells away, but images of {image[0]}x{image[1]} use them; "
        f"better: --crop {fitting}, or smaller rates (--options)"
    )


def _reached(model: SegmentationModel, size: tuple[int, int]) -> Reached:
    """Return what every atrous convolution meets in two images of a size."""
    found: Reached = {}
    images = torch.empty(2, len(model.normalization.mean), *size, device="meta")
    values = {
        name: tensor.to("meta")
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    }
    with torch.no_grad(), _noting(model, found):
        functional_call(model, values, (images,))
    return found


@contextmanager
def _noting(model: nn.Module, found: Reached) -> Iterator[None]:
    """Note the input of every atrous convolution while the model runs."""

    def note(name: str, layer: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
        height, width = inputs[0].shape[-2:]
        reach = max((k // 2) * d for k, d in zip(layer.kernel_size, layer.dilation, strict=True))
        found[name] = reach, height, width

    hooks = [
        layer.register_forward_pre_hook(partial(note, name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d) and max(layer.dilation) > 1
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
