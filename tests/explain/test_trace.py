import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

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
