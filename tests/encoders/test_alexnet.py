import pytest
import torch
from torch import nn
from torchvision.models import alexnet

from atrous.encoders.alexnet import AlexNet, CaffeNet, fully_convolutional
from atrous.layers import MaxPool


def test_parameters_keys_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        ours = AlexNet(first_padding=2).state_dict()
        theirs = alexnet().features.state_dict(prefix="features.")
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_the_fully_connected_layers_are_torchvisions_reshaped() -> None:
    with torch.device("meta"):
        ours = fully_convolutional().state_dict()
        theirs = alexnet().classifier.state_dict()
    assert ours["1.weight"].shape == (4096, 256, 6, 6)
    assert {key: tensor.numel() for key, tensor in ours.items()} == {
        key: tensor.numel() for key, tensor in theirs.items() if not key.startswith("6")
    }


def test_caffenet_has_the_papers_parameters() -> None:
    # 60,965,224 are those of Caffe's model zoo, with the classifier of 1000
    with torch.device("meta"):
        network = CaffeNet(classifier=fully_convolutional())
    assert sum(p.numel() for p in network.parameters()) + 4096 * 1000 + 1000 == 60_965_224


def test_stages_are_torchvisions_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours, theirs = AlexNet(first_padding=2).eval(), alexnet().eval()
    ours.features.load_state_dict(theirs.features.state_dict())
    x = torch.randn(1, 3, 224, 224)  # where rounding up and down agree
    with torch.no_grad():
        stages = ours(x)[1:]
        for index, layer in enumerate(theirs.features):
            x = layer(x)
            if index == 1 or isinstance(layer, nn.MaxPool2d):
                torch.testing.assert_close(stages.pop(0), x)
    assert stages == []


def test_caffenet_norms_after_pooling_across_five_channels() -> None:
    norm = CaffeNet().features[3]
    assert isinstance(norm, nn.LocalResponseNorm)
    x = 100 * torch.randn(1, 7, 2, 3)
    squares = nn.functional.pad(x.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
    torch.testing.assert_close(norm(x), x * (1 + 1e-4 / 5 * squares) ** -0.75)


@pytest.mark.parametrize("build", [AlexNet, CaffeNet])
@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(
    build: type[AlexNet], output_stride: int
) -> None:
    torch.manual_seed(0)
    coarse, dense = build().eval(), build(output_stride=output_stride).eval()
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 75, 130), 32 // output_stride
    with torch.no_grad():
        torch.testing.assert_close(dense(images)[-1][..., ::step, ::step], coarse(images)[-1])
    assert dense.strides[-1] == output_stride


@pytest.mark.parametrize("first_padding", [None, 2, 100])
def test_cells_lie_where_origins_say(first_padding: int | None) -> None:
    # A ramp through averaging layers keeps its value at each cell's centre.
    encoder = AlexNet(first_padding=first_padding)
    x = (1000 + torch.arange(800.0)).expand(1, 1, 400, -1)
    for layer in encoder.features:
        if isinstance(layer, nn.Conv2d):
            kernel = torch.full((1, 1, *layer.kernel_size), 1 / layer.kernel_size[0] ** 2)
            x = nn.functional.conv2d(x, kernel, None, layer.stride, layer.padding)
        if isinstance(layer, nn.MaxPool2d | MaxPool):
            x = nn.functional.avg_pool2d(x, 3, 2, 1 if first_padding is None else 0)
    cells = range(9, 14)
    found = [float(x[0, 0, 6, cell]) for cell in cells]
    expected = [1000 + encoder.origins[-1] + 32 * cell for cell in cells]
    assert found == pytest.approx(expected, abs=0.01)
