"""FCN-32s, FCN-16s, FCN-8s: fully convolutional networks (Long, Shelhamer, Darrell, CVPR 2015).

A classifier whose fully connected layers are convolutions gives scores at stride 32, finer stages
give theirs, and all are upsampled bilinearly and added: 32s adds no finer stage, 16s one, 8s two.
On VGG and CaffeNet this is the authors' release, image padded by 100 pixels, with its crop offsets;
on GoogLeNet, of which nothing was released, the paper's text. `scaling="at_once"` is the journal's
(TPAMI 2017), for training 8s in one go.

Departures from the paper: upsamplings are fixed as in the release (`deconvolution="learned"` learns
the inner ones as the paper does, which reports no difference), and fixed kernels are grouped, where
the release's dense ones hold zeros. With `padding="same"`, and on encoders without fc6, sizes are
kept and border scores are repeated outwards, so that no pixel fades to zero; the release's do. The
paper has skips on VGG-16 only; elsewhere they are the stages of stride 16 and 8. ResNets and
MobileNets, which came later, and VGG-16 with batch norm are read as GoogLeNet is: by one score
layer on the last stage, without dropout.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn

from atrous.encoders import ENCODERS, Encoder, create_encoder
from atrous.encoders.alexnet import AlexNet, CaffeNet
from atrous.encoders.alexnet import fully_convolutional as alexnet_classifier
from atrous.encoders.googlenet import GoogLeNet
from atrous.encoders.vgg import VGG16, VGG19
from atrous.encoders.vgg import fully_convolutional as vgg_classifier
from atrous.errors import InputError, unknown
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops.grids import IMAGE, Grid, Upsampling, upsamplings

__all__ = ["FCN", "fcn8s", "fcn16s", "fcn32s", "stage"]

CLASSIFIERS: dict[str, tuple[Callable[..., Encoder], Callable[..., nn.Sequential]]] = {
    "alexnet": (AlexNet, alexnet_classifier),
    "caffenet": (CaffeNet, alexnet_classifier),
    "vgg16": (VGG16, vgg_classifier),
    "vgg19": (VGG19, vgg_classifier),
}
"""Encoders that end in fully connected layers, and those as convolutions."""

AT_ONCE = (0.01, 0.0001)
"""What pool4 and pool3 of VGG-16 are multiplied by (release, voc-fcn8s-atonce)."""


class FCN(SegmentationModel):
    """Scores of the last stage and of finer ones, added from coarse to fine (Sec. 4.2, Fig. 3).

    Args:
        encoder: Yields five stages and says by `origins` where their cells lie (0 if it does not:
            every kernel of a ResNet or MobileNet is centred); its `classifier`, if any, is fc6 and
            fc7.
        num_classes: Number of labels K, background included.
        skip_scales: A factor for each finer stage that is added, from stride 16 on: () is 32s,
            (1, 1) is 8s.
        learned: Learn the upsamplings by 2; the last one is always fixed.
        repeat_border: Let scores go on outside the image, not be zero there.
        dropout: Before the score layer of an encoder without classifier.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        skip_scales: tuple[float, ...] = (),
        learned: bool = False,
        repeat_border: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width, deepest = _deepest(encoder)
        finer = range(-2, -2 - len(skip_scales), -1)  # stages of stride 16, 8
        grids = [deepest, *(Grid(_origins(encoder)[i], encoder.strides[i]) for i in finer), IMAGE]
        widths = [width, *(encoder.channels[i] for i in finer)]
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.has_classifier = hasattr(encoder, "classifier")
        self.skip_scales = skip_scales
        self.repeat_border = repeat_border
        # the crops of the release's prototxts on VGG: 19 (32s); 5, 27 (16s); 5, 9, 31 (8s)
        self.steps = upsamplings(grids, repeated=int(repeat_border))
        self.scores = nn.ModuleList(_zero_scores(width, num_classes) for width in widths)
        self.upsamplings = nn.ModuleList(
            _bilinear_upsampling(num_classes, step, learned=learned and step is not self.steps[-1])
            for step in self.steps
        )

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H, W)."""
        *stages, x = self.encoder(images)
        x = self._coarse(x)
        for step, upsample, score, scale in zip(
            self.steps, self.upsamplings, self.scores[1:], self.skip_scales, strict=False
        ):
            skip = stages.pop()
            skip = score(skip if scale == 1 else scale * skip)
            x = _add(upsample(self._extended(x)), skip, step.offset)
        x = self.upsamplings[-1](self._extended(x))
        return Scores(_crop(x, -self.steps[-1].offset, images.shape[-2:]))

    def coarse(self, images: Tensor) -> Tensor:
        """Map normalised images to the scores of the last stage alone, one every 32 pixels."""
        return self._coarse(self.encoder(images)[-1])

    def _coarse(self, x: Tensor) -> Tensor:
        """Apply fc6 and fc7, where there are any, and the first score layer."""
        if self.has_classifier:
            x = cast("_Classifier", self.encoder).classifier(x)
        scores: Tensor = self.scores[0](self.dropout(x))
        return scores

    def _extended(self, x: Tensor) -> Tensor:
        """Repeat the border cells once outwards; on a GPU torch's own pad is not repeatable."""
        if self.repeat_border:
            x = torch.cat([x[..., :1, :], x, x[..., -1:, :]], dim=-2)
            x = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
        return x


