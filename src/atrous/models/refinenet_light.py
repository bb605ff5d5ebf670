"""Light-Weight RefineNet (Nekrasov, Shen, Reid, BMVC 2018, arXiv:1810.03272).

The 4-cascaded RefineNet without its residual convolution units, and with 1x1 convolutions in the
place of all 3x3 ones but the classifier (Sec. 3): a quarter of its parameters. The image is seen
at its own scale.

New convolutions start from torch's own random weights, as in the release.

Departures from the paper: maps are resized without aligned corners (the release aligns them);
batch norm trains (the release's recipe freezes it); on MobileNetV2 the release refines six maps in
one width, here they are four, as on ResNets.
"""

from torch import Tensor, nn

from atrous.encoders import Encoder, create_encoder
from atrous.models.refinenet import ChainedResidualPooling, Fusion
from atrous.models.segmentation_model import Scores, SegmentationModel

__all__ = ["LightRefineNet", "refinenet_light"]


class LightRefineNet(SegmentationModel):
    """Stages of strides 32, 16, 8 and 4: reduced, fused with what came before, pooled in a chain.

    Args:
        encoder: Yields five stages; the last four are refined.
        num_classes: Number of labels K, background included.
        channels: Width of the decoder (256); that of the coarsest stage is twice as wide.
        pooling_blocks: Poolings in a chain (4).
    """

    def __init__(
        self, encoder: Encoder, num_classes: int, *, channels: int = 256, pooling_blocks: int = 4
    ) -> None:
        super().__init__()
        widths = [2 * channels, channels, channels, channels]  # coarse to fine
        before: list[list[int]] = [[], [2 * channels], [channels], [channels]]
        self.encoder = encoder
        self.reduce = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(0.5 if level < 2 else 0.0), nn.Conv2d(wide, width, 1, bias=False)
            )
            for level, (wide, width) in enumerate(zip(encoder.channels[:0:-1], widths, strict=True))
        )
        self.fuse = nn.ModuleList(
            Fusion([*path, width], kernel_size=1)
            for path, width in zip(before, widths, strict=True)
        )
        self.pool = nn.ModuleList(
            ChainedResidualPooling(width, blocks=pooling_blocks, kernel_size=1) for width in widths
        )
        self.head = nn.Conv2d(channels, num_classes, 3, padding=1)

    def score(self, images: Tensor) -> Scores:
        """Map normalised images (N, C, H, W) of any size to logits (N, K, H/4, W/4)."""
        _, *stages = self.encoder(images)
        x: list[Tensor] = []
        for stage, reduce, fuse, pool in zip(
            reversed(stages), self.reduce, self.fuse, self.pool, strict=True
        ):
            x = [pool(fuse([*x, reduce(stage)]))]
        return Scores(self.head(x[0]))


def refinenet_light(
    encoder_name: str,
    in_channels: int,
    num_classes: int,
    *,
    channels: int = 256,
    pooling_blocks: int = 4,
) -> LightRefineNet:
    """Build Light-Weight RefineNet on an encoder by name; the options are its constructor's."""
    return LightRefineNet(
        create_encoder(encoder_name, in_channels=in_channels),
        num_classes,
        channels=channels,
        pooling_blocks=pooling_blocks,
    )
