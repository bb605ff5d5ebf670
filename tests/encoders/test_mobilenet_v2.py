import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models import mobilenet_v2

from atrous.encoders import create_encoder
from atrous.encoders.mobilenet_v2 import MobileNetV2, SameConv2d
from atrous.ops import Normalization

WIDTHS = {"": 1.0, "_075": 0.75, "_050": 0.5, "_035": 0.35}


def randomise_norms(network: torch.nn.Module) -> None:
    """Give batch norms statistics that a fresh network does not have, so that they matter."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.2)


def test_parameters_are_those_of_the_paper_up_to_320_channels() -> None:
    assert sum(p.numel() for p in MobileNetV2().parameters()) == 1_811_712


@pytest.mark.parametrize("suffix", WIDTHS)
def test_keys_and_shapes_are_torchvisions(suffix: str) -> None:
    with torch.device("meta"):
        ours = create_encoder(f"mobilenet_v2{suffix}").state_dict()
        theirs = mobilenet_v2(width_mult=WIDTHS[suffix]).state_dict()
    kept = {
        key: tensor.shape
        for key, tensor in theirs.items()
        if not key.startswith(("features.18.", "classifier."))
    }
    assert {key: tensor.shape for key, tensor in ours.items()} == kept


def test_features_are_torchvisions_with_the_same_weights() -> None:
    torch.manual_seed(0)
    theirs, ours = mobilenet_v2(width_mult=0.35).eval(), MobileNetV2(width=0.35).eval()
    randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(1, 3, 65, 98)
    stages = ours(x)
    for index, layer in enumerate(theirs.features[:18]):
        x = layer(x)
        if index in (1, 3, 6, 13, 17):
            torch.testing.assert_close(stages.pop(0), x, atol=0, rtol=0)


def test_a_513_image_gives_the_sizes_of_the_release() -> None:
    with torch.device("meta"):
        images = torch.empty(1, 3, 513, 513)
        for output_stride, sizes in {
            32: [257, 129, 65, 33, 17],
            16: [257, 129, 65, 33, 33],
            8: [257, 129, 65, 65, 65],
        }.items():
            encoder = MobileNetV2(output_stride=output_stride)
            assert [stage.shape[-1] for stage in encoder(images)] == sizes
            assert encoder.strides == tuple(min(s, output_stride) for s in (2, 4, 8, 16, 32))


def test_dilations_are_those_of_the_release_at_each_output_stride() -> None:
    expected = {
        32: dict.fromkeys(range(1, 18), 1),
        16: {**dict.fromkeys(range(1, 15), 1), 15: 2, 16: 2, 17: 2},
        8: {
            **dict.fromkeys(range(1, 8), 1),
            **dict.fromkeys(range(8, 15), 2),
            **dict.fromkeys((15, 16, 17), 4),
        },
    }
    for output_stride, dilations in expected.items():
        with torch.device("meta"):
            blocks = MobileNetV2(output_stride=output_stride).features[1:]
        found = {
            index: max(m.dilation[0] for m in block.modules() if isinstance(m, torch.nn.Conv2d))
            for index, block in enumerate(blocks, start=1)
        }
        assert found == dilations


@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(output_stride: int) -> None:
    torch.manual_seed(0)
    coarse, dense = (MobileNetV2(width=0.35, output_stride=s).eval() for s in (32, output_stride))
    randomise_norms(coarse)
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 97, 129), 32 // output_stride
    torch.testing.assert_close(dense(images)[-1][..., ::step, ::step], coarse(images)[-1])


def tensorflow_same(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Pad as TensorFlow's documentation says, then convolve without padding."""
    pads = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max(3 - 2, 0) if size % 2 == 0 else max(3 - size % 2, 0)
        pads += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(x, pads), weight, stride=2, groups=groups)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 9), (8, 9), (9, 8), (2, 7)])
def test_same_padding_is_tensorflows(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    convolution = SameConv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False)
    x = torch.randn(2, 6, *size)
    expected = tensorflow_same(x, convolution.weight, groups=6)
    torch.testing.assert_close(convolution(x), expected)
    with torch.no_grad():  # takes another way to the same sums
        torch.testing.assert_close(convolution(x), expected)
    assert expected.shape[-2:] == tuple((side + 1) // 2 for side in size)


def test_same_padding_touches_the_five_strided_convolutions_and_no_parameter() -> None:
    with torch.device("meta"):
        symmetric, same = create_encoder("mobilenet_v2"), MobileNetV2(padding="same")
    assert sum(isinstance(module, SameConv2d) for module in same.modules()) == 5
    assert list(same.state_dict()) == list(symmetric.state_dict())


def test_both_paddings_agree_where_every_size_is_odd() -> None:
    torch.manual_seed(0)
    symmetric, same = MobileNetV2(width=0.35).eval(), MobileNetV2(width=0.35, padding="same").eval()
    same.load_state_dict(symmetric.state_dict())
    images = torch.randn(1, 3, 65, 97)  # 64 k + 1 and 32 k + 1: odd down to the last stage
    torch.testing.assert_close(same(images)[-1], symmetric(images)[-1])
    images = torch.randn(1, 3, 64, 96)
    assert not torch.allclose(same(images)[-1], symmetric(images)[-1])


@pytest.mark.shared
def test_imagenet_weights_fit_all_but_the_classifier(shared: object) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    weights = safetensors.load_file(f"{shared}/weights/mobilenet_v2_imagenet.safetensors")
    report = MobileNetV2(padding="same").load_state_dict(weights, strict=False)
    assert report.missing_keys == []
    assert {key.split(".")[0] for key in report.unexpected_keys} == {"features", "classifier"}


def test_normalisation_is_imagenets_for_colour() -> None:
    assert MobileNetV2(width=0.35).normalization == Normalization.imagenet()
    assert MobileNetV2(5, width=0.35).normalization == Normalization.for_channels(5)


def test_the_1280_channels_are_torchvisions_when_asked_for() -> None:
    torch.manual_seed(0)
    theirs, ours = mobilenet_v2().eval(), create_encoder("mobilenet_v2_1280").eval()
    assert sum(p.numel() for p in ours.parameters()) == 2_223_872  # the paper's, without classifier
    randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(1, 3, 33, 65)
    found = ours(x)[-1]
    torch.testing.assert_close(found, theirs.features(x), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("output_stride", "first", "others"),
    [(16, {14: 2}, {15: 2, 17: 2}), (8, {7: 2, 14: 4}, {13: 2, 17: 4})],
)
def test_the_first_unit_of_a_dilated_stage_is_dilated_when_asked_for(
    output_stride: int, first: dict[int, int], others: dict[int, int]
) -> None:
    with torch.device("meta"):
        kept = MobileNetV2(output_stride=output_stride).features
        dilated = MobileNetV2(output_stride=output_stride, even_dilation=True).features
    for index, dilation in first.items():
        assert dilated[index].conv[1][0].dilation == (dilation, dilation)
        assert kept[index].conv[1][0].dilation == (dilation // 2, dilation // 2)
    for index, dilation in others.items():
        for network in (kept, dilated):
            assert network[index].conv[1][0].dilation == (dilation, dilation)
