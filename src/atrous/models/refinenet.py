"""RefineNet: the stages of a ResNet refined from coarse to fine (Lin et al., CVPR 2017).

arXiv:1611.06612. Every path into a block passes two residual convolution units (RCU), the paths
are fused, pooled in a chain with residuals, and one more unit gives the block's output (Sec. 3.2,
Fig. 3). Two further units stand before the classifier. No block has batch norm.

Departures from the paper, the first two as in its release:
- The network sees the image enlarged by 1.2, in training and in prediction, and so were the
  published figures made; `enlargement=1.0` costs a third less.
- The chains have four poolings; Fig. 3 draws two (`pooling_blocks=2`). `conv_first` is the order
  of the release's later models.
- A ResNet of ours strides in the 3x3 convolution of a unit, the release's in the 1x1 before it.
- Batch norm in the encoder trains as it stands, its statistics too. The release, with one image a
  step, keeps ImageNet's statistics and trains scale and shift alone; a network that starts from
  random weights needs its own.
- Images are normalised as the encoder's weights want it; the release takes 0..255 minus 128.
Maps are resized bilinearly, as the paper says; the release's code does it bicubically.
"""

from collections.abc import Sequence
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders import Encoder, create_encoder
from atrous.errors import InputError
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import resize

__all__ = [
    "ChainedResidualPooling",
    "Fusion",
    "RefineBlock",
    "RefineNet",
    "ResidualConvUnit",
    "refinenet",
]

# Encoder stages (1 to 4: strides 4 to 32) that enter each block, from coarse to fine (Fig. 7).
_CASCADES = {
    "single": ((4, 3, 2, 1),),
    "2-cascaded": ((4, 3), (2, 1)),
    "4-cascaded": ((4,), (3,), (2,), (1,)),
    "4-cascaded 2-scale": ((4,), (3,), (2,), (1,)),
}


class RefineNet(SegmentationModel):
    """Blocks that each take the block before and finer stages of the encoder (Sec. 3.1, Fig. 2).

    Args:
        encoder: Yields five stages; the last four are refined.
        num_classes: Number of labels K, background included.
        half_encoder: A second encoder, which sees the image at half the first one's scale.
        cascade: Stages (1 to 4) that enter each block, from coarse to fine.
        channels: Width of the paths (256); those of stage 4 have twice as many (Sec. 3.2).
        pooling_blocks: Poolings in a chain.
        conv_first: Convolve before pooling, not after it.
        enlargement: Enlargement of the image that the (first) encoder sees.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        half_encoder: Encoder | None = None,
        cascade: Sequence[Sequence[int]] = _CASCADES["4-cascaded"],
        channels: int = 256,
        pooling_blocks: int = 4,
        conv_first: bool = False,
        enlargement: float = 1.2,
    ) -> None:
        super().__init__()
        if enlargement <= 0:
            raise InputError(f"enlargement is {enlargement}; give a number above 0, such as 1.2")
        self.cascade = cascade
        self.enlargement = enlargement
        self.encoder = encoder
        self.half_encoder = half_encoder
        self.reduce, self.blocks = nn.ModuleList(), nn.ModuleList()
        before: list[int] = []  # width of the block before, once there is one
        for stages in cascade:
            inputs = [
                (view.channels[stage], 2 * channels if stage == 4 else channels)
                for stage in stages
                for view, _ in self._views()
            ]
            self.reduce.extend(_reduction(*widths) for widths in inputs)
            paths = [*before, *(width for _, width in inputs)]
            self.blocks.append(
                RefineBlock(paths, pooling_blocks=pooling_blocks, conv_first=conv_first)
            )
            before = [min(paths)]
        (width,) = before
        self.head = nn.Sequential(
            ResidualConvUnit(width),
            ResidualConvUnit(width),
            nn.Dropout(0.5),
            nn.Conv2d(width, num_classes, 3, padding=1),
        )
        for part in (self.reduce, self.blocks, self.head):
            _initialise(part)

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        """One encoder, or the two of the 2-scale variant."""
        return tuple(cast("nn.Module", encoder) for encoder, _ in reversed(self._views()))

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, 1.2 H/4, 1.2 W/4)."""
        pyramids = [encoder(_scaled(images, scale)) for encoder, scale in self._views()]
        reductions = iter(self.reduce)
        x: list[Tensor] = []
        for stages, block in zip(self.cascade, self.blocks, strict=True):
            paths = [next(reductions)(pyramid[s]) for s in stages for pyramid in pyramids]
            x = [block([*x, *paths])]
        return Scores(self.head(x[0]))

    def _views(self) -> list[tuple[Encoder, float]]:
        """Return each encoder with the scale at which it sees the image, the finest last."""
        half = [(self.half_encoder, self.enlargement / 2)] if self.half_encoder is not None else []
        return [*half, (self.encoder, self.enlargement)]


