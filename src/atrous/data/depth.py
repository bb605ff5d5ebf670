"""16-bit files of sensors that deliver fewer bits: 10, 12 or 14, stored as they came.

Divided by 65535 such images are almost black: 12 bits fill a sixteenth of the range that a network
expects. So white is taken to be the largest number of as many bits as the images use. That is a
property of the data set, not of an image: the model keeps it with its normalisation, and an image
is treated alike in training, evaluation and prediction.
"""

from collections import Counter
from collections.abc import Sequence

from atrous.data.findings import Finding
from atrous.data.scan import ScannedPair

__all__ = ["FULL", "depth_findings", "depth_notes", "used_white", "white_of"]

FULL = 65_535
MOST_BITS = 14
"""Images of more bits span the full range; what stays below 32 768 by chance is a dim picture."""


def used_white(pairs: Sequence[ScannedPair]) -> float:
    """Return what counts as white, as a fraction of what the files can hold.

    4095 / 65535 where all images have 16 bits and the highest value of them needs 12; 1 for 8-bit
    images, for those that use the full range, and where both depths are mixed.
    """
    highest = [pair.image.facts.highest for pair in pairs]
    known = [value for value in highest if value is not None]
    return white_of(max(known)) if known and len(known) == len(highest) else 1.0


def white_of(highest: int) -> float:
    """Return what counts as white in 16-bit images, from the highest value in them.

    Example:
        >>> round(white_of(4000) * 65_535), white_of(40_000)
        (4095, 1.0)
    """
    bits = max(8, highest.bit_length())
    return 1.0 if bits > MOST_BITS else ((1 << bits) - 1) / FULL


def depth_notes(pairs: Sequence[ScannedPair]) -> list[str]:
    """Say which value counts as white where it is not the files' largest."""
    white = used_white(pairs)
    if white == 1:
        return []
    return [
        f"16-bit images use only values up to {_highest(pairs):,}; a network trained on them "
        f"takes {round(white * FULL):,} as white"
    ]


def depth_findings(pairs: Sequence[ScannedPair]) -> list[Finding]:
    """Say where images of 8 and of 16 bit are mixed; white is then white in both."""
    depths = Counter(pair.image.facts.bits > 8 for pair in pairs)
    if len(depths) < 2:
        return []
    odd = depths.most_common()[-1][0]
    first = next(pair for pair in pairs if (pair.image.facts.bits > 8) == odd)
    kind = "16 bit" if odd else "8 bit"
    what = f"is one of {depths[odd]:,} images of {kind} among {len(pairs):,}"
    remedy = "check that both kinds span their full range"
    highest = _highest(pairs)
    if highest.bit_length() <= MOST_BITS:
        what += f"; those of 16 bit use only values up to {highest:,}, almost black beside 8 bit"
        remedy = "stretch them to 65,535, or save them with 8 bit"
    return [Finding("warning", first.image.path, what, remedy)]


def _highest(pairs: Sequence[ScannedPair]) -> int:
    return max(pair.image.facts.highest or 0 for pair in pairs)
