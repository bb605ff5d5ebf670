"""Everything `atrous crf-search` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from atrous.errors import InputError
from atrous.inference.config import PublishedCRF

__all__ = ["FEWEST", "CRFSearchConfig"]

FEWEST = 20
"""Images that advice needs: over fewer, a bootstrap's interval is much too narrow."""


@dataclass(frozen=True, kw_only=True)
class CRFSearchConfig:
    """One search for CRF parameters; every field is a flag of `atrous crf-search`."""

    crf: ClassVar[None] = None  # the network alone is what the CRF is searched for

    model: str = field(metadata={"positional": True})
    """Model folder; the best parameters are stored in its config.json."""
    data: Path
    """Data folder or data.yaml with the true labels."""
    split: str = "val"
    """Part of the data to search on."""
    images: int = 100
    """At most so many of its images, evenly spread; 100 in the papers."""
    start: PublishedCRF = field(default="deeplab", metadata={"metavar": "NAME"})
    """Published set that gives iterations, normalisation and the smoothness kernel."""
    skip_bad: bool = False
    """Leave pairs with faults out instead of stopping."""

    scales: tuple[float, ...] = (1.0,)
    """Factors on the image size whose probabilities are averaged."""
    flip: bool = False
    """Average with the prediction of the mirror image."""
    tile: int | None = None
    """Side of the windows that an image is cut into, 0 for none; 1024 above 4 megapixels."""
    device: str = "auto"
    """auto, cpu or cuda."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """fp32, or bf16 for speed."""

    def __post_init__(self) -> None:
        """Require something to search on.

        Raises:
            InputError: Fewer than one image.
        """
        if self.images < 1:
            raise InputError(f"--images is {self.images}; give at least 1, and {FEWEST} for advice")
