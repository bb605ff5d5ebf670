"""Bilinear upsampling and argmax in one step: labels without the full-resolution logits."""

import torch
from torch import Tensor

__all__ = ["upsample_argmax"]


def upsample_argmax(scores: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Return the labels that `resize(scores, size).argmax(1)` would give, in strips of rows."""
    resized = torch.nn.functional.interpolate(
        scores.float(), size, mode="bilinear", align_corners=align_corners
    )
    return resized.argmax(1).to(torch.uint8)
