import pytest
import timm
import torch
import torchvision
from torch import nn

from atrous.encoders import create_encoder
from atrous.encoders.timm_pyramid import PatchPyramid
from atrous.errors import InputError
from atrous.ops import Normalization


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_keys_and_shapes_of_a_resnet_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        ours = create_encoder(name).state_dict()
        theirs = getattr(torchvision.models, name)().state_dict()
    kept = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    assert {key: value.shape for key, value in ours.items()} == kept


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet50", 23_508_032), ("resnet101", 42_500_160)]
)
def test_parameters_are_those_of_the_features(name: str, parameters: int) -> None:
    with torch.device("meta"):
        encoder = create_encoder(name)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_features_of_a_resnet_are_torchvisions_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours, theirs = create_encoder("resnet18").eval(), torchvision.models.resnet18().eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(1, 3, 65, 97)
    stages = ours(x)
    x = theirs.relu(theirs.bn1(theirs.conv1(x)))
    torch.testing.assert_close(stages[0], x)
    x = theirs.maxpool(x)
    for stage, layer in zip(stages[1:], ("layer1", "layer2", "layer3", "layer4"), strict=True):
        x = getattr(theirs, layer)(x)
        torch.testing.assert_close(stage, x)


def wake(encoder: nn.Module) -> None:
    """Let the residual branches speak: a unit's last norm begins at zero."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 0.5)


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(name: str, output_stride: int) -> None:
    torch.manual_seed(0)
    coarse, dense = (create_encoder(name, output_stride=s).eval() for s in (32, output_stride))
    wake(coarse)
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 65, 97), 32 // output_stride
    found, expected = dense(images)[-1][..., ::step, ::step], coarse(images)[-1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert dense.strides == tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "test_resnet"])
def test_even_dilation_widens_the_first_unit_of_a_dilated_stage_and_no_other(name: str) -> None:
    def dilations(**settings: bool) -> dict[str, int]:
        with torch.device("meta"):
            encoder = create_encoder(name, output_stride=8, **settings)
        return {
            key: m.dilation[0] for key, m in encoder.named_modules() if hasattr(m, "padding_mode")
        }

    plain, even = dilations(), dilations(even_dilation=True)
    first = {"layer3.0.conv1": (1, 2), "layer4.0.conv1": (2, 4)}
    if name == "resnet50":
        first = {"layer3.0.conv2": (1, 2), "layer4.0.conv2": (2, 4)}
    if name == "test_resnet":  # its third stage is of bottlenecks
        first = {"layer3.0.conv2": (1, 2), "layer4.0.conv1": (2, 4)}
    changed = {key: (plain[key], even[key]) for key in plain if plain[key] != even[key]}
    assert changed == first


def test_even_dilation_keeps_sizes_and_breaks_the_lattice_on_purpose() -> None:
    torch.manual_seed(0)
    coarse = create_encoder("resnet18").eval()
    wake(coarse)
    dense = create_encoder("resnet18", output_stride=8, even_dilation=True).eval()
    dense.load_state_dict(coarse.state_dict())
    images = torch.randn(1, 3, 65, 97)
    stages = dense(images)
    assert [stage.shape[-2:] for stage in stages[2:]] == [(9, 13)] * 3
    assert not torch.allclose(stages[-1][..., ::4, ::4], coarse(images)[-1], atol=1e-2)


def test_even_dilation_changes_nothing_where_nothing_is_dilated() -> None:
    with torch.device("meta"):
        plain, even = (create_encoder("resnet18", even_dilation=on) for on in (False, True))
    assert repr(plain) == repr(even)


@pytest.mark.parametrize("name", ["mobilenet_v2_035", "convnext_atto"])
def test_even_dilation_is_refused_where_there_are_no_such_stages(name: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=f"{name} has no even_dilation=True"):
        create_encoder(name, even_dilation=True)


def test_a_513_image_gives_the_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        images = torch.empty(1, 3, 513, 513)
        for output_stride, last in ((16, 33), (8, 65)):
            stages = create_encoder("resnet50", output_stride=output_stride)(images)
            assert (stages[1].shape[-1], stages[-1].shape[-1]) == (129, last)
            assert stages[1].shape[1] == 256


def test_a_pyramid_that_begins_at_stride_4_is_completed_by_the_image() -> None:
    encoder = create_encoder("convnext_atto", in_channels=4)
    assert isinstance(encoder, PatchPyramid)
    images = torch.randn(1, 4, 64, 96)
    stages = encoder(images)
    assert [stage.shape[1] for stage in stages] == list(encoder.channels)
    assert [64 // stage.shape[-2] for stage in stages] == list(encoder.strides)
    torch.testing.assert_close(stages[0][0, 2, 0, 0], images[0, 2, :2, :2].mean())


def test_a_pyramid_that_begins_at_stride_1_is_cut() -> None:
    with torch.device("meta"):
        encoder = create_encoder("vgg11")
    assert encoder.strides == (2, 4, 8, 16, 32)
    assert encoder.channels == (128, 256, 512, 512, 512)


def test_normalisation_is_that_of_timms_weights() -> None:
    with torch.device("meta"):
        assert create_encoder("resnet18").normalization == Normalization.imagenet()
        inception = create_encoder("xception41").normalization
        grey = create_encoder("xception41", in_channels=1).normalization
    assert inception == Normalization((0.5,) * 3, (0.5,) * 3)
    assert grey == Normalization.for_channels(1)


@pytest.mark.parametrize(
    ("name", "output_stride", "remedy"),
    [
        ("vit_tiny_patch16_224", 32, "one size only"),
        ("swin_tiny_patch4_window7_224", 32, "one size only"),
        ("csatv2", 32, r"yields strides \(8, 16, 32, 64\)"),
        ("pvt_v2_b0", 8, "use output_stride=32"),
    ],
)
def test_a_network_that_is_no_such_pyramid_is_refused(
    name: str, output_stride: int, remedy: str
) -> None:
    assert timm.is_model(name)
    with torch.device("meta"), pytest.raises(InputError, match=f"encoder {name}.*{remedy}"):
        create_encoder(name, output_stride=output_stride)
