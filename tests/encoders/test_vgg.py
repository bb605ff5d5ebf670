from collections.abc import Callable

import pytest
import torch
from torchvision.models import vgg16, vgg16_bn, vgg19
from torchvision.models.vgg import make_layers

from atrous.encoders.vgg import VGG, VGG16, VGG19, DensePool, fully_convolutional


def narrow(output_stride: int) -> VGG16:
    """A VGG whose channels are halved thrice: the same graph, 64 times cheaper."""
    with torch.device("meta"):
        encoder = VGG16(output_stride=output_stride)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            ins = module.in_channels if module.in_channels == 3 else module.in_channels // 8
            module.weight = torch.nn.Parameter(torch.randn(module.out_channels // 8, ins, 3, 3) / 9)
            module.bias = torch.nn.Parameter(torch.randn(module.out_channels // 8) / 9)
    return encoder.eval()


@pytest.mark.parametrize(
    ("build", "peer", "parameters"), [(VGG16, vgg16, 14_714_688), (VGG19, vgg19, 20_024_384)]
)
def test_parameters_keys_and_shapes_are_torchvisions(
    build: type[VGG], peer: Callable[[], torch.nn.Module], parameters: int
) -> None:
    with torch.device("meta"):
        ours = build().state_dict()
        theirs = peer().get_submodule("features").state_dict(prefix="features.")
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert sum(tensor.numel() for tensor in ours.values()) == parameters


def test_with_batch_norm_keys_and_shapes_are_torchvisions_too() -> None:
    with torch.device("meta"):
        encoder = VGG16(batch_norm=True)
        theirs = vgg16_bn().features.state_dict(prefix="features.")
    assert {k: v.shape for k, v in encoder.state_dict().items()} == {
        k: v.shape for k, v in theirs.items()
    }
    assert sum(tensor.numel() for tensor in encoder.parameters()) == 14_714_688 + 2 * 4_224


def test_a_narrow_one_has_the_same_shape() -> None:
    with torch.device("meta"):
        encoder = VGG16(base_channels=8, batch_norm=True)
        stages = encoder(torch.empty(1, 3, 64, 96))
    assert encoder.channels == (8, 16, 32, 64, 64)
    assert tuple(stage.shape[1] for stage in stages) == encoder.channels


def test_the_fully_connected_layers_are_torchvisions_reshaped() -> None:
    with torch.device("meta"):
        ours = fully_convolutional().state_dict()
        theirs = vgg16().classifier.state_dict()
    assert ours["0.weight"].shape == (4096, 512, 7, 7)
    assert {key: tensor.numel() for key, tensor in ours.items()} == {
        key: tensor.numel() for key, tensor in theirs.items() if not key.startswith("6")
    }


def test_convolutions_give_what_fully_connected_layers_gave() -> None:
    torch.manual_seed(0)
    head = fully_convolutional(8).eval()
    x = torch.randn(2, 512, 7, 7)
    hidden = (x.flatten(1) @ head[0].weight.flatten(1).T + head[0].bias).relu()
    expected = (hidden @ head[3].weight.flatten(1).T + head[3].bias).relu()
    torch.testing.assert_close(head(x).flatten(1), expected)


def test_stages_are_torchvisions_with_the_same_weights() -> None:
    torch.manual_seed(0)
    widths = [8, 8, "M", 16, 16, "M", 32, 32, 32, "M", 64, 64, 64, "M", 64, 64, 64, "M"]
    ours, theirs = narrow(32), make_layers(widths)
    theirs.load_state_dict(ours.features.state_dict())
    x = torch.randn(1, 3, 64, 96)
    stages = ours(x)
    for layer in theirs:
        x = layer(x)
        if isinstance(layer, torch.nn.MaxPool2d):
            torch.testing.assert_close(stages.pop(0), x)
    assert stages == []


@pytest.mark.parametrize("height", [500, 375, 366, 320, 256])
def test_poolings_round_up_as_fcn_needs_them(height: int) -> None:
    trace = {  # spec: size after conv1 with padding 100, then pool1..pool5
        500: [349, 175, 88, 44, 22],
        375: [287, 144, 72, 36, 18],
        366: [282, 141, 71, 36, 18],
        320: [259, 130, 65, 33, 17],
        256: [227, 114, 57, 29, 15],
    }
    with torch.device("meta"):
        stages = VGG16(first_padding=100)(torch.empty(1, 3, height, 64))
    assert [stage.shape[-2] for stage in stages] == trace[height]


@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(output_stride: int) -> None:
    torch.manual_seed(0)
    coarse, dense = narrow(32), narrow(output_stride)
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 75, 130), 32 // output_stride
    torch.testing.assert_close(dense(images)[-1][..., ::step, ::step], coarse(images)[-1])
    assert dense.strides[-1] == output_stride


def test_a_dense_pool_keeps_the_size() -> None:
    x = torch.rand(1, 2, 5, 6)
    assert DensePool(2)(x).shape == x.shape
    expected = torch.stack([x[..., :3, :4], x[..., 2:, :4], x[..., :3, 2:], x[..., 2:, 2:]])
    torch.testing.assert_close(DensePool(2)(x)[..., :3, :4], expected.amax(0))
