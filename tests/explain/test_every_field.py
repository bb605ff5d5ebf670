"""The fields that `explain` states against where gradients flow, for networks of every kind.

Every network is made linear, with weights above zero, so that no path cancels another: maxima
become means of the same windows, norms do nothing. A tall, narrow image keeps it cheap.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders import create_encoder
from atrous.explain import Layer, layers
from atrous.models import Option, build_model

Options = dict[str, Option]

max_pool2d = functional.max_pool2d


def mean_pool2d(
    x: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The sum of every window of a max pooling: its gradient shows the window."""
    step, reach = stride or kernel_size, dilation * (kernel_size - 1)
    like = max_pool2d(x.to("meta"), kernel_size, stride, padding, dilation, ceil_mode)
    kernel = x.new_ones(x.shape[1], 1, kernel_size, kernel_size)
    framed = functional.pad(x, (padding, padding + reach, padding, padding + reach))
    sums = functional.conv2d(framed, kernel, None, step, 0, dilation, x.shape[1])
    return sums[..., : like.shape[-2], : like.shape[-1]]


def linear(model: nn.Module, *, narrow: bool) -> None:
    """Give a network from the meta device weights above zero; `narrow` leaves it one channel."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and narrow:
            ends = (2 if n == 2 else 1 for n in layer.weight.shape[:2])
            layer.weight = nn.Parameter(torch.empty(*ends, *layer.kernel_size, device="meta"))
            layer.bias = None
    model.to_empty(device="cpu")
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fan_in = max(parameter[0].numel(), 1) if parameter.ndim > 1 else 1
            parameter.fill_(0.0 if name.endswith("bias") else 1.0 / fan_in)
    model.requires_grad_(False).double().eval()


def small_images(height: int) -> Tensor:
    """One image of values that no ReLU6 cuts."""
    size = (1, 1, height, 32 + height % 2)
    return torch.full(size, 1e-6, dtype=torch.float64).requires_grad_()


def measured(outputs: Tensor, images: Tensor, positions: range) -> float:
    """Mean height of where the gradients of some rows of positions flow."""
    heights = []
    for y in positions:
        (gradient,) = torch.autograd.grad(outputs[0, :, y].sum(), images, retain_graph=True)
        seen = gradient[0].abs().amax((0, 2)).nonzero()
        assert 0 < int(seen.min()) <= int(seen.max()) < images.shape[-2] - 1, "image too small"
        heights.append(int(seen.max() - seen.min()) + 1)
    return sum(heights) / len(heights)


def last_of_each_part(rows: list[Layer]) -> list[Layer]:
    """The last row of every part of the network, and of it all, that does not see everything."""
    finite = [r for r in rows if r.receptive_field and not math.isinf(r.receptive_field)]
    last = {row.name.partition(".")[0]: row for row in finite if row.name or row is rows[-1]}
    return list(last.values())


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "encoder", "options", "height"),
    [
        ("attention_to_scale", "vgg16", {"merge": "average"}, 1537),
        ("deeplab_v1", "vgg16", {"fc6": "4x4"}, 634),
        ("deeplab_v2", "vgg16", {"head": "aspp_s"}, 705),
        ("deeplab_v2", "test_resnet", {"head": "large_fov"}, 513),
        ("deeplab_v3", "test_resnet", {"aspp_channels": 1}, 1025),
        ("deeplab_v3_plus", "mobilenet_v2_035", {"aspp_channels": 1, "decoder_channels": 1}, 1281),
        ("fcn8s", "vgg16", {"padding": "same"}, 768),
        pytest.param("fcn8s", "resnet18", {}, 768, marks=SLOW),
        pytest.param("fcn16s", "googlenet", {}, 768, marks=SLOW),
        ("fcn32s", "alexnet", {"padding": "same"}, 768),
        ("pspnet", "test_resnet", {"channels": 1, "bins": "none"}, 513),
        (
            "refinenet",
            "test_resnet",
            {"channels": 1, "pooling_blocks": 1, "variant": "single", "enlargement": 1.0},
            960,
        ),
        pytest.param(
            "refinenet",
            "test_resnet",
            {"channels": 1, "pooling_blocks": 1, "enlargement": 1.0},
            2400,
            marks=SLOW,
        ),
        ("refinenet_light", "test_resnet", {"channels": 1, "pooling_blocks": 2}, 1024),
        ("unet", None, {"base_channels": 1}, 512),
        pytest.param("unet", "mobilenet_v2_035", {"base_channels": 1}, 1024, marks=SLOW),
    ],
)
def test_gradients_reach_as_far_as_the_table_says(
    name: str,
    encoder: str | None,
    options: Options,
    height: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with torch.device("meta"):
        model = build_model(name, encoder_name=encoder, in_channels=1, classes=2, options=options)
    linear(model, narrow=encoder in ("vgg16", "alexnet"))
    images = small_images(height)
    rows = layers(model, images.to("meta"))
    results: dict[str, Tensor] = {}
    for key, module in model.named_modules():
        module.register_forward_hook(lambda *call, key=key: results.update({key: call[-1]}))
    monkeypatch.setattr(functional, "max_pool2d", mean_pool2d)
    model(images)
    checked = last_of_each_part(rows)
    assert len(checked) > 1
    for row in checked:
        middle, period = results[row.name].shape[-2] // 2, max(round(32 / (row.stride or 1)), 1)
        found = measured(results[row.name], images, range(middle, middle + period))
        assert found == pytest.approx(row.receptive_field, abs=1), row.name


@pytest.mark.parametrize(
    ("name", "field"), [("vgg16", 212), ("alexnet", 195), ("googlenet", 379), ("caffenet", 195)]
)
def test_a_pooling_that_lost_its_stride_sees_what_it_saw(
    name: str, field: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        encoder = create_encoder(name, in_channels=1, output_stride=8)
    for layer in list(encoder.modules()):
        for key, child in layer.named_children():
            if isinstance(child, nn.LocalResponseNorm):  # divides by what it sees
                setattr(layer, key, nn.Identity())
    linear(encoder, narrow=False)
    images = small_images(600)
    row = layers(encoder, images.to("meta"))[-1]
    monkeypatch.setattr(functional, "max_pool2d", mean_pool2d)
    last = encoder(images)[-1]
    middle = last.shape[-2] // 2
    assert row.receptive_field == measured(last, images, range(middle, middle + 1)) == field
