"""What each paper did when it scored its network, as settings of ours: `--protocol`.

"Single scale" means different things: PSPNet's such scores hold the mirror image too, DeepLab's do
not. The table gives what stands in each paper's final tables; options that are typed win over it.
"""

import dataclasses
from dataclasses import dataclass

from atrous.evaluation.config import EvaluateConfig

__all__ = ["PROTOCOLS", "Protocol", "with_protocol"]

SMOOTHED = "images are smoothed before they shrink (the papers: plain bilinear)"
"""Of every protocol with scales below 1: the network then sees what it saw in training."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One paper's way to look at an image.

    Attributes:
        scales: Factors on the image size, probabilities averaged.
        flip: Whether mirror images are averaged in.
        tile: Side of the windows, 0 for whole images.
        source: Where it is written.
        departures: What the paper does that these settings do not; "" for nothing.
    """

    scales: tuple[float, ...]
    flip: bool
    tile: int
    source: str
    departures: str = ""


PROTOCOLS = {
    "fcn": Protocol(
        scales=(1.0,),
        flip=False,
        tile=0,
        source="Long, Shelhamer and Darrell, CVPR 2015, Sec. 5",
    ),
    "segnet": Protocol(
        scales=(1.0,),
        flip=False,
        tile=0,
        source="Badrinarayanan, Kendall and Cipolla, TPAMI 2017, Sec. 4",
        departures="images and labels keep their size (the paper: 480x360)",
    ),
    "unet": Protocol(
        scales=(1.0,),
        flip=False,
        tile=388,
        source="Ronneberger, Fischer and Brox, MICCAI 2015, Sec. 2 and 4",
        departures="overlapping windows are blended (the paper: valid tiles of 388 in mirrored "
        "surroundings), one view (the paper: mean of 7 rotations)",
    ),
    "deeplab": Protocol(
        scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
        flip=True,
        tile=0,
        source="Chen et al., arXiv:1706.05587, Sec. 4.1; v3+, ECCV 2018, Sec. 4",
        departures=f"{SMOOTHED}; the output stride stays the model's (the papers: 8); their "
        "single-scale rows: --scales 1 --no-flip; Cityscapes: --scales 0.75,1,1.25; v1: --scales 1 "
        "--no-flip --crf deeplab; v2 takes the maximum over 0.5, 0.75 and 1 inside the network "
        "(here: option multi_scale of our v2), then a CRF: --scales 1 --no-flip --crf deeplab",
    ),
    "refinenet": Protocol(
        scales=(0.4, 0.6, 0.8, 1.0, 1.2),
        flip=False,
        tile=0,
        source="Lin et al., CVPR 2017, and its released code",
        departures=f"{SMOOTHED}; probabilities are averaged (the code: scores, resized in the log "
        "domain); the short side is not clamped, as the code does; the "
        "enlargement by 1.2 is part of our RefineNet, other networks go without",
    ),
    "psp": Protocol(
        scales=(1.0,),
        flip=True,
        tile=473,
        source="Zhao et al., CVPR 2017, and its released code",
        departures="windows are 473 px of the image at every scale (the code cuts the scaled "
        "image, and pads one smaller than the crop with the mean), blended in a band (the code: "
        "stride of 2/3 of the crop, plain mean); images keep their size (the code: long "
        "side 512); the probabilities of the mirror image are averaged (the Caffe code "
        "sums its logits); Cityscapes: --tile 713; multi-scale rows: --scales "
        "0.5,0.75,1,1.25,1.5,1.75, where "
        f"{SMOOTHED}",
    ),
}
"""Sources: the papers and the code released with them; all scores at the labels' own size."""


def with_protocol(config: EvaluateConfig) -> EvaluateConfig:
    """Return the configuration with its protocol's settings, except for those that were typed."""
    if config.protocol is None:
        return config
    chosen = PROTOCOLS[config.protocol]
    typed = config.given
    return dataclasses.replace(
        config,
        scales=config.scales if "scales" in typed else chosen.scales,
        flip=config.flip if "flip" in typed else chosen.flip,
        tile=config.tile if "tile" in typed else chosen.tile,
    )
