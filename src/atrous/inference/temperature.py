"""The temperature that makes a network's probabilities say how often it is right.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017), Sec. 4.2: one number T divides
all logits before the softmax. Above 1 it takes certainty back, below 1 it adds some; which class is
the most probable never changes. `atrous.evaluation.temperature_fit` finds it.
"""

from atrous.errors import InputError
from atrous.models.segmentation_model import SegmentationModel

__all__ = ["HIGHEST", "LOWEST", "temperature_of"]

LOWEST, HIGHEST = 0.1, 10.0
"""Bounds of a temperature. Without a mistake to learn from, the likelihood wants T = 0, where every
answer is certain; of labels drawn by lot it wants infinity."""


def temperature_of(model: SegmentationModel) -> float:
    """Return the temperature that a model holds, 1 where it was never calibrated.

    Raises:
        InputError: What it holds is damaged.
    """
    if model.calibration is None:
        return 1.0
    value = model.calibration.get("temperature")
    is_bool = isinstance(value, bool)
    if isinstance(value, int | float) and not is_bool and LOWEST <= value <= HIGHEST:
        return float(value)
    raise InputError(
        f"the stored temperature is {value!r:.60}, but a number in {LOWEST:g}..{HIGHEST:g} is "
        "needed; calibrate again with: atrous calibrate MODEL --data D"
    )
