import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from atrous.explain import fields, grouped, layers
from atrous.models import MODELS, build_model
from atrous.weights.blueprint import count_parameters


@pytest.mark.parametrize("name", MODELS)
def test_no_parameter_is_lost_or_counted_twice(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, classes=5).eval()
        rows = layers(model, torch.empty(1, 3, 128, 128))
    assert sum(row.parameters for row in rows) == count_parameters(model)
    assert sum(row.parameters for row in grouped(rows, 1)) == count_parameters(model)
    assert sum(row.flops for row in grouped(rows, 2)) == sum(row.flops for row in rows)


def test_norm_and_activation_go_with_their_convolution() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout()
    ).eval()
    (row,) = layers(network, torch.zeros(1, 3, 16, 16))
    assert (row.kind, row.shape, row.parameters) == ("conv 3x3 /2", (8, 8, 8), 3 * 8 * 9 + 16)
    assert row.seconds > 0


def test_a_shared_layer_counts_its_parameters_once() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1)
    rows = layers(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 4, 8, 8))
    assert [row.parameters for row in rows] == [4 * 4 * 9 + 4, 0]
    assert [row.receptive_field for row in rows] == [3, 5]


def test_vgg_16_costs_the_published_fifteen_billion_multiplications() -> None:
    with torch.device("meta"):
        model = build_model("fcn8s", options={"padding": "same"}).eval()
        rows = layers(model, torch.empty(1, 3, 224, 224))
    convolutions = sum(row.flops for row in rows if ".features." in row.name)
    assert convolutions / 2 == pytest.approx(15.35e9, rel=0.001)  # 13 layers at 224 x 224


def test_the_global_branch_of_aspp_sees_everything() -> None:
    with torch.device("meta"):
        model = build_model("deeplab_v3_plus", encoder_name="resnet18").eval()
        rows = {row.name: row for row in layers(model, torch.empty(1, 3, 128, 128))}
    image_level = rows["aspp.image_level.conv"].receptive_field
    assert image_level is not None
    assert math.isinf(image_level)
    assert rows["aspp.atrous.2.conv"].kind == "conv 3x3 rate 18"


@pytest.mark.parametrize("name", MODELS)
def test_every_row_has_channels_height_and_width(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, classes=5).eval()
        rows = layers(model, torch.empty(1, 3, 130, 94))  # sizes that DeepLabs pad and trim
    made = [row for row in rows if row.kind != "not run here"]
    assert {len(row.shape) for row in made} == {3}
    assert made[-1].shape[0] == 5
    assert "linear" not in {row.kind for row in made}


class Linear(nn.Module):
    """Linear layers of channels last, and of one position."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.everywhere = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 6)
        self.once = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.everywhere(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.once(x.mean((2, 3)))


def test_linear_layers_have_the_shape_of_their_map() -> None:
    rows = {row.name: row for row in layers(Linear(), torch.zeros(1, 3, 16, 24)) if row.name}
    assert rows["everywhere"].shape == (6, 8, 12)
    assert rows["once"].shape == (4, 1, 1)


class Slow(nn.Module):
    """Counts its runs; `seconds` is what one of them takes."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.runs = seconds, 0
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.layer(x)


@pytest.mark.parametrize(("seconds", "runs"), [(0.0, 4), (2.0, 2)])
def test_a_long_run_is_timed_once_and_a_short_one_three_times(
    seconds: float, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, told, clock = Slow(seconds), [], itertools.count(step=seconds)
    monkeypatch.setattr("atrous.explain.trace.time.perf_counter", lambda: float(next(clock)))
    layers(network, torch.zeros(1, 3, 8, 8), progress=told.append)
    assert network.runs == runs
    assert told == ["warming up", "timing"]


def test_fields_are_told_before_and_after_upsampling() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Upsample(scale_factor=2)
    )
    assert fields(layers(network, torch.zeros(1, 3, 16, 16))) == (7, 7)
    network.append(nn.Conv2d(4, 4, 3, padding=1))
    assert fields(layers(network, torch.zeros(1, 3, 16, 16))) == (7, 9)
