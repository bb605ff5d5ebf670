"""Everything `atrous evaluate` can be told."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from atrous.errors import InputError
from atrous.inference.config import CRF_OPTION, CRFChoice

__all__ = ["EvaluateConfig", "ProtocolName"]

ProtocolName = Literal["psp", "deeplab", "fcn", "segnet", "unet", "refinenet"]
"""The names of `atrous.evaluation.protocols.PROTOCOLS`."""


LOOKS = ("protocol", "scales", "flip", "tile", "device", "precision")
"""Options that finished masks leave without a meaning."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """One evaluation; every field is a flag of `atrous evaluate`."""

    model: str | None = field(default=None, metadata={"positional": True})
    """Model folder, or the name of a model that ships; or give predictions instead."""
    data: Path
    """Data folder or data.yaml with the true labels."""
    predictions: Path | None = None
    """Folder of masks that any tool predicted, one per image, named like the images: class
    indices, or the numbers or colours that the labels are written in."""
    split: str = "val"
    """Part of the data to score."""
    skip_bad: bool = False
    """Leave pairs with faults out instead of stopping; the score is then that of the rest."""
    exclude: tuple[str, ...] = ()
    """Classes that the means leave out, with commas between; their pixels count, unlike void."""
    report: Path | None = None
    """Folder for report.html, images.csv and result.json."""
    out: Path | None = None
    """JSON file to write the whole result to."""
    images_table: Path | None = None
    """Table with a row per image: .csv, or .parquet, which needs pyarrow."""

    protocol: ProtocolName | None = None
    """Look at images as this paper did: sets scales, flip and tile where they are not given."""
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

    given: frozenset[str] = field(
        default=frozenset(), compare=False, repr=False, metadata={"typed_names": True}
    )
    """Names of the fields that were typed: they win over those of the protocol."""

    def __post_init__(self) -> None:
        """Require something to score.

        Raises:
            InputError: Neither or both of model and predictions, or a way to look at images, or
                a CRF, for finished masks.
        """
        if (self.model is None) == (self.predictions is None):
            came = "both came" if self.model is not None else "neither came"
            raise InputError(
                f"{came}: give either a model, or --predictions with a folder of masks"
            )
        if self.predictions is not None:
            self._check_no_looks()

    def _check_no_looks(self) -> None:
        """Refuse what says how a model looks at images."""
        if self.crf is not None:
            raise InputError(
                "--crf needs a model's probabilities, but finished masks came; "
                "sharpen them one by one with: atrous crf IMAGE MASK"
            )
        defaults = {field.name: field.default for field in fields(self)}
        came = [
            f"--{name}"
            for name in LOOKS
            if name in self.given or getattr(self, name) != defaults[name]
        ]
        if came:
            raise InputError(
                f"{', '.join(came)}: says how a model looks at images, but finished masks came; "
                "leave it out, or give the model"
            )
