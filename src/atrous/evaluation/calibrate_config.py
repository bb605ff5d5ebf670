"""Everything `atrous calibrate` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from atrous.errors import InputError

__all__ = ["CalibrateConfig"]


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """One calibration; every field is a flag of `atrous calibrate`."""

    # A temperature belongs to the logits of one pass.
    scales: ClassVar[tuple[float, ...]] = (1.0,)
    flip: ClassVar[bool] = False
    crf: ClassVar[None] = None

    model: str = field(metadata={"positional": True})
    """Model folder; the temperature is stored in its config.json."""
    data: Path
    """Data folder or data.yaml with the true labels."""
    split: str = "val"
    """Part of the data to calibrate on; the one that it was trained on is refused."""
    images: int = 500
    """At most so many of its images, evenly spread."""
    seed: int = 0
    """Decides which of their pixels are looked at, 200 000 in all."""
    skip_bad: bool = False
    """Leave pairs with faults out instead of stopping."""

    tile: int | None = None
    """Side of the windows that an image is cut into, 0 for none; 1024 above 4 megapixels."""
    device: str = "auto"
    """auto, cpu or cuda."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """fp32, or bf16 for speed."""

    def __post_init__(self) -> None:
        """Require something to calibrate on.

        Raises:
            InputError: Fewer than one image.
        """
        if self.images < 1:
            raise InputError(f"--images is {self.images}; give at least 1")
