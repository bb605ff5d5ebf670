"""Whether images are as bright as those a model was trained on: 12 bits in 16 are nearly black."""

from typing import TYPE_CHECKING

from atrous.data.depth import FULL

if TYPE_CHECKING:
    from atrous.ops import Normalization

__all__ = ["white_doubt"]

APART = 3
"""Two bits of depth are a factor of 4; less is within what cameras differ by."""


def white_doubt(normalization: "Normalization", white: float) -> str:
    """Return why the masks of a model are doubtful on images of this depth, or "".

    Args:
        normalization: The model's.
        white: What counts as white in the images, as a fraction of what their files can hold.

    Example:
        >>> from atrous.ops import Normalization
        >>> white_doubt(Normalization.imagenet(), 1.0)
        ''
    """
    trained = normalization.white
    if white * APART < trained:
        return (
            f"the images use only values up to {round(white * FULL):,} of {FULL:,}, nearly black "
            "to a model trained on the full range; stretch them, or train on such images"
        )
    if trained * APART < white:
        return (
            f"the model was trained on 16-bit images that use about a {round(1 / trained)}th of "
            "the range, and these use more of it; give it images of the same depth"
        )
    return ""
