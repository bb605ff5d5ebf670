import pytest
import torch
from torch import nn
from torchvision.models import googlenet

from atrous.encoders.googlenet import BVLCGoogLeNet, GoogLeNet
from atrous.ops import Normalization, normalise


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def with_statistics(network: nn.Module) -> nn.Module:
    """Make batch norm more than the identity."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
    return network.eval()


def test_keys_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        ours, theirs = shapes(GoogLeNet()), shapes(googlenet(aux_logits=False, init_weights=False))
    assert ours == {name: shape for name, shape in theirs.items() if not name.startswith("fc.")}


@pytest.mark.parametrize("size", [(64, 96), (224, 224)])
def test_features_are_torchvisions_with_the_same_weights(size: tuple[int, int]) -> None:
    theirs = with_statistics(googlenet(aux_logits=False, init_weights=False))
    ours = GoogLeNet().eval()
    kept = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(kept)
    found: list[torch.Tensor] = []
    for name in ("conv1", "conv3", "inception3b", "inception4e", "inception5b"):
        getattr(theirs, name).register_forward_hook(lambda _, __, y: found.append(y))
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        theirs(x)
        for mine, reference in zip(ours(x), found, strict=True):
            torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)


def test_the_public_weights_want_images_from_minus_one_to_one() -> None:
    # torchvision's network turns ImageNet's normalisation into this one inside (transform_input)
    theirs = googlenet(aux_logits=False, init_weights=False, transform_input=True)
    pixels = torch.rand(1, 3, 4, 4)
    imagenet, own = Normalization.imagenet(), GoogLeNet().normalization

    def normalised(figures: Normalization) -> torch.Tensor:
        mean, std = (torch.tensor(f).view(3, 1, 1) for f in (figures.mean, figures.std))
        return (pixels - mean) / std

    torch.testing.assert_close(theirs._transform_input(normalised(imagenet)), normalised(own))
    assert GoogLeNet(4).normalization == Normalization.for_channels(4)


def test_the_published_form_has_caffes_parameters() -> None:
    # 6,998,552 are those of Caffe's model zoo without auxiliary heads, with the classifier of 1000
    with torch.device("meta"):
        network = BVLCGoogLeNet()
    assert sum(p.numel() for p in network.parameters()) + 1024 * 1000 + 1000 == 6_998_552
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    norms = [m for m in network.modules() if isinstance(m, nn.LocalResponseNorm)]
    assert [(m.size, m.alpha, m.beta, m.k) for m in norms] == [(5, 1e-4, 0.75, 1.0)] * 2


def test_the_published_forms_response_norm_sees_images_in_0_to_255() -> None:
    torch.manual_seed(0)
    encoder = BVLCGoogLeNet().eval()
    image = nn.functional.interpolate(torch.rand(1, 3, 8, 8), (128, 128), mode="bicubic")
    x = (255 * image.clamp(0, 1)).byte()
    mean = torch.tensor([122.679, 116.669, 104.008])[:, None, None]  # Caffe's, R G B
    seen = normalise(x, encoder.normalization)
    torch.testing.assert_close(seen, x - mean, atol=0.2, rtol=0)
    before = encoder.pool1(encoder.conv1(seen))
    divisor = before[before > 1] / encoder.norm1(before)[before > 1]
    assert divisor.mean() > 1.1  # with ImageNet's figures: 1.0002
    assert BVLCGoogLeNet(2).normalization == Normalization((0.5, 0.5), (1 / 255, 1 / 255))


@pytest.mark.parametrize("build", [GoogLeNet, BVLCGoogLeNet])
@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(
    build: type[GoogLeNet], output_stride: int
) -> None:
    coarse, dense = with_statistics(build()), build(output_stride=output_stride).eval()
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 75, 130), 32 // output_stride
    with torch.no_grad():
        expected = coarse(images)[-1]
        found = dense(images)[-1][..., ::step, ::step]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("build", [GoogLeNet, BVLCGoogLeNet])
def test_cells_lie_where_origins_say(build: type[GoogLeNet]) -> None:
    # A ramp through averaging layers keeps its value at each cell's centre.
    encoder = build()
    x, places = (1000 + torch.arange(1200.0)).expand(1, 1, 64, -1), []
    kernels = {"conv1": (7, 2, 3)}
    for name, layer in encoder.named_children():
        if name.startswith("pool"):
            places.append(x)
            x = nn.functional.avg_pool2d(x, layer.kernel_size, layer.stride, ceil_mode=True)
        elif name in kernels:
            x = nn.functional.avg_pool2d(x, *kernels[name], count_include_pad=False)
    places.append(x)
    for stride, origin, stage in zip(encoder.strides, encoder.origins, places, strict=True):
        middle = 600 // stride
        found = float(stage[0, 0, 0, middle])
        assert found == pytest.approx(1000 + origin + stride * middle, abs=0.01)


def test_odd_sizes_get_a_cell_for_their_rest() -> None:
    encoder = GoogLeNet().eval()
    with torch.no_grad():
        heights = [stage.shape[-2] for stage in encoder(torch.zeros(1, 3, 33, 32))]
    assert heights == [17, 9, 5, 3, 2]


def test_the_published_form_begins_as_in_caffes_zoo() -> None:
    # "xavier": uniform, of variance 1 / incoming values; biases 0.2
    conv = BVLCGoogLeNet().requires_grad_(False).conv2.conv
    assert float(conv.weight.var() * conv.weight[0].numel()) == pytest.approx(1, rel=0.1)
    assert conv.bias.unique().tolist() == pytest.approx([0.2])
