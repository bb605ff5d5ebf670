"""Images as a network was trained on them: mean off, divided by the standard deviation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.errors import InputError

__all__ = ["Normalization", "normalise"]


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, on the scale where white is 1.

    Attributes:
        mean: One number per channel.
        std: One number above 0 per channel.
        white: What counts as white in the images that the figures are for, on the same scale: less
            than 1 for 16-bit files of a sensor with fewer bits. Where they lie is in the figures
            already; this says what they were derived from.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float = 1.0

    def __post_init__(self) -> None:
        """Check that both are of one length and that nothing is divided by zero.

        Raises:
            InputError: Different lengths, no channel, a spread that is not above zero, or a white
                outside 0..1.
        """
        if len(self.mean) != len(self.std) or not self.mean:
            raise InputError(
                f"normalization has {len(self.mean)} means and {len(self.std)} standard "
                "deviations; give one of each for every channel"
            )
        if not all(spread > 0 for spread in self.std):
            raise InputError(f"normalization std is {self.std}; every entry must be above 0")
        if not 0 < self.white <= 1:
            raise InputError(f"normalization white is {self.white}; it must be above 0, at most 1")

    @classmethod
    def imagenet(cls) -> "Normalization":
        """Return the RGB figures that ImageNet encoders of torchvision and timm were trained on."""
        return cls((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    @classmethod
    def for_channels(cls, count: int) -> "Normalization":
        """Return ImageNet's figures for 3 channels, else 0.5 and 0.25 for each of `count`."""
        return cls.imagenet() if count == 3 else cls((0.5,) * count, (0.25,) * count)

    @classmethod
    def caffe(cls, count: int) -> "Normalization":
        """Return Caffe's figures, 0..255 less ImageNet's mean (RGB); the mean is else 0.5."""
        mean = (0.481, 0.457, 0.408) if count == 3 else (0.5,) * count
        return cls(mean, (1 / 255,) * count)

    def with_white_at(self, white: float) -> "Normalization":
        """Return the figures that do the same to images in which `white` is white.

        Example:
            >>> Normalization((0.5,), (0.25,)).with_white_at(0.0625)  # 12 bits of 16
            Normalization(mean=(0.03125,), std=(0.015625,), white=0.0625)
        """
        factor = white / self.white
        return Normalization(
            tuple(mean * factor for mean in self.mean),
            tuple(std * factor for std in self.std),
            white,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Normalization":
        """Rebuild what `to_json` gave; figures without a white are for the files' full range."""
        mean, std = content["mean"], content["std"]
        assert isinstance(mean, Sequence)
        assert isinstance(std, Sequence)
        white = content.get("white", 1.0)
        assert isinstance(white, int | float)
        return cls(tuple(float(m) for m in mean), tuple(float(s) for s in std), float(white))

    def to_json(self) -> dict[str, object]:
        """Return plain values, as they stand in a model's `config.json`."""
        return {"mean": list(self.mean), "std": list(self.std), "white": self.white}


def normalise(images: Tensor, normalization: Normalization) -> Tensor:
    """Map images to (image - mean) / std, float32, on the device they are on.

    Args:
        images: (N, C, H, W), uint8 in 0..255, uint16 in 0..65535, or float in [0, 1].
        normalization: Figures for exactly C channels.

    Returns:
        (N, C, H, W) float32.

    Raises:
        InputError: The images have another number of channels than the figures.
    """
    channels = images.shape[1]
    if channels != len(normalization.mean):
        raise InputError(
            f"the images have {channels} channel(s), but the network was made for "
            f"{len(normalization.mean)}; convert the images or train with in_channels={channels}"
        )
    white = {torch.uint8: 255.0, torch.uint16: 65535.0}.get(images.dtype, 1.0)
    mean, std = (
        torch.tensor(figures, dtype=torch.float32, device=images.device).view(-1, 1, 1)
        for figures in (normalization.mean, normalization.std)
    )
    floats = images.to(torch.float32, copy=True)  # the one copy; what follows works in place
    return floats.mul_(1.0 / (white * std)).sub_(mean / std)
