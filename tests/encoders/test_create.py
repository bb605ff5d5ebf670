import subprocess
import sys
from typing import Any

import pytest
import torch

from atrous.encoders import ENCODERS, create_encoder
from atrous.errors import InputError


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("in_channels", [1, 6])
def test_every_encoder_yields_what_it_says(name: str, in_channels: int) -> None:
    with torch.device("meta"):
        encoder = create_encoder(name, in_channels=in_channels, output_stride=16)
        stages = encoder(torch.empty(1, in_channels, 33, 47))
    assert encoder.output_stride == 16
    assert len(encoder.normalization.mean) == in_channels
    assert [stage.shape[1] for stage in stages] == list(encoder.channels)
    sizes = [(-(-33 // stride), -(-47 // stride)) for stride in encoder.strides]
    if name == "resnet101_caffe":  # its pooling makes 13 of 24
        sizes = [sizes[0], (9, 13), (5, 7), (3, 4), (3, 4)]
    assert [tuple(stage.shape[-2:]) for stage in stages] == sizes


@pytest.mark.parametrize(
    ("name", "closest"), [("mobilenetv2", "mobilenet_v2"), ("resnet-50", "resnet50")]
)
def test_an_unknown_encoder_is_answered_with_the_closest(name: str, closest: str) -> None:
    with pytest.raises(InputError, match=rf"unknown encoder '{name}'; did you mean .*{closest}"):
        create_encoder(name)


def test_an_impossible_output_stride_is_refused() -> None:
    with pytest.raises(InputError, match="output_stride is 12; choose 8, 16 or 32"):
        create_encoder("resnet18", output_stride=12)


def test_padding_that_an_encoder_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="encoder vgg16 has no padding='same'"):
        create_encoder("vgg16", padding="same")
    with pytest.raises(InputError, match="unknown padding 'sane'; did you mean same"):
        create_encoder("mobilenet_v2", padding="sane")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "xception41",
            {"multi_grid": (1, 2, 4)},
            r"xception41 has no multi_grid=\(1, 2, 4\); leave",
        ),
        ("mobilenet_v2", {"multi_grid": (1,)}, "encoder mobilenet_v2 has no multi_grid"),
        ("xception41", {"even_dilation": True}, "encoder xception41 has no even_dilation=True"),
        ("vgg16", {"even_dilation": True}, "encoder vgg16 has no even_dilation=True; leave it out"),
    ],
)
def test_dilations_that_an_encoder_does_not_have_are_refused(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        create_encoder(name, **settings)


def test_mobilenet_needs_neither_timm_nor_torchvision() -> None:
    script = (
        "import sys; from atrous.models import build_model; build_model('deeplab_v3_plus'); "
        "print({'timm', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["mobilenet_v2_035", "mobilenet_v2_1280", "resnet18", "resnet50s"])
@pytest.mark.parametrize("stages", [2, 3, 4])
def test_the_first_stages_alone_are_those_of_the_whole(name: str, stages: int) -> None:
    torch.manual_seed(0)
    whole, part = create_encoder(name).eval(), create_encoder(name, stages=stages).eval()
    missing, _ = part.load_state_dict(whole.state_dict(), strict=False)
    assert missing == []
    assert sum(p.numel() for p in part.parameters()) < sum(p.numel() for p in whole.parameters())
    images = torch.randn(1, 3, 33, 47)
    found = part(images)
    assert [stage.shape[1] for stage in found] == list(part.channels)
    assert part.strides == (2, 4, 8, 16)[:stages]
    assert part.output_stride == part.strides[-1]
    for stage, expected in zip(found, whole(images), strict=False):
        torch.testing.assert_close(stage, expected)


def test_stages_that_cannot_be_kept_alone_are_refused() -> None:
    with pytest.raises(InputError, match="stages is 6; an encoder has five, of which 2 to 5"):
        create_encoder("resnet18", stages=6)
    with pytest.raises(InputError, match="encoder xception41 has no stages=3; leave it out"):
        create_encoder("xception41", stages=3)
