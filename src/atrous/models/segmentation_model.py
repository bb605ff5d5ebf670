"""What every network of the lineage is to its user: images in, scores or logits out."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.ops import Normalization, resize

__all__ = ["ModelSpec", "Option", "Scores", "SegmentationModel", "refuse_unused"]

Option = bool | int | float | str | None
"""What the value of a model's option may be."""


@dataclass(frozen=True)
class ModelSpec:
    """The recipe of a network: what `build_model` needs to make it again.

    Attributes:
        architecture: A name of `MODELS`.
        encoder_name: Which encoder; None is the paper's own.
        in_channels: Channels of the images.
        classes: Number of labels K.
        options: Every option of the network, defaults included.
    """

    architecture: str
    encoder_name: str | None
    in_channels: int
    classes: int
    options: Mapping[str, Option] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return plain values, as they stand in a model's `config.json`."""
        return asdict(self)


class Scores(NamedTuple):
    """What a network says before upsampling.

    Attributes:
        main: (N, K, h, w) logits at the network's own stride.
        auxiliary: Further score maps that the paper supervises, each (N, K, h', w'). Where only
            the loss needs them, they are there in training mode only.
        attention: (N, S, h, w) weights of S scales, or None.
        features: (N, F, h', w') what the last layer scored, or the last map before several branches
            that do, over the whole image, or None: for networks that look at more than scores, as
            Attention to Scale does.
    """

    main: Tensor
    auxiliary: tuple[Tensor, ...] = ()
    attention: Tensor | None = None
    features: Tensor | None = None


class SegmentationModel(nn.Module):
    """A network that maps normalised images of any size to class logits.

    A paper's file writes `score`; `forward` is the same for all of them.

    Attributes:
        spec: How `build_model` made it, which also sets the two that follow.
        label_set: Names and colours of its classes.
        normalization: What its images are normalised with.
    """

    spec: ModelSpec
    label_set: LabelSet
    normalization: Normalization

    input_scale: float = 1.0
    """Factor on the size of an image before the network sees it: what it was trained at. The
    predictor applies it; `score` and `forward` take images that have been resized already."""

    crf: Mapping[str, object] | None = None
    """What `atrous crf-search` found for these weights: parameters and gain, JSON values."""

    calibration: Mapping[str, object] | None = None
    """What `atrous calibrate` found for these weights: temperature and gain, JSON values."""

    tile: int | None = None
    """Side of the windows that the predictor cuts images into unless told otherwise, 0 for none:
    what the model's score was taken with. None leaves it to the size of the image."""

    align_corners: bool = False
    """Corner convention of the final upsampling: ours, or that of the weights it holds."""

    feature_channels: int = 0
    """Channels F of `Scores.features`; 0 for a network that gives none."""

    auxiliary_weight: float = 1.0
    """Weight of each auxiliary loss beside the main one's 1: the paper's."""

    def auxiliary_weights(self, count: int) -> tuple[float, ...]:
        """Return the weight of the loss of each of the `count` maps in `Scores.auxiliary`."""
        return (self.auxiliary_weight,) * count

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        """The parts that an encoder's weights fill; none in a network of the paper's own."""
        encoder = getattr(self, "encoder", None)
        return (encoder,) if isinstance(encoder, nn.Module) else ()

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to coarse logits (N, K, h, w).

        The score map covers the whole image: resizing it to (H, W) is the prediction.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define score()")

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, C, H, W) to logits (N, K, H, W) at input size."""
        height, width = images.shape[-2:]
        main = self.score(images).main
        return resize(main, (height, width), align_corners=self.align_corners)


def refuse_unused(build: Callable[..., SegmentationModel], form: str, **unused: Option) -> None:
    """Refuse options that one form of a network does not look at, unless they have their defaults.

    Args:
        build: The network's builder; its signature has the defaults.
        form: What is being built, as an error names it.
        unused: The options and what was given for them.

    Raises:
        InputError: One that would be ignored.
    """
    parameters = inspect.signature(build).parameters
    given = [f"{k}={v!r}" for k, v in unused.items() if v != parameters[k].default]
    if given:
        remedy = "leave it out" if len(given) == 1 else "leave them out"
        raise InputError(f"{build.__name__} {form} has no {' and '.join(given)}; {remedy}")
