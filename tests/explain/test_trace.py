import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.explain import fields, layers
from atrous.explain.trace import listen
from atrous.models import build_model
from atrous.models.unet import mirror


def test_every_operation_that_makes_a_map_is_heard_once() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True), nn.MaxPool2d(2)).eval()
    heard = [(o.owner, o.kind, o.shape) for o in listen(network, torch.randn(1, 3, 32, 48))]
    assert heard == [
        ("0", "convolution", (1, 8, 16, 24)),
        ("1", "relu", (1, 8, 16, 24)),
        ("2", "max_pool2d_with_indices", (1, 8, 8, 12)),
    ]


def test_flops_are_two_per_multiplication_and_addition() -> None:
    network = nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2)
    (operation,) = listen(network, torch.empty(1, 6, 32, 32))
    assert operation.flops == 2 * (3 * 3 * 3) * 8 * 16 * 16


class Functional(nn.Module):
    """Functions instead of modules, and two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.avg_pool2d(self.conv(x), 2)
        y = functional.interpolate(y, x.shape[-2:], mode="nearest")
        return torch.cat([self.conv(x), y, y.mean((2, 3), keepdim=True).expand_as(y)], dim=1)


def test_functions_and_branches_are_followed() -> None:
    heard = listen(Functional().eval(), torch.zeros(1, 3, 16, 16))
    sizes = [(o.kind, o.spans[0].stride, o.spans[0].size) for o in heard if o.spans]
    assert sizes[:3] == [
        ("convolution", 1, 3),
        ("avg_pool2d", 2, 4),
        ("upsample_nearest2d", 1, 4),
    ]
    assert math.isinf(sizes[-1][2])


@pytest.mark.parametrize(
    ("layer", "field", "stride"), [("features.30", 212, 32), ("classifier.0", 404, 32)]
)
def test_fcn_on_vgg_sees_404_pixels(layer: str, field: int, stride: int) -> None:
    with torch.device("meta"):
        network = build_model("fcn8s", classes=2).eval()
        heard = listen(network, torch.empty(1, 3, 224, 224))
    (operation,) = [o for o in heard if o.owner == f"encoder.{layer}" and "relu" not in o.kind]
    assert operation.spans is not None
    assert (operation.spans[0].size, operation.spans[0].stride) == (field, stride)


def test_unet_scores_lie_in_the_middle_of_what_they_see() -> None:
    network = build_model("unet", classes=2, options={"base_channels": 2}).eval()
    last = listen(network, torch.zeros(1, 3, 64, 64))[-1]
    assert last.spans is not None
    low, high = last.spans[0].at(32)
    assert low < 32 < high
    assert abs((low + high) / 2 - 32) <= 8  # half a cell of the coarsest level


def test_a_mirrored_frame_begins_before_the_image() -> None:
    class Framed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return mirror(x, 5, (26, 26)) + 0

    last = listen(Framed(), torch.zeros(1, 1, 16, 16))[-1]
    assert last.spans is not None
    assert last.spans[0].at(5) == last.spans[1].at(5) == (0, 0)


def test_nothing_is_left_hooked() -> None:
    network = nn.Conv2d(3, 3, 1)
    listen(network, torch.zeros(1, 3, 8, 8))
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_repeated_borders_do_not_widen_the_field(size: int) -> None:
    with torch.device("meta"):
        model = build_model("fcn8s", classes=2, options={"padding": "same"}).eval()
        rows = layers(model, torch.empty(1, 3, size, size))
    assert fields(rows) == (404, 404 + 32 + 16 + 8)  # test_every_field.py asks the gradient


def test_parts_side_by_side_keep_the_place_of_the_middle_one() -> None:
    class Side(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = functional.avg_pool2d(x, 3, 1)
            return torch.cat([torch.cat([y[..., :2], y], dim=-1), x.new_zeros(1, 1, 14, 3)], -1)

    last = listen(Side(), torch.zeros(1, 1, 16, 32))[-1]
    assert last.spans is not None
    height, width = last.spans
    assert (height.at(0), width.at(2), width.at(12)) == ((0, 2), (0, 2), (10, 12))


@pytest.mark.parametrize(
    ("name", "encoder", "options", "layer", "field"),
    [
        ("fcn32s", "alexnet", {}, "encoder.classifier.1", 355),  # Long et al., Table 1
        ("fcn32s", "vgg16", {}, "encoder.classifier.0", 404),  # as above
        ("deeplab_v1", "vgg16", {"fc6": "7x7"}, "encoder.classifier.0", 404),  # holes keep VGG's
        ("deeplab_v1", "vgg16", {"fc6": "plain"}, "encoder.classifier.0", 308),  # Sec. 3.2
    ],
)
def test_fields_that_the_papers_print(
    name: str, encoder: str, options: dict[str, str], layer: str, field: int
) -> None:
    with torch.device("meta"):
        network = build_model(name, encoder_name=encoder, classes=2, options=options).eval()
        rows = layers(network, torch.empty(1, 3, 257, 257))
    assert {row.name: row.receptive_field for row in rows}[layer] == field


def test_segnets_pooling_and_unpooling_keep_the_geometry() -> None:
    network = build_model("segnet", classes=2, options={"base_channels": 2}).eval()
    heard = [o for o in listen(network, torch.zeros(1, 3, 64, 64)) if o.spans]
    pooled = [o for o in heard if o.kind == "max_pool_2bit"]
    assert [o.spans[0].stride for o in pooled] == [2, 4, 8, 16, 32]
    assert [o.spans[0].size for o in pooled] == [6, 16, 44, 100, 212]  # VGG-16's
    assert heard[-1].spans[0].stride == 1


def test_on_the_meta_device_any_network_is_heard_without_its_values() -> None:
    network = build_model("unet", classes=2, options={"base_channels": 2}).eval()
    heard = listen(network, torch.empty(1, 3, 64, 64, device="meta"))
    assert heard[-1].shape == (1, 2, 64, 64)
    assert not any(operation.seconds for operation in heard)
    assert not any(parameter.is_meta for parameter in network.parameters())


def test_maps_have_numbers_and_what_was_enlarged_is_known() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, 2, 1)
            self.left, self.right = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x).relu_()
            both = self.right(self.left(x) + self.right(x))
            return functional.interpolate(both, scale_factor=2.0)

    heard = {o.owner: o for o in reversed(listen(Pyramid(), torch.zeros(1, 3, 16, 16)))}
    assert heard["stem"].reads == 0
    assert heard["left"].reads == heard["right"].reads not in (0, None)
    assert not heard["right"].enlarged
    assert heard[""].kind == "relu"
    assert listen(Pyramid(), torch.zeros(1, 3, 16, 16))[-1].enlarged


@pytest.mark.parametrize("name", ["deeplab_v3", "deeplab_v3_plus", "pspnet"])
def test_a_global_branch_keeps_the_stride_of_the_map_that_it_joins(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, encoder_name="resnet18", classes=2).eval()
        rows = layers(model, torch.empty(1, 3, 128, 128))
    strides = [row.stride for row in rows if row.stride]
    assert min(strides) == strides[-1] == 1
