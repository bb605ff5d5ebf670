"""Receptive fields composed layer by layer (Long et al., CVPR 2015, Sec. 3).

A layer with kernel k and stride s after one with k' and s' sees like one layer:

    (k', s') then (k, s)  =  (k' + (k - 1) s', s s')

`Span` keeps this for one axis, and besides where the window lies: position y of a map sees the
image's pixels from `stride * y + low` to `stride * y + high`, both included and not cut at the
image's border. Fractional strides are allowed: an upsampling divides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Span", "joined"]


@dataclass(frozen=True)
class Span:
    """What one position of a map sees of the image, along one axis.

    Attributes:
        stride: Pixels of the image per position.
        low: First pixel that position 0 sees; minus infinity for the whole image.
        high: Last pixel that position 0 sees.

    Example:
        >>> Span().window(3, stride=2, padding=1).window(3, padding=1).size
        7.0
    """

    stride: float = 1.0
    low: float = 0.0
    high: float = 0.0

    @property
    def size(self) -> float:
        """Pixels seen: the receptive field."""
        return self.high - self.low + 1

    def at(self, position: float) -> tuple[float, float]:
        """Return the first and the last pixel that a position sees."""
        return self.stride * position + self.low, self.stride * position + self.high

    def window(
        self, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
    ) -> "Span":
        """Slide a convolution's or a pooling's kernel over the map."""
        return Span(
            self.stride * stride,
            self.low - self.stride * padding,
            self.high + self.stride * (dilation * (kernel - 1) - padding),
        )

    def transposed_window(self, kernel: int, *, stride: int = 1, padding: int = 0) -> "Span":
        """Spread the map with a transposed convolution.

        Position y gets something from the positions (y + padding - tap) / stride, tap < kernel,
        that are whole; which ones depends on y modulo the stride. The widest case is kept.
        """
        step = self.stride / stride
        reach = (kernel - 1) // stride * stride  # distance of the outermost taps that meet one y
        last = padding - (kernel - 1 - reach) / 2
        return Span(step, self.low + step * (last - reach), self.high + step * last)

    def resized(self, before: int, after: int, *, linear: bool, align_corners: bool) -> "Span":
        """Resize a map from `before` to `after` positions; `linear` mixes two neighbours."""
        if before == after:
            return self
        if align_corners:
            scale, shift = (before - 1) / max(after - 1, 1), 0.0
        else:
            scale = before / after
            shift = scale / 2 - 0.5
        reach = self.stride * (0.5 if linear else 0.0)  # the two neighbours are one apart
        begin = self.stride * shift
        return Span(self.stride * scale, self.low + begin - reach, self.high + begin + reach)

    def moved(self, positions: int) -> "Span":
        """Cut `positions` off the beginning of the map; negative where padding was put there."""
        by = self.stride * positions
        return Span(self.stride, self.low + by, self.high + by)

    def whole(self) -> "Span":
        """Return what sees everything, as after a global average."""
        return Span(self.stride, -math.inf, math.inf)


def joined(spans: Sequence[Span], length: int) -> Span:
    """Return what a sum or a concatenation of maps of one length sees.

    Maps that were rounded to one size may differ a little in stride; they are compared at the
    middle, and the coarsest stride is kept.

    Example:
        >>> joined([Span(1, -1, 1), Span(1, -4, 2)], length=8)
        Span(stride=1, low=-4.0, high=2.0)
    """
    stride = max(span.stride for span in spans)
    middle = (length - 1) / 2
    low = min(span.at(middle)[0] for span in spans) - stride * middle
    high = max(span.at(middle)[1] for span in spans) - stride * middle
    return Span(stride, low, high)