def fcn32s(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    padding: Literal["release", "same"] | None = None,
    fc_channels: int | None = None,
) -> FCN:
    """Build FCN-32s.

    Args:
        encoder_name: Any of `ENCODERS`; AlexNet, CaffeNet, VGG-16 and -19 have an fc6 and fc7.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        padding: "release" (100 pixels around the image; the default where there is an fc6) or
            "same" (layers keep their sizes: a third of the cost on small images).
        fc_channels: Width of fc6 and fc7; 4096 if not given.

    Raises:
        InputError: An encoder that FCN is not defined on here, or an option that it does not have.
    """
    return _fcn("fcn32s", encoder_name, in_channels, num_classes, padding, fc_channels)()


def fcn16s(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    padding: Literal["release", "same"] | None = None,
    fc_channels: int | None = None,
    deconvolution: Literal["fixed", "learned"] = "fixed",
    scaling: Literal["staged", "at_once"] = "staged",
) -> FCN:
    """Build FCN-16s; see `fcn32s`.

    Args:
        encoder_name: As `fcn32s`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        padding: As `fcn32s`.
        fc_channels: As `fcn32s`.
        deconvolution: "fixed" bilinear (release), or "learned" from bilinear on (paper).
        scaling: "staged" (start from FCN-32s, see `stage`), or "at_once": constants that let skips
            be trained from the beginning. They were chosen for VGG-16 without batch norm.
    """
    build = _fcn("fcn16s", encoder_name, in_channels, num_classes, padding, fc_channels)
    scales = AT_ONCE[:1] if scaling == "at_once" else (1.0,)
    return build(skip_scales=scales, learned=deconvolution == "learned")


def fcn8s(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    padding: Literal["release", "same"] | None = None,
    fc_channels: int | None = None,
    deconvolution: Literal["fixed", "learned"] = "fixed",
    scaling: Literal["staged", "at_once"] = "staged",
) -> FCN:
    """Build FCN-8s; the arguments are those of `fcn16s`."""
    build = _fcn("fcn8s", encoder_name, in_channels, num_classes, padding, fc_channels)
    scales = AT_ONCE if scaling == "at_once" else (1.0, 1.0)
    return build(skip_scales=scales, learned=deconvolution == "learned")


def stage(coarser: FCN, finer: FCN) -> None:
    """Begin a finer network where a trained coarser one stands: 32s, then 16s, then 8s (Sec. 4.2).

    All that both have is copied and the new score layers are zero, so that the finer network says
    at first what the coarser said, upsampled in two steps. With odd kernels (ResNet; AlexNet and
    CaffeNet as released) that is the same to rounding; with VGG's even ones corners of the score
    surface are cut by at most an eighth of its second difference in each direction.

    Args:
        coarser: Trained; not changed.
        finer: Of the same encoder, classes and options, with more skips; changed in place.

    Raises:
        InputError: They do not fit each other.
    """
    own = f"upsamplings.{len(coarser.upsamplings) - 1}."  # the last one has no counterpart
    taken = {k: v for k, v in coarser.state_dict().items() if not k.startswith(own)}
    wanted = finer.state_dict()
    fits = all(k in wanted and wanted[k].shape == v.shape for k, v in taken.items())
    new = {k.partition(".")[0] for k in wanted if k not in taken}
    count = len(coarser.skip_scales)
    if (
        not fits
        or new != {"scores", "upsamplings"}
        or finer.skip_scales[:count] != coarser.skip_scales
    ):
        raise InputError(
            "the finer network is not the coarser one with more skips; build both with the same "
            "encoder, classes and options, e.g. fcn32s, then fcn16s"
        )
    finer.load_state_dict(taken, strict=False)
    for layer in finer.scores[count + 1 :]:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


