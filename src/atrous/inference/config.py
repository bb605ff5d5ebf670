"""Everything `atrous predict` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atrous.errors import InputError

__all__ = [
    "CRF_OPTION",
    "SAMPLES",
    "SMALLEST_TILE",
    "CRFChoice",
    "PredictConfig",
    "PublishedCRF",
    "UncertaintyMethod",
]

PublishedCRF = Literal[
    "deeplab",
    "deeplab_mat",
    "deeplab_bin",
    "deeplab_pytorch",
    "pydensecrf",
    "crf_rnn",
    "krahenbuhl_koltun",
]
"""The names of `atrous.crf.PUBLISHED`, for commands that have not loaded it yet."""

CRFChoice = Literal["stored", PublishedCRF]
"""`stored` is what `atrous crf-search` left in the model folder."""

UncertaintyMethod = Literal["entropy", "mc_dropout", "flip", "scales"]
"""What a pixel's doubt is taken from; `atrous.inference.uncertainty` explains them."""

SAMPLES = 20
"""Passes of `mc_dropout`; Bayesian SegNet takes 50, and most of the gain is there by 6."""

CRF_OPTION = {"bare": "stored", "metavar": "[NAME]"}
"""How the command line takes it: `--crf` alone, or with one of the names."""


SMALLEST_TILE = 64
"""Pixels a side that a window needs; here, where no command's configuration loads torch for it."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """One batch of predictions; every field is a flag of `atrous predict`."""

    model: str = field(metadata={"positional": True})
    """Model folder, or the name of a model that ships: street-scenes."""
    inputs: tuple[str, ...] = field(metadata={"positional": True, "metavar": "IMAGE..."})
    """Images, folders (searched with their sub-folders) and quoted glob patterns."""

    out: Path | None = None
    """Folder for the masks; NAME-masks in the working folder, after the input, if left out."""
    overlay: bool = False
    """Also write the image with the classes' colours over it, as NAME-overlay.jpg."""
    probabilities: bool = False
    """Also write the probabilities as NAME-probabilities.npy: (K, H, W) float16."""
    uncertainty: UncertaintyMethod | None = None
    """Also write entropy, mutual information and variance as 16-bit PNGs: of one pass, of networks
    drawn by dropout, or of the image flipped or scaled."""
    samples: int = SAMPLES
    """Passes of --uncertainty mc_dropout; refused with another method."""
    review: bool = False
    """Also write review.html, .csv and .json: the images by doubt, the doubtful region drawn;
    takes --uncertainty entropy if none is given."""
    resume: bool = False
    """Go on in a folder that holds results; images that are finished are skipped."""

    scales: tuple[float, ...] = (1.0,)
    """Factors on the image size whose probabilities are averaged."""
    flip: bool = False
    """Average with the prediction of the mirror image."""
    tile: int | None = None
    """Side of the windows that an image is cut into, 0 for none; else the model's, or 1024 above
    4 megapixels."""
    crf: CRFChoice | None = field(default=None, metadata=CRF_OPTION)
    """Sharpen with a dense CRF: the one that crf-search found, or deeplab, pydensecrf, ..."""
    device: str = "auto"
    """auto, cpu or cuda."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """fp32, or bf16 for speed."""

    def __post_init__(self) -> None:
        """Require something to predict.

        Raises:
            InputError: No input, too few samples, or samples that nothing draws.
        """
        if not self.inputs:
            raise InputError("no images given; name files, folders or quoted patterns")
        if self.samples < 2:
            raise InputError(f"--samples is {self.samples}; give 2 or more: one has no spread")
        if self.samples != SAMPLES and self.uncertainty != "mc_dropout":
            raise InputError(
                f"--samples is {self.samples}, but only --uncertainty mc_dropout draws samples; "
                "add that, or leave --samples out"
            )

    @property
    def doubt(self) -> UncertaintyMethod | None:
        """What maps of doubt are taken from; a review cannot do without them."""
        return self.uncertainty or ("entropy" if self.review else None)