class RefineBlock(nn.Module):
    """Two RCUs on every path, fusion, chained residual pooling, one RCU (Sec. 3.2, Fig. 3a).

    Args:
        path_channels: Width of each path; the narrowest is the width of the block.
        pooling_blocks: See `ChainedResidualPooling`.
        conv_first: As above.
    """

    def __init__(
        self, path_channels: Sequence[int], *, pooling_blocks: int, conv_first: bool
    ) -> None:
        super().__init__()
        width = min(path_channels)
        self.adapt = nn.ModuleList(
            nn.Sequential(ResidualConvUnit(path), ResidualConvUnit(path)) for path in path_channels
        )
        self.fuse = Fusion(path_channels)
        self.pool = ChainedResidualPooling(width, blocks=pooling_blocks, conv_first=conv_first)
        self.output = ResidualConvUnit(width)

    def forward(self, paths: Sequence[Tensor]) -> Tensor:
        """Map paths (N, C_i, h_i, w_i), the finest last, to (N, min C_i, h, w) of the finest."""
        adapted = [adapt(path) for adapt, path in zip(self.adapt, paths, strict=True)]
        y: Tensor = self.output(self.pool(self.fuse(adapted)))
        return y


class ResidualConvUnit(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, and a shortcut: a ResNet's unit without batch norm (Fig. 3b).

    The second convolution has no bias (release).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        y: Tensor = self.conv2(functional.relu(self.conv1(functional.relu(x))))
        return x + y


class Fusion(nn.Module):
    """The sum of all paths, in the width of the narrowest, at the size of the finest (Fig. 3c).

    A single path passes as it is (Sec. 3.2). The paths are convolved first, then upsampled.

    Args:
        path_channels: Width of each path.
        kernel_size: Of the convolutions; 1 in the light-weight form.
    """

    def __init__(self, path_channels: Sequence[int], *, kernel_size: int = 3) -> None:
        super().__init__()
        fused = path_channels if len(path_channels) > 1 else ()
        self.convs = nn.ModuleList(
            _conv(channels, min(path_channels), kernel_size) for channels in fused
        )

    def forward(self, paths: Sequence[Tensor]) -> Tensor:
        """Map paths (N, C_i, h_i, w_i) to (N, min C_i, h, w); the last is the finest."""
        if len(paths) == 1:
            return paths[0]
        maps: list[Tensor] = [conv(x) for conv, x in zip(self.convs, paths, strict=True)]
        *coarser, y = maps
        height, width = y.shape[-2:]
        for x in coarser:
            y = y + resize(x, (height, width))
        return y


class ChainedResidualPooling(nn.Module):
    """Each pooling sees the result of the one before; all results add up (Sec. 3.2, Fig. 3d).

    Args:
        channels: Width of the map.
        blocks: Pairs of a 5x5 max pooling and a convolution.
        kernel_size: Of the convolutions; 1 in the light-weight form.
        conv_first: Convolve before pooling, not after it.
    """

    def __init__(
        self, channels: int, *, blocks: int = 4, kernel_size: int = 3, conv_first: bool = False
    ) -> None:
        super().__init__()
        self.conv_first = conv_first
        self.convs = nn.ModuleList(_conv(channels, channels, kernel_size) for _ in range(blocks))
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        y = total = functional.relu(x)  # the only non-linearity outside the RCUs
        for conv in self.convs:
            y = self.pool(conv(y)) if self.conv_first else conv(self.pool(y))
            total = total + y
        return total


def refinenet(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    variant: Literal["4-cascaded", "4-cascaded 2-scale", "2-cascaded", "single"] = "4-cascaded",
    channels: int = 256,
    pooling_blocks: int = 4,
    conv_first: bool = False,
    enlargement: float = 1.2,
) -> RefineNet:
    """Build RefineNet on an encoder by name.

    Args:
        encoder_name: See `atrous.encoders.create_encoder`.
        in_channels: Channels of the images.
        num_classes: Number of labels K.
        variant: A cascade of Fig. 7; "2-scale" adds a second encoder at half the scale.
        channels: See `RefineNet`, as for all that follow.
        pooling_blocks: Poolings in a chain.
        conv_first: Convolve before pooling.
        enlargement: Enlargement of the image.
    """
    two_scales = variant.endswith("2-scale")
    return RefineNet(
        create_encoder(encoder_name, in_channels=in_channels),
        num_classes,
        half_encoder=create_encoder(encoder_name, in_channels=in_channels) if two_scales else None,
        cascade=_CASCADES[variant],
        channels=channels,
        pooling_blocks=pooling_blocks,
        conv_first=conv_first,
        enlargement=enlargement,
    )


def _scaled(images: Tensor, scale: float) -> Tensor:
    """Resize images, but small ones not below 33 pixels: two cells at stride 32.

    Batch norm in training needs more than one cell where the batch is one image.
    """
    height, width = (max(round(size * scale), min(size, 33)) for size in images.shape[-2:])
    return resize(images, (height, width))


def _reduction(in_channels: int, channels: int) -> nn.Sequential:
    """Return the 3x3 convolution to a path's width; wide stages are dropped out (release)."""
    drop = [nn.Dropout(0.5)] if in_channels > 512 else []
    return nn.Sequential(*drop, _conv(in_channels, channels, 3))


def _conv(in_channels: int, channels: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)


def _initialise(part: nn.Module) -> None:
    """Draw new weights from a normal of std 0.01, biases are zero (release)."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
