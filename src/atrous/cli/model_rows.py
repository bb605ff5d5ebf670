"""What `atrous models` lists: networks and encoders, counted without allocating them."""

from dataclasses import dataclass

from atrous.errors import InputError

__all__ = ["ENCODER_PAPERS", "SHOWN", "Row", "encoders", "networks", "own_names"]

CLASSES = 21
SHOWN = 20
"""So many of timm's names are built and listed at most."""

_SANDLER, _HE = "Sandler et al., CVPR 2018", "He et al., CVPR 2016"
_SIMONYAN, _SZEGEDY = "Simonyan, Zisserman, ICLR 2015", "Szegedy et al., CVPR 2015"
ENCODER_PAPERS = {
    "alexnet": "Krizhevsky, 2014",
    "bvlc_googlenet": _SZEGEDY,
    "caffenet": "Krizhevsky et al., NIPS 2012",
    "googlenet": _SZEGEDY,
    "mobilenet_v2": _SANDLER,
    "mobilenet_v2_035": _SANDLER,
    "mobilenet_v2_050": _SANDLER,
    "mobilenet_v2_075": _SANDLER,
    "mobilenet_v2_1280": _SANDLER,
    "mobilenet_v3_large": "Howard et al., ICCV 2019",
    "resnet101": _HE,
    "resnet101_caffe": _HE,
    "resnet101s": _HE,
    "resnet152": _HE,
    "resnet152s": _HE,
    "resnet18": _HE,
    "resnet34": _HE,
    "resnet50": _HE,
    "resnet50s": _HE,
    "vgg16": _SIMONYAN,
    "vgg19": _SIMONYAN,
    "vgg16_bn": _SIMONYAN,
}


@dataclass(frozen=True)
class Row:
    """One network or encoder; `encoder` and `paper` are None where they do not apply."""

    name: str
    parameters: int
    output_stride: int
    encoder: str | None
    paper: str | None


def networks(text: str) -> list[Row]:
    """Return the networks whose name contains `text`."""
    from atrous.models import MODELS, build_model
    from atrous.weights.blueprint import blueprint

    rows = []
    for name, entry in sorted(MODELS.items()):
        if text in name:
            with blueprint():
                model = build_model(name, classes=CLASSES)
            rows.append(_row(name, model, entry.encoder, entry.paper))
    return rows


def _row(name: str, network: object, encoder: str | None = None, paper: str | None = None) -> Row:
    """Count; the stride is the network's own word or its encoder's."""
    from atrous.weights.blueprint import count_parameters

    strided = getattr(network, "encoder", network)
    stride = int(getattr(strided, "output_stride", 0))
    return Row(name, count_parameters(network), stride, encoder, paper)


def encoders(text: str) -> tuple[list[Row], int]:
    """Return our own encoders, timm's if a text selects them, and how many are not shown."""
    from atrous.encoders import ENCODERS

    own = [name for name in ENCODERS if text in name]
    others = []
    if text:
        from atrous.encoders.timm_pyramid import timm_names

        others = [name for name in timm_names() if text in name and name not in own]
    rows = [row for row in map(_encoder, own + others[:SHOWN]) if row is not None]
    return rows, max(0, len(others) - SHOWN)


def _encoder(name: str) -> Row | None:
    """Build an encoder without memory; None if timm cannot make a pyramid of it."""
    from atrous.encoders import create_encoder
    from atrous.weights.blueprint import blueprint

    try:
        with blueprint():
            return _row(name, create_encoder(name), paper=ENCODER_PAPERS.get(name))
    except InputError:
        return None


def own_names() -> list[str]:
    """Return the names of all networks and of our own encoders."""
    from atrous.encoders import ENCODERS
    from atrous.models import MODELS

    return [*MODELS, *ENCODERS]