class _Classifier(Protocol):
    classifier: nn.Sequential


def _fcn(
    architecture: str,
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    padding: str | None,
    fc_channels: int | None,
) -> "partial[FCN]":
    """Return `FCN` with the encoder built; what the skips are is still open."""
    if encoder_name not in ENCODERS:  # of timm's it is not known where their cells lie
        raise unknown(f"encoder of {architecture}", encoder_name, ENCODERS)
    if encoder_name not in CLASSIFIERS:
        if padding == "release" or fc_channels is not None:
            raise InputError(
                f"padding='release' and fc_channels belong to {', '.join(CLASSIFIERS)}, which have "
                f"fully connected layers; leave them out with {encoder_name}"
            )
        encoder = create_encoder(encoder_name, in_channels=in_channels)
        dropout = 0.4 if isinstance(encoder, GoogLeNet) else 0.0  # Szegedy et al., Table 1
        return partial(FCN, encoder, num_classes, dropout=dropout)
    build, classifier = CLASSIFIERS[encoder_name]
    if padding == "same":
        encoder = build(in_channels, classifier=classifier(fc_channels or 4096, padding=3))
        return partial(FCN, encoder, num_classes)
    encoder = build(in_channels, first_padding=100, classifier=classifier(fc_channels or 4096))
    return partial(FCN, encoder, num_classes, repeat_border=False)


def _origins(encoder: Encoder) -> tuple[float, ...]:
    return getattr(encoder, "origins", (0.0,) * 5)


def _deepest(encoder: Encoder) -> tuple[int, Grid]:
    """Return channels and cells of what the first score layer sees: fc7 or the last stage."""
    channels, grid = encoder.channels[-1], Grid(_origins(encoder)[-1], encoder.strides[-1])
    for layer in getattr(encoder, "classifier", ()):
        if isinstance(layer, nn.Conv2d):
            shift = (layer.kernel_size[0] - 1) / 2 - int(layer.padding[0])
            channels, grid = layer.out_channels, Grid(grid.first + grid.stride * shift, grid.stride)
    return channels, grid


def _add(scores: Tensor, skip: Tensor, offset: int) -> Tensor:
    """Sum two maps of one stride where both are: the one that begins first is cropped."""
    if offset > 0:
        return scores + _crop(skip, offset, scores.shape[-2:])
    return _crop(scores, -offset, skip.shape[-2:]) + skip


def _crop(x: Tensor, offset: int, size: torch.Size) -> Tensor:
    height, width = size
    return x[..., offset : offset + height, offset : offset + width]


def _zero_scores(in_channels: int, num_classes: int) -> nn.Conv2d:
    """Return a 1x1 score layer that begins with zeros (Sec. 4.2 and the release)."""
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _bilinear_upsampling(channels: int, step: Upsampling, *, learned: bool) -> nn.ConvTranspose2d:
    """Return a deconvolution that begins, or stays, bilinear in each channel (Sec. 3.3).

    One that learns is dense, as Caffe's: it may come to mix the classes.
    """
    line = 1 - (torch.arange(step.kernel) - (step.kernel - 1) / 2).abs() / step.factor
    diagonal = torch.eye(channels) if learned else torch.ones(channels, 1)
    groups = 1 if learned else channels
    layer = nn.ConvTranspose2d(
        channels, channels, step.kernel, step.factor, groups=groups, bias=False
    )
    with torch.no_grad():
        layer.weight.copy_(diagonal[:, :, None, None] * (line[:, None] * line))
    layer.weight.requires_grad_(learned)
    return layer
