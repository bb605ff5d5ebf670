"""SegNet: unpooling by indices instead of skips (Badrinarayanan, Kendall, Cipolla, TPAMI 2017).

VGG-16's thirteen convolutions, each with batch norm; pooling remembers which pixel of a window
won, in 2 bits; a decoder of thirteen convolutions mirrors them, and each of its stages begins by
putting features back where their maxima were (Sec. 3, Fig. 2). As in the release, convolutions
have biases, and the last of them, 3x3, is the classifier: neither norm nor ReLU follow it.

With `dropout` it is Bayesian SegNet (Kendall, Badrinarayanan, Cipolla, BMVC 2017), whose mean and
variance over samples `atrous.inference.monte_carlo` computes.

Departures from the paper:
- Batch norm's eps is torch's 1e-5 (the release: 1e-9), which torchvision's VGG-16-BN was trained
  with, and running averages are kept (the release averages once over the training set, at the end).
- Images are RGB in ImageNet's normalisation, which torchvision's weights want (the release: BGR
  from 0 to 255; the first batch norm takes out the difference, except at the border).
"""

from typing import Literal

from torch import Tensor, nn

from atrous.encoders.vgg import VGG16
from atrous.errors import unknown
from atrous.layers import ConvNormAct
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import max_pool_2bit, max_unpool_2bit

__all__ = ["DropoutUnits", "SegNet", "dropout_units", "initialise", "segnet"]

DropoutUnits = Literal[
    "none", "encoder", "decoder", "encoder_decoder", "central", "center", "classifier"
]
"""Which encoder and decoder units end in dropout: the variants of Bayesian SegNet."""


class SegNet(SegmentationModel):
    """An encoder, its mirror image, and pooling indices between them (Sec. 3, Fig. 2).

    Args:
        encoder: VGG-16 at output stride 32; the paper's has batch norm.
        num_classes: Number of labels K, background included.
        dropout: See `dropout_units`; the release's Bayesian SegNet is "central".
    """

    def __init__(self, encoder: VGG16, num_classes: int, *, dropout: DropoutUnits = "none") -> None:
        super().__init__()
        stages = _mirrored(encoder)
        self.encoder = encoder
        self.pooled_dropout, self.decoded_dropout = dropout_units(dropout, len(stages))
        self.decoder = nn.ModuleList(
            nn.Sequential(*(ConvNormAct(before, after, bias=True) for before, after in stage))
            for stage in stages
        )
        self.classifier = nn.Conv2d(encoder.channels[0], num_classes, 3, padding=1)
        initialise(self, shift=0.001 if dropout == "none" else 0.0)  # the release's

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H, W)."""
        x = images
        poolings: list[tuple[Tensor, tuple[int, int]]] = []
        for layer in self.encoder.features:
            if isinstance(layer, nn.MaxPool2d):
                height, width = x.shape[-2:]
                x, codes = max_pool_2bit(x)
                x = self.pooled_dropout[len(poolings)](x)
                poolings.append((codes, (height, width)))
            else:
                x = layer(x)
        for decode, dropout in zip(self.decoder, self.decoded_dropout, strict=True):
            x = dropout(decode(max_unpool_2bit(x, *poolings.pop())))
        return Scores(self.classifier(x))


def segnet(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    base_channels: int = 64,
    dropout: DropoutUnits = "none",
) -> SegNet:
    """Build SegNet, or Bayesian SegNet with `dropout="central"`.

    Args:
        encoder_name: The same network by two names: "vgg16" is filled with weights that know no
            batch norm, as the paper's is, "vgg16_bn" with such as do.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        base_channels: Width of the first stage, 64 in the paper; the others follow it.
        dropout: See `dropout_units`.

    Raises:
        InputError: Another encoder.
    """
    if encoder_name not in ("vgg16", "vgg16_bn"):
        raise unknown("encoder of segnet", encoder_name, ["vgg16", "vgg16_bn"])
    encoder = VGG16(in_channels, base_channels=base_channels, batch_norm=True)
    return SegNet(encoder, num_classes, dropout=dropout)


def dropout_units(units: DropoutUnits, depth: int) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Return what follows each pooling, outermost first, and each decoder, deepest first.

    Dropout of 0.5 where Bayesian SegNet has it, nothing elsewhere: after every encoder, every
    decoder or both, after the deepest half of both ("central": six units of SegNet, four of
    SegNet-Basic), between encoders and decoders ("center"), or before the classifier.

    Args:
        units: Which of them.
        depth: Number of encoders, and of decoders.
    """
    every, half = range(depth), range((depth + 1) // 2)
    encoders, decoders = {  # counted from the deepest
        "none": (range(0), range(0)),
        "encoder": (every, range(0)),
        "decoder": (range(0), every),
        "encoder_decoder": (every, every),
        "central": (half, half),
        "center": (range(1), range(0)),
        "classifier": (range(0), range(depth - 1, depth)),
    }[units]
    after_pooling = [nn.Dropout(0.5) if i in encoders else nn.Identity() for i in reversed(every)]
    after_decoding = [nn.Dropout(0.5) if i in decoders else nn.Identity() for i in every]
    return nn.ModuleList(after_pooling), nn.ModuleList(after_decoding)


def initialise(network: nn.Module, *, shift: float) -> None:
    """Draw weights as He et al. do (ICCV 2015); biases are 0, and norms begin at 1 and `shift`."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, shift)


def _mirrored(encoder: VGG16) -> list[list[tuple[int, int]]]:
    """Return the channels before and after each convolution of the decoder, deepest stage first.

    They are the encoder's in reverse. The mirror image of its first is the classifier: left out.
    """
    stages: list[list[tuple[int, int]]] = [[]]
    for layer in encoder.features:
        if isinstance(layer, nn.Conv2d):
            stages[0].insert(0, (layer.out_channels, layer.in_channels))
        elif isinstance(layer, nn.MaxPool2d):
            stages.insert(0, [])
    return [*stages[1:-1], stages[-1][:-1]]
