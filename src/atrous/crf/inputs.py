"""What the dense CRF takes: images, probabilities and labels, checked and brought to one form."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from atrous.errors import InputError

__all__ = [
    "check_features",
    "check_image",
    "check_probabilities",
    "check_shape",
    "improbable",
    "label_probabilities",
    "normalise_probabilities",
    "to_numpy",
]

CLIP = 1e-5
"""The least probability, as in pydensecrf's `unary_from_softmax`."""
SUM_TOLERANCE = 0.01
"""A pixel's probabilities may sum to 1 within so much: float16 and bfloat16 softmaxes pass."""


def to_numpy(values: NDArray[Any] | Tensor) -> NDArray[Any]:
    """Return an array on the CPU that shares memory where it can; bfloat16 becomes float32."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    if values.is_floating_point() and values.element_size() < 4:
        values = values.float()
    array: NDArray[Any] = values.numpy()
    return array


def check_image(image: NDArray[Any] | Tensor) -> NDArray[np.uint8]:
    """Return the image as (H, W, C) uint8.

    Raises:
        InputError: Not (H, W, C) or (H, W), no pixels, or not uint8: the kernel's `rgb_std`
            counts steps of 8-bit colour, so a scaled or normalised image would mean another CRF.
    """
    array = to_numpy(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.size == 0:
        raise InputError(
            f"the image has shape {tuple(image.shape)}; give (height, width, channels) with pixels"
        )
    if array.dtype != np.uint8:
        raise InputError(
            f"the image is {array.dtype}, but colours count in 8-bit steps; give uint8 as the "
            "camera gave it (other bands go to `features`)"
        )
    return array


def check_probabilities(
    probabilities: NDArray[Any] | Tensor, size: tuple[int, int]
) -> NDArray[np.floating]:
    """Return the probabilities as a (K, H, W) floating array; the values are judged later.

    Raises:
        InputError: Not (K, H, W) of the image's size, fewer than two labels, not floating.
    """
    check_shape(probabilities, size)
    array = to_numpy(probabilities)
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def check_shape(probabilities: NDArray[Any] | Tensor, size: tuple[int, int]) -> None:
    """Judge what can be judged without a look at the values, which may lie on a GPU.

    Raises:
        InputError: As `check_probabilities`.
    """
    shape = tuple(probabilities.shape)
    if len(shape) != 3 or shape[1:] != size:
        raise InputError(
            f"probabilities have shape {shape}, but the image needs (K, {size[0]}, {size[1]})"
        )
    if shape[0] < 2:
        raise InputError(
            f"probabilities have {shape[0]} label(s), a CRF needs 2; "
            "for a binary map give np.stack([1 - p, p])"
        )
    if isinstance(probabilities, Tensor):
        is_floating = probabilities.is_floating_point()
    else:
        is_floating = np.issubdtype(probabilities.dtype, np.floating)
    if not is_floating:
        raise InputError(
            f"probabilities are {str(probabilities.dtype).removeprefix('torch.')}; give floats, or "
            "make some from labels with atrous.crf.label_probabilities"
        )


def check_features(
    features: NDArray[Any] | Tensor | None, count: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the extra feature maps as (F, H, W) float32; without maps F is 0.

    Raises:
        InputError: Another number of maps than `feature_stds`, another size, NaN or infinity.
    """
    if features is None and count == 0:
        return np.zeros((0, *size), np.float32)
    shape = None if features is None else tuple(features.shape)
    if features is None or shape != (count, *size):
        raise InputError(
            f"features have shape {shape}, but appearance.feature_stds and the image need "
            f"{(count, *size)}; give one map and one std per feature"
        )
    array = to_numpy(features).astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError("features contain NaN or infinity; fill the holes before")
    return array


def label_probabilities(
    labels: NDArray[Any] | Tensor,
    num_classes: int,
    *,
    confidence: float = 0.7,
    ignore_index: int = 255,
) -> NDArray[np.float32]:
    """Turn hard labels into probabilities: `confidence` for the label, the rest shared evenly.

    So does pydensecrf's `unary_from_labels`. A pixel without a label knows nothing: 1 / K each.

    Args:
        labels: (H, W) integers from 0 to `num_classes` - 1, or `ignore_index`.
        num_classes: K, at least 2.
        confidence: Probability that a label is right, above 1 / K and below 1.
        ignore_index: Marks pixels without a label.

    Returns:
        (K, H, W) float32.

    Raises:
        InputError: Labels of another shape or type or out of range, a confidence without sense.

    Example:
        >>> label_probabilities(np.array([[1, 255]]), 2, confidence=0.75)[:, 0]
        array([[0.25, 0.5 ],
               [0.75, 0.5 ]], dtype=float32)
    """
    array = to_numpy(labels)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"labels are {array.dtype} of shape {array.shape}; give integers (height, width)"
        )
    if num_classes < 2 or not 1 / num_classes < confidence < 1:
        raise InputError(
            f"confidence is {confidence} for {num_classes} classes; "
            "give at least 2 classes and a confidence between 1 / K and 1"
        )
    if 0 <= ignore_index < num_classes:
        raise InputError(
            f"ignore_index is {ignore_index}, which is one of the {num_classes} classes too; give "
            "a number that stands for none, such as -1"
        )
    known = array != ignore_index
    wrong = known & ((array < 0) | (array >= num_classes))
    if wrong.any():
        raise InputError(
            f"labels contain {array[wrong][0]}, but the classes are 0 to {num_classes - 1} "
            f"and void is {ignore_index}"
        )
    rest = (1 - confidence) / (num_classes - 1)
    hits = array == np.arange(num_classes)[:, None, None]
    shares = np.where(hits, np.float32(confidence), np.float32(rest))
    return np.where(known, shares, np.float32(1 / num_classes))


def normalise_probabilities(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Clip probabilities to [1e-5, 1], as the references do, and let every pixel sum to 1.

    Raises:
        InputError: NaN, infinity, negative values or sums that no softmax gives.
    """
    maps = probabilities.astype(np.float64)
    off = np.abs(maps.sum(0) - 1)
    if not (maps.min() >= 0 and off.max() <= SUM_TOLERANCE):  # NaN fails every comparison
        raise improbable(probabilities)
    maps = maps.clip(CLIP, 1)
    result: NDArray[np.float64] = maps / maps.sum(0)
    return result


def improbable(probabilities: NDArray[np.floating]) -> InputError:
    """Build the error for values that are no probabilities; says which values they are."""
    if not np.isfinite(probabilities).all():
        return InputError("probabilities contain NaN or infinity; mend the network's output")
    if probabilities.min() < 0:
        return InputError(
            f"probabilities go down to {probabilities.min():.4g}; give a softmax, not logits"
        )
    sums = probabilities.sum(0, dtype=np.float64)
    worst = sums.flat[np.abs(sums - 1).argmax()]
    return InputError(
        f"the probabilities of a pixel sum to {worst:.4g}; they must sum to 1 within "
        f"{SUM_TOLERANCE}: apply the softmax, or divide by the sum"
    )
