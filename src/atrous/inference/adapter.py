"""Networks of other libraries as ours: any module that maps images to logits.

Whatever takes a `SegmentationModel` (predict, evaluate, train) then takes them too.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization, resize

__all__ = ["AdaptedModel", "adapt"]

MAIN_KEYS = ("out", "logits")
"""What torchvision and transformers call the logits among their outputs."""


def adapt(
    module: nn.Module,
    label_set: LabelSet,
    normalization: Normalization,
    *,
    size_divisor: int = 1,
    align_corners: bool = False,
) -> SegmentationModel:
    """Wrap `module` so that a predictor, an evaluation or a training run can use it.

    Args:
        module: Maps normalised images (N, C, H, W) to logits (N, K, h, w): a tensor, or a
            mapping that holds them as "out" (torchvision) or "logits" (transformers).
        label_set: The K classes, in the order of the logits.
        normalization: What the module was trained with; one entry per channel C.
        size_divisor: Sides are padded to a multiple of this (segmentation_models_pytorch: 32).
        align_corners: Corner convention for resizing the logits.

    Example:
        >>> network = torchvision.models.segmentation.lraspp_mobilenet_v3_large()  # doctest: +SKIP
        >>> model = adapt(network, voc_labels, Normalization.imagenet())  # doctest: +SKIP
    """
    return AdaptedModel(
        module,
        label_set,
        normalization,
        size_divisor=size_divisor,
        align_corners=align_corners,
    )


class AdaptedModel(SegmentationModel):
    """A foreign network behind our interface; its parameters lie under `module.`."""

    auxiliary_weight = 0.5  # of torchvision's reference training

    def __init__(
        self,
        module: nn.Module,
        label_set: LabelSet,
        normalization: Normalization,
        *,
        size_divisor: int,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.module = module
        self.label_set = label_set
        self.normalization = normalization
        self.size_divisor = size_divisor
        self.align_corners = align_corners

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) to the module's logits."""
        height, width = images.shape[-2:]
        bottom, right = -height % self.size_divisor, -width % self.size_divisor
        if not bottom and not right:
            return self._scores(self.module(images))
        padded = functional.pad(images, (0, right, 0, bottom), mode="replicate")
        scores = self._scores(self.module(padded))
        return Scores(
            self._cropped(scores.main, padded, images),
            tuple(self._cropped(score, padded, images) for score in scores.auxiliary),
        )

    def _scores(self, output: object) -> Scores:
        auxiliary: tuple[Tensor, ...] = ()
        if isinstance(output, Mapping):
            auxiliary = (output["aux"],) if "aux" in output else ()
            key = next((key for key in MAIN_KEYS if key in output), None)
            if key is None:
                raise InputError(
                    f"{self._name()} returns {', '.join(map(str, output))}; "
                    f"adapt() looks for {' or '.join(MAIN_KEYS)}, so wrap it to return a tensor"
                )
            output = output[key]
        if not isinstance(output, Tensor) or output.ndim != 4:
            came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(f"{self._name()} returns {came}; adapt() needs logits (N, K, h, w)")
        if output.shape[1] != len(self.label_set):
            raise InputError(
                f"{self._name()} gives {output.shape[1]} score maps, but the label set has "
                f"{len(self.label_set)} classes; name each of them"
            )
        return Scores(output, auxiliary)

    def _cropped(self, scores: Tensor, padded: Tensor, images: Tensor) -> Tensor:
        size = padded.shape[-2], padded.shape[-1]
        whole = resize(scores, size, align_corners=self.align_corners)
        return whole[..., : images.shape[-2], : images.shape[-1]]

    def _name(self) -> str:
        return type(self.module).__name__
