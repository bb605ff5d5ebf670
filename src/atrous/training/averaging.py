"""An exponential moving average of the weights: what is validated and kept where `ema` is given.

Polyak averaging as TensorFlow's `ExponentialMovingAverage(decay, num_updates)` does it: in the
first steps the decay is (1 + n) / (10 + n), so that the average does not remember the start.
"""

import copy

import torch

from atrous.models import SegmentationModel

__all__ = ["average", "averaged_copy"]


def averaged_copy(model: SegmentationModel) -> SegmentationModel:
    """Return a copy that begins where `model` stands and never learns itself."""
    return copy.deepcopy(model).requires_grad_(False).eval()


@torch.no_grad()
def average(averaged: SegmentationModel, model: SegmentationModel, decay: float, done: int) -> None:
    """Move the average towards the model: averaged = d averaged + (1 - d) model.

    Parameters and the running statistics of norms are averaged, counters copied.

    Args:
        averaged: Changed in place.
        model: After its step.
        decay: Largest d.
        done: Steps done before this one.
    """
    share = 1 - min(decay, (1 + done) / (10 + done))
    new, old = model.state_dict(), averaged.state_dict()
    for name, value in old.items():
        if value.is_floating_point():
            value.lerp_(new[name], share)
        else:
            value.copy_(new[name])
