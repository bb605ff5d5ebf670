"""U-Net (Ronneberger, Fischer, Brox, MICCAI 2015, arXiv:1505.04597), and its decoder on an encoder.

`UNet` is the paper's network. Where the paper is silent the authors' release decides: ReLU after
every up-convolution, dropout 0.5 after levels 3 and 4 (the skip of level 3 sees it too), the
upsampled map first in the concatenation, zero biases. The mirrored border lies inside `score`, so
that the scores cover the whole image; `score_in_tiles` gives the same ones a tile at a time.

Departures from the paper: the last up-convolution has 64 outputs as in Fig. 1 (the release: 128);
`padding="same"` keeps every size and mirrors only up to a multiple of 16; `EncoderUNet` is the
form that practice made of it: batch norm, nearest upsampling, any encoder on the way down. The
paper's training is `--recipe unet`; its loss weighed at borders is `--loss border`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders import Encoder, create_encoder
from atrous.errors import InputError
from atrous.layers import ConvNormAct
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops.conv_doubled import conv_doubled, conv_doubled_pays

__all__ = ["EncoderUNet", "UNet", "mirror", "unet"]

_LEVELS = 5
_MARGIN = 92  # pixels that the valid convolutions lose on every side


class UNet(SegmentationModel):
    """Contracting path, expanding path, and a skip between them at every level (Fig. 1).

    Args:
        in_channels: Channels of the images.
        num_classes: Number of labels K, background included.
        base_channels: Width of the first level; every level doubles it.
        valid: Convolutions without padding, as in the paper.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, base_channels: int = 64, valid: bool = True
    ) -> None:
        super().__init__()
        self.output_stride = 16  # four poolings
        self.feature_channels = base_channels
        widths = [base_channels * 2**level for level in range(_LEVELS)]
        self.valid = valid
        self.down = nn.ModuleList(
            _two_convolutions(before, width, valid=valid, dropout=0.5 if level > 2 else 0.0)
            for level, (before, width) in enumerate(
                zip([in_channels, *widths], widths, strict=False)
            )
        )
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (1024, 512), (512, 256) ...
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, width, 2, 2), nn.ReLU(inplace=True))
            for before, width in steps
        )
        self.merge = nn.ModuleList(
            _two_convolutions(before, width, valid=valid) for before, width in steps
        )
        self.head = nn.Conv2d(base_channels, num_classes, 1)
        _initialise(self)

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H, W)."""
        return self._paths(self._framed(images), images.shape[-2:])

    def score_in_tiles(self, images: Tensor, tile: int = 572) -> Scores:
        """Return what `score` does, in the memory of one tile (overlap-tile strategy, Fig. 2).

        Tiles step by the largest multiple of 16 that their scores cover: 384 for the paper's 572
        and 388. By 388 three tiles of four would begin between the windows of the poolings.

        Args:
            images: (N, C, H, W), normalised, of any size.
            tile: Side of the input of one pass, 16 k + 60 pixels and at least 204.

        Raises:
            InputError: Another tile, or a network that pads its convolutions: it has no tiles whose
                scores are the whole image's.
        """
        step = (tile - 2 * _MARGIN) // 16 * 16
        if not self.valid or tile % 16 != 60 % 16 or step < 16:
            raise InputError(
                f"tile is {tile}; give 16 k + 60 pixels, at least 204 (the paper: 572), and a "
                "network with padding='valid'"
            )
        height, width = images.shape[-2:]
        tops, lefts = (range(0, size, step) for size in (height, width))
        size = (tops[-1] + tile, lefts[-1] + tile)
        framed = mirror(images, _MARGIN, size)
        main = images.new_empty(images.shape[0], self.head.out_channels, height, width)
        for top in tops:
            for left in lefts:
                part = main[..., top : top + step, left : left + step]
                window = framed[..., top : top + tile, left : left + tile]
                part.copy_(self._paths(window, part.shape[-2:]).main)
        return Scores(main)

    def _paths(self, x: Tensor, size: torch.Size) -> Scores:
        """Map framed images to the first `size` logits within the margin."""
        skips: list[Tensor] = []
        for down in self.down:
            x = down(functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            x = merge(torch.cat([x, _centre(skips.pop(), x.shape[-2:])], dim=1))
        x = x[..., : size[0], : size[1]]
        return Scores(self.head(x), features=x)

    def _framed(self, images: Tensor) -> Tensor:
        """Mirror the borders up to a size that every pooling halves: 16 k (+ 60 where valid)."""
        margin, rest = (_MARGIN, 60) if self.valid else (0, 0)
        height, width = (
            -(-(size + 2 * margin - rest) // 16) * 16 + rest for size in images.shape[-2:]
        )
        return mirror(images, margin, (height, width))


class EncoderUNet(SegmentationModel):
    """The expanding path over the five stages of any encoder, up to full resolution.

    Args:
        encoder: Yields five stages.
        num_classes: Number of labels K, background included.
        decoder_channels: Width of the five decoder levels, coarse to fine.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        skips = (*encoder.channels[-2::-1], 0)
        before = (encoder.channels[-1], *decoder_channels)
        self.feature_channels = decoder_channels[-1]
        self.encoder = encoder
        self.merge = nn.ModuleList(
            nn.Sequential(ConvNormAct(deep + skip, width), ConvNormAct(width, width))
            for deep, skip, width in zip(before, skips, decoder_channels, strict=False)
        )
        self.head = nn.Conv2d(decoder_channels[-1], num_classes, kernel_size=3, padding=1)

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H, W)."""
        *skips, x = self.encoder(images)
        for merge in self.merge:
            skip = skips.pop() if skips else None
            size = images.shape[-2:] if skip is None else skip.shape[-2:]
            first, second = merge.children()
            x = second(_joined(first, x, skip, size))
        return Scores(self.head(x), features=x)


def unet(
    encoder_name: str | None,
    in_channels: int,
    num_classes: int,
    *,
    base_channels: int = 64,
    padding: Literal["valid", "same", "symmetric"] | None = None,
    output_stride: int = 32,
) -> SegmentationModel:
    """Build the paper's U-Net, or its decoder on an encoder by name.

    Args:
        encoder_name: None is the paper's contracting path.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        base_channels: Width of the first level; on an encoder the decoder's widths follow it.
        padding: The paper's network: "valid" (default) or "same". On an encoder: "symmetric"
            (default) or "same", see `create_encoder`.
        output_stride: Of the encoder; the paper's own path has no such choice.

    Raises:
        InputError: An unknown encoder, or a choice that belongs to the other form.
    """
    if encoder_name is None:
        if padding == "symmetric" or output_stride != 32:
            raise InputError(
                "padding='symmetric' and output_stride belong to an encoder; name it too"
            )
        return UNet(in_channels, num_classes, base_channels=base_channels, valid=padding != "same")
    if padding == "valid":
        raise InputError("padding='valid' belongs to the paper's own path; leave the encoder out")
    encoder = create_encoder(
        encoder_name,
        in_channels=in_channels,
        output_stride=output_stride,
        padding=padding or "symmetric",
    )
    widths = tuple(max(base_channels * 4 >> level, 1) for level in range(_LEVELS))
    return EncoderUNet(encoder, num_classes, decoder_channels=widths)


def mirror(images: Tensor, before: int, size: tuple[int, int]) -> Tensor:
    """Extend images by reflection at their borders, as often as needed (Sec. 2, Fig. 2).

    Args:
        images: (N, C, H, W).
        before: Pixels added at the top and at the left.
        size: (height, width) wanted.

    Example:
        >>> mirror(torch.tensor([[[[1, 2, 3]]]]), 0, (1, 6))
        tensor([[[[1, 2, 3, 2, 1, 2]]]])
    """
    for axis, length in ((-2, size[0]), (-1, size[1])):
        last = images.shape[axis] - 1
        if before or length != last + 1:
            positions = torch.arange(-before, length - before, device=images.device)
            folded = last - (last - positions % max(2 * last, 1)).abs()
            images = images.index_select(axis, folded)
    return images


def _two_convolutions(
    in_channels: int, channels: int, *, valid: bool, dropout: float = 0.0
) -> nn.Sequential:
    """Return two 3x3 convolutions with ReLU, and dropout after them where asked for."""
    padding = 0 if valid else 1
    layers = [
        nn.Conv2d(in_channels, channels, 3, padding=padding),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=padding),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))


def _joined(unit: nn.Module, x: Tensor, skip: Tensor | None, size: torch.Size) -> Tensor:
    """Return a `ConvNormAct` of the coarser map, enlarged to `size`, and the skip.

    A convolution that somebody put in place of the plain one, such as a parametrised or a quantised
    one, or hangs a hook on, is called as it is.
    """
    conv, *others = unit.children()
    y: Tensor
    watched = _have_hooks(unit, conv)
    if type(conv) is nn.Conv2d and not watched and conv_doubled_pays(x, size, conv.weight):
        y = conv_doubled(x, skip, conv.weight)
        for other in others:
            y = other(y)
        return y
    x = functional.interpolate(x, size, mode="nearest")
    y = unit(x if skip is None else torch.cat([x, skip], dim=1))
    return y


def _have_hooks(*modules: nn.Module) -> bool:
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
    return any(getattr(module, kind) for module in modules for kind in kinds)


def _centre(x: Tensor, size: torch.Size) -> Tensor:
    """Crop the middle of (N, C, H, W)."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]


def _initialise(network: nn.Module) -> None:
    """Draw weights from a normal of std sqrt(2 / incoming nodes) (Sec. 3), biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
