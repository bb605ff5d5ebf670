"""Receptive fields composed layer by layer (Long et al., CVPR 2015, Sec. 3).

A layer with kernel k and stride s after one with k' and s' sees like one layer:

    (k', s') then (k, s)  =  (k' + (k - 1) s', s s')

`Span` keeps this for one axis, and besides where the window lies: position y of a map sees the
image's pixels from `stride * y + low` to `stride * y + high`, both included and not cut at the
image's border. Fractional strides are allowed: an upsampling divides.

Behind one upsampling after another the field differs from position to position: two neighbours of
a fine map see two or three cells of a coarse one. A span is then the mean over the positions.
FCN-8s, of which a cell sees 404 pixels at stride 32, sees 436 or 468 as a score, 460 on average.
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
        that are whole. How many depends on y modulo the stride; on average it is kernel / stride.
        """
        step = self.stride / stride
        reach = max(kernel - stride, 0)  # from the first of them to the last, on average
        last = padding - (kernel - 1 - reach) / 2
        return Span(step, self.low + step * (last - reach), self.high + step * last)

    def resized(self, before: int, after: int, *, linear: bool, align_corners: bool) -> "Span":
        """Resize a map from `before` to `after` positions; `linear` mixes two neighbours.

        A position that falls on one of the old ones mixes nothing.
        """
        if before == after:
            return self
        edge = 1 if align_corners else 0
        over, under = before - edge, max(after - edge, 1)
        twice = [2 * i * over + (1 - edge) * (over - under) for i in range(after)]
        mixed = sum(place % (2 * under) != 0 for place in twice) / after if linear else 0.0
        begin, reach = self.stride * twice[0] / (2 * under), self.stride * mixed / 2
        return Span(self.stride * over / under, self.low + begin - reach, self.high + begin + reach)

    def binned(self, length: int, bins: int) -> "Span":
        """Pool a map of `length` positions adaptively; where bins differ the widest is kept.

        Bin i holds the positions from floor(i length / bins) to ceil((i + 1) length / bins) - 1.
        """
        if bins == 1:
            return self.whole(length)
        edges = [(i * length // bins, -(-(i + 1) * length // bins)) for i in range(bins)]
        step = length / bins
        reach = max(end - begin for begin, end in edges) - 1
        first = (step - 1 - reach) / 2  # where the window around the centre of bin 0 begins
        return Span(
            self.stride * step,
            self.low + self.stride * first,
            self.high + self.stride * (first + reach),
        )

    def cell(self, width: float) -> "Span":
        """Begin anew: positions are cells of `width` pixels, whatever they see.

        Example:
            >>> Span(stride=8).cell(32).window(3, dilation=12).size  # fc6 of DeepLab-LargeFOV
            224.0
        """
        return Span(self.stride, 0.0, width - 1.0)

    def moved(self, positions: int) -> "Span":
        """Cut `positions` off the beginning of the map; negative where padding was put there."""
        by = self.stride * positions
        return Span(self.stride, self.low + by, self.high + by)

    def whole(self, length: int = 1) -> "Span":
        """Return what sees everything, as after a global average over `length` positions."""
        return Span(self.stride * length, -math.inf, math.inf)


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
