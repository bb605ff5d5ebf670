"""Everything `atrous crf` can be told."""

from dataclasses import dataclass, field
from pathlib import Path

from atrous.errors import InputError
from atrous.inference.config import PublishedCRF

__all__ = ["SharpenConfig"]


@dataclass(frozen=True, kw_only=True)
class SharpenConfig:
    """One mask to sharpen; every field is a flag of `atrous crf`."""

    image: Path = field(metadata={"positional": True})
    """The image that the mask belongs to."""
    mask: Path = field(metadata={"positional": True})
    """PNG, TIFF or BMP of the same size: indices, palette, 0/255, or one colour per class."""

    out: Path | None = None
    """PNG to write; NAME-crf.png beside the mask if left out."""
    confidence: float = 0.7
    """How sure the mask is of each pixel, from 1 / classes to 1; lower trusts the image more."""
    void: int | None = None
    """Number (or colour, as one number) of void; 255 unless the mask holds only two numbers."""
    fill: bool = False
    """Give void pixels a class, too; without it they stay void."""

    crf: PublishedCRF = field(default="pydensecrf", metadata={"metavar": "NAME"})
    """Published parameters to begin with: pydensecrf, deeplab, crf_rnn, ..."""
    weight: float | None = None
    """Weight of the appearance kernel (w1), instead of theirs."""
    xy_std: float | None = None
    """Its reach in pixels (theta_alpha), instead of theirs."""
    rgb_std: float | None = None
    """How alike colours must be, in steps of 8 bits (theta_beta), instead of theirs."""
    iterations: int | None = None
    """Iterations of mean field, instead of theirs."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: A confidence outside 0..1, a void that no mask holds, no PNG.
        """
        if not 0 < self.confidence < 1:
            raise InputError(f"--confidence is {self.confidence}; give a number between 0 and 1")
        if self.void is not None and not 0 <= self.void <= 0xFFFFFF:
            raise InputError(
                f"--void is {self.void}; give a number that a mask holds, or a colour as "
                "65536 red + 256 green + blue"
            )
        if self.out is not None and self.out.suffix.lower() != ".png":
            raise InputError(f"--out is {self.out}; other formats than .png would change the mask")
