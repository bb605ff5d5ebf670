import pytest
import torch
from torch import nn
from torchvision.models import alexnet

from atrous.encoders.alexnet import AlexNet, CaffeNet, fully_convolutional
from atrous.layers import MaxPool
from atrous.ops import Normalization, normalise


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


def test_caffenets_response_norm_sees_images_in_0_to_255() -> None:
    torch.manual_seed(0)
    encoder = CaffeNet().eval()
    coarse = torch.rand(1, 3, 8, 8)
    image = nn.functional.interpolate(coarse, (128, 128), mode="bicubic").clamp(0, 1)
    x = (255 * image).byte()
    mean = torch.tensor([122.679, 116.669, 104.008])[:, None, None]  # Caffe's, R G B
    seen = normalise(x, encoder.normalization)
    torch.testing.assert_close(seen, x - mean, atol=0.2, rtol=0)
    norm = next(layer for layer in encoder.features if isinstance(layer, nn.LocalResponseNorm))
    before = encoder.features[:3](seen)
    divisor = before[before > 1] / norm(before)[before > 1]
    assert divisor.mean() > 1.005  # even with random filters; with ImageNet's figures: 1.000007
    assert divisor.max() > 1.05


def test_caffenet_takes_any_number_of_channels_in_0_to_255() -> None:
    assert CaffeNet(in_channels=2).normalization == Normalization((0.5, 0.5), (1 / 255, 1 / 255))
    assert AlexNet().normalization == Normalization.imagenet()


def test_caffenet_begins_as_the_paper_says() -> None:
    # Sec. 5: a normal of 0.01, biases 1 in layers 2, 4, 5 and the hidden fully connected ones
    encoder = CaffeNet(classifier=fully_convolutional(64))
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [float(c.bias.detach().min()) for c in convolutions] == [0, 1, 0, 1, 1, 1, 1]
    assert all(abs(float(c.weight.detach().std()) - 0.01) < 5e-4 for c in convolutions)
