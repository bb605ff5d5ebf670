"""Batch norm while a run trains: learnt, or kept as the start has it.

Batch statistics of a few images are noise. DeepLab v3 measured it on VOC: with batch norm trained
a batch of 16 scores 77.2, of 8 75.8, of 4 only 64.4 (Table 9), and with its statistics fixed 76.0
(Table 8). So "auto" trains batch norm where at least 8 images are normalised together and keeps the
filled encoder's as it came where they are fewer; an encoder that began at random has nothing to
keep. Images are normalised together within one micro-batch, on GPUs across all processes too.
"""

from torch import nn

from atrous.models import SegmentationModel
from atrous.training.config import NormPolicy

__all__ = ["FEWEST_IMAGES", "hold_norms", "pick_norm"]

FEWEST_IMAGES = 8
"""Images whose statistics are worth learning from (DeepLab v3, Tables 8 and 9)."""


def pick_norm(
    asked: NormPolicy, model: SegmentationModel, *, together: int, is_filled: bool
) -> NormPolicy:
    """Return `asked`, or for "auto" what suits so many images.

    Args:
        asked: The configuration's.
        model: The network.
        together: Images that are normalised together.
        is_filled: Whether the encoder began with trained weights.
    """
    if asked != "auto":
        return asked
    is_kept = is_filled and together < FEWEST_IMAGES and bool(_norms(model, of_encoder=True))
    return "fixed_encoder" if is_kept else "train"


def hold_norms(
    model: SegmentationModel, policy: NormPolicy, momentum: float | None
) -> list[nn.Module]:
    """Set up batch norm for training; return the layers to be kept in eval mode.

    - train: batch statistics, which also move the running ones.
    - fixed_encoder: the encoder normalises with its running statistics, which stay; scale and
      shift learn.
    - fixed: so does every layer (DeepLab v3's second phase, RefineNet).
    - frozen: scale and shift stay too (DeepLab v2's release).

    Args:
        model: Its norms are changed in place.
        policy: One of the above; "auto" is "train".
        momentum: Of the running statistics, torch's way: 0.1 is a decay of 0.9; None: as built.
    """
    norms = _norms(model)
    for norm in norms:
        norm.momentum = norm.momentum if momentum is None else momentum
        if policy == "frozen":
            norm.requires_grad_(False)
    if policy in ("auto", "train"):
        return []
    return list(_norms(model, of_encoder=policy == "fixed_encoder"))


def _norms(model: SegmentationModel, *, of_encoder: bool = False) -> list[nn.BatchNorm2d]:
    parts = model.encoders if of_encoder else (model,)
    found = [m for part in parts for m in part.modules()]
    return [module for module in found if isinstance(module, nn.BatchNorm2d)]
