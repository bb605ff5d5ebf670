import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.explain import field_of_view
from atrous.models import build_model
from atrous.models.deeplab_v1 import FC6, DeepLabV1, deeplab_v1
from atrous.ops import trim

VARIANTS = list(FC6)


def narrow(fc6: str = "large_fov", *, factor: int = 16, **options: bool) -> DeepLabV1:
    """The same graph with `factor` times fewer channels in between."""
    with torch.device("meta"):
        model = deeplab_v1("vgg16", 3, 2, fc6=fc6, fc_channels=64, **options)  # type: ignore[arg-type]
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            out_channels, in_channels, *kernel = layer.weight.shape
            out_channels = max(out_channels // factor, 1) if out_channels > 2 else 2
            in_channels = max(in_channels // factor, 1) if in_channels > 3 else 3
            weight = torch.empty(out_channels, in_channels, *kernel)
            layer.weight = nn.Parameter(nn.init.kaiming_normal_(weight))
            layer.bias = nn.Parameter(torch.rand(out_channels) - 0.5)
    return model.eval()


class Averaging(nn.MaxPool2d):
    """A pooling that is linear and sees only pixels that are there."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, count_include_pad=False
        )


def averaging(model: DeepLabV1) -> None:
    for index, layer in enumerate(model.encoder.features):
        if isinstance(layer, nn.MaxPool2d):
            pool = Averaging(layer.kernel_size, layer.stride, layer.padding)
            model.encoder.features[index] = pool


@pytest.mark.parametrize(
    ("fc6", "msc", "parameters"),
    [
        ("7x7", False, 134_346_581),
        ("plain", False, 65_140_565),
        ("4x4", False, 65_140_565),
        ("large_fov", False, 20_505_429),
        ("plain", True, 66_346_686),
        ("large_fov", True, 21_711_550),
    ],
)
def test_parameters_are_those_of_table_2(fc6: str, msc: bool, parameters: int) -> None:
    with torch.device("meta"):
        model = build_model("deeplab_v1", options={"fc6": fc6, "msc": msc})
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("fc6", "msc", "sizes"),
    [
        ("large_fov", False, [321, 161, 81, 41, 41, 41, 41]),
        ("large_fov", True, [321, 161, 81, 41, 41, 41, 41]),
        ("plain", True, [321, 161, 81, 41, 41, 41, 41]),
        ("plain", False, [306, 154, 78, 40, 39, 39, 39]),
        ("7x7", False, [306, 154, 78, 40, 39, 39, 39]),
        ("4x4", False, [306, 154, 78, 40, 39, 39, 39]),
        ("large_fov", False, [513, 257, 129, 65, 65, 65, 65]),
    ],
)
def test_maps_have_the_sizes_of_the_release(fc6: str, msc: bool, sizes: list[int]) -> None:
    with torch.device("meta"):
        model = build_model("deeplab_v1", options={"fc6": fc6, "msc": msc})
        images = torch.empty(1, 3, sizes[0], sizes[0])
        found = [stage.shape[-1] for stage in model.encoder(images)]
        assert [sizes[0], *found, model.score(images).main.shape[-1]] == sizes


@pytest.mark.parametrize(
    ("fc6", "pixels"), [("7x7", 224), ("plain", 128), ("4x4", 224), ("large_fov", 224)]
)
@pytest.mark.parametrize("msc", [False, True])
def test_the_field_of_view_is_that_of_table_2(fc6: str, pixels: int, msc: bool) -> None:
    with torch.device("meta"):
        model = build_model("deeplab_v1", options={"fc6": fc6, "msc": msc}).eval()
    assert field_of_view(model) == {"encoder.classifier.0": pixels}


@pytest.mark.parametrize(
    ("fc6", "options", "field"),
    [
        ("plain", {}, 308),  # the paper's number "in convolutional mode" (Sec. 3.2)
        ("7x7", {}, 404),
        ("4x4", {}, 404),
        ("large_fov", {}, 435),
        ("large_fov", {"pool5a": False}, 419),
    ],
)
def test_a_score_depends_on_so_many_pixels(fc6: str, options: dict[str, bool], field: int) -> None:
    model = narrow(fc6, factor=512, **options).double()
    averaging(model)  # a maximum has a gradient in one pixel only
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    remainder = model.encoder.remainder
    images = torch.ones(1, 3, 504 + remainder, 104 + remainder, dtype=torch.float64)
    images.requires_grad_()
    model.score(images).main[0, 0, 31, 7].backward()
    assert images.grad is not None
    assert int(images.grad[0, 0].any(1).sum()) == field


def tap_by_tap(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """The definition: y[i] is the sum over k of x[i + rate k] w[k], with zeros outside."""
    assert layer.bias is not None
    size, rate = layer.kernel_size[0], layer.dilation[0]
    height, width = x.shape[-2:]
    y = layer.bias[:, None, None].repeat(1, height, width)
    for u, v in itertools.product(range(size), repeat=2):
        down, right = (rate * (2 * k - size + 1) // 2 for k in (u, v))
        for i, j in itertools.product(range(height), range(width)):
            if 0 <= i + down < height and 0 <= j + right < width:
                y[:, i, j] += layer.weight[:, :, u, v] @ x[0, :, i + down, j + right]
    return y[None]


@pytest.mark.parametrize("fc6", VARIANTS)
def test_fc6_with_holes_is_what_its_definition_says(fc6: str) -> None:
    layer = narrow(fc6, factor=128).double().encoder.classifier[0]
    x = torch.randn(1, 4, 14, 17, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), tap_by_tap(x, layer))


@pytest.mark.parametrize(("fc6", "place"), [("7x7", "fc6"), ("large_fov", "conv5")])
def test_holes_are_a_dense_convolution_on_every_sublattice(fc6: str, place: str) -> None:
    model = narrow(fc6)
    layer = model.encoder.classifier[0] if place == "fc6" else model.encoder.features[24]
    rate, padding = layer.dilation[0], layer.kernel_size[0] // 2
    assert rate == (4 if place == "fc6" else 2)
    x = torch.randn(1, 32, 12, 16)
    with torch.no_grad():
        y = layer(x)
        for i, j in itertools.product(range(rate), repeat=2):
            part = functional.conv2d(x[..., i::rate, j::rate], layer.weight, layer.bias, 1, padding)
            torch.testing.assert_close(y[..., i::rate, j::rate], part, atol=1e-5, rtol=1e-5)


def test_conv5_on_every_second_cell_is_that_of_the_strided_network() -> None:
    features = narrow().encoder.features
    x = dense = torch.randn(1, 3, 97, 65)
    with torch.no_grad():
        for index, layer in enumerate(features[:30]):  # up to the ReLU of conv5_3
            dense = layer(dense)
            if index == 23:  # pool4
                x = functional.max_pool2d(x, 3, 2, 1)
            elif index > 23 and isinstance(layer, nn.Conv2d):
                x = functional.conv2d(x, layer.weight, layer.bias, padding=1)
            else:
                x = layer(x)
    assert x.shape[-2:] == (7, 5)
    torch.testing.assert_close(dense[..., ::2, ::2], x, atol=1e-5, rtol=1e-5)


def test_only_large_fov_averages_before_fc6_and_counts_the_zeros_outside() -> None:
    for fc6, msc in itertools.product(VARIANTS, (False, True)):
        last = narrow(fc6, msc=msc).encoder.features[-1]
        assert isinstance(last, nn.AvgPool2d) == (fc6 == "large_fov")
    average = narrow().encoder.features[-1](torch.ones(1, 1, 3, 3))[0, 0]
    torch.testing.assert_close(average, torch.tensor([[4, 6, 4], [6, 9, 6], [4, 6, 4]]) / 9)


def test_the_branches_are_one_classifier_of_their_concatenation() -> None:
    # Sec. 4.3: five maps of 128 channels are concatenated to the last feature map
    model = narrow(msc=True)
    images = torch.randn(1, 3, 41, 57)
    with torch.no_grad():
        *pools, pool5 = model.encoder(images)
        sources = zip(model.msc, (images, *pools), strict=True)
        hidden = [model.encoder.classifier(pool5), *(b[:6](x) for b, x in sources)]
        layers = [model.fc8, *(branch[6] for branch in model.msc)]
        weight = torch.cat([layer.weight for layer in layers], dim=1)
        bias = torch.stack([layer.bias for layer in layers]).sum(0)
        expected = functional.conv2d(torch.cat(hidden, dim=1), weight, bias)
        torch.testing.assert_close(model.score(images).main, expected, atol=1e-4, rtol=1e-4)


def copies_channel_0(model: DeepLabV1) -> None:
    """Let every convolution copy channel 0 from its middle, and every pooling average."""
    averaging(model)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            size = layer.kernel_size[0]
            middle = slice((size - 1) // 2, size // 2 + 1)
            layer.weight.data[:, 0, middle, middle] = 1.0 if size % 2 else 0.25


@pytest.mark.parametrize("path", ["fc8", 0, 1, 2, 3, 4])
@pytest.mark.parametrize("fc6", VARIANTS)
def test_scores_lie_where_the_image_was(fc6: str, path: str | int) -> None:
    # A ramp survives averaging and interpolation: a shift by d pixels shows as d.
    model = narrow(fc6, msc=path != "fc8")
    copies_channel_0(model)
    for index, layer in enumerate([model.fc8, *(branch[6] for branch in model.msc)]):
        if index != (0 if path == "fc8" else 1 + int(path)):
            nn.init.zeros_(layer.weight)
    rows, columns = torch.arange(214.0)[:, None], torch.arange(197.0)
    ramps = torch.stack([rows.expand(214, 197), columns.expand(214, 197)])
    with torch.no_grad():
        found = model(1000 + ramps[:, None].repeat(1, 3, 1, 1))[:, 0] - 1000
    inner = (..., slice(64, -80), slice(64, -80))  # away from zeros and cut windows
    half = 0.5 if model.encoder.remainder == 2 else 0.0  # 2x2 poolings lie between pixels
    torch.testing.assert_close(found[inner], ramps[inner], atol=half + 0.01, rtol=0)


@pytest.mark.parametrize("fc6", ["large_fov", "7x7"])
def test_an_image_of_any_size_is_padded_with_the_mean_pixel(fc6: str) -> None:
    model = narrow(fc6)
    height, width = 64 + model.encoder.remainder, 72 + model.encoder.remainder
    images = torch.randn(1, 3, height - 3, width - 7)
    with torch.no_grad():
        whole = model.score(functional.pad(images, (0, 7, 0, 3))).main
        expected = trim(whole, (height, width), images.shape[-2:])
        torch.testing.assert_close(model.score(images).main, expected)


def test_features_are_what_fc8_scores() -> None:
    model = narrow()
    scores = model.score(torch.randn(1, 3, 65, 49))
    assert scores.features is not None
    assert torch.equal(model.fc8(scores.features), scores.main)


def test_widths_follow_the_table_or_the_option() -> None:
    with torch.device("meta"):
        for fc6 in VARIANTS:
            model = build_model("deeplab_v1", options={"fc6": fc6})
            assert model.feature_channels == FC6[fc6].channels
        model = build_model("deeplab_v1", options={"fc_channels": 32})
    assert (model.feature_channels, model.fc8.in_channels) == (32, 32)


def test_the_encoder_is_vgg16_alone() -> None:
    with pytest.raises(InputError, match=r"unknown encoder of deeplab_v1 'resnet50'.*vgg16"):
        build_model("deeplab_v1", encoder_name="resnet50")
