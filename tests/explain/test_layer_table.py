import math

import pytest
import torch
from torch import nn

from atrous.explain import grouped, layers
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
