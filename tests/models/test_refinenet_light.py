import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.encoders import create_encoder
from atrous.models import build_model
from atrous.models.refinenet_light import LightRefineNet


@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [("resnet50", 27_357_525), ("resnet101", 46_349_653), ("resnet152", 61_993_301)],
)
def test_parameters_are_those_of_the_release(encoder: str, parameters: int) -> None:
    with torch.device("meta"):
        model = build_model("refinenet_light", encoder_name=encoder)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_every_new_convolution_but_the_classifier_is_1x1_without_bias() -> None:
    with torch.device("meta"):
        model = build_model("refinenet_light", encoder_name="resnet18")
    assert isinstance(model, LightRefineNet)
    decoder = [*model.reduce.modules(), *model.fuse.modules(), *model.pool.modules()]
    convs = [module for module in decoder if isinstance(module, nn.Conv2d)]
    assert {(conv.kernel_size, conv.bias) for conv in convs} == {((1, 1), None)}
    assert model.head.kernel_size == (3, 3)
    assert model.head.bias is not None


def test_dropout_follows_the_two_coarsest_stages() -> None:
    with torch.device("meta"):
        model = build_model("refinenet_light", encoder_name="resnet18")
    assert isinstance(model, LightRefineNet)
    assert [path[0].p for path in model.reduce] == [0.5, 0.5, 0.0, 0.0]


def test_a_480_image_is_scored_at_a_quarter() -> None:
    with torch.device("meta"):
        model = build_model("refinenet_light", encoder_name="resnet50")
        assert model.score(torch.empty(1, 3, 480, 360)).main.shape == (1, 21, 120, 90)


def test_the_graph_is_the_releases() -> None:
    torch.manual_seed(0)
    model = LightRefineNet(create_encoder("test_resnet"), 5, channels=4).eval()
    images = torch.randn(1, 3, 75, 49)
    with torch.no_grad():
        _, *stages = model.encoder(images)
        x = torch.empty(0)
        for level, stage in enumerate(reversed(stages)):
            y = functional.conv2d(stage, model.reduce[level][1].weight)
            if level:
                coarse, fine = (conv.weight for conv in model.fuse[level].convs)
                up = functional.interpolate(
                    functional.conv2d(x, coarse), (y.shape[-2], y.shape[-1]), mode="bilinear"
                )
                y = functional.conv2d(y, fine) + up
            x = top = y.relu()
            for conv in model.pool[level].convs:
                top = functional.conv2d(functional.max_pool2d(top, 5, 1, 2), conv.weight)
                x = x + top
        expected = functional.conv2d(x, model.head.weight, model.head.bias, padding=1)
        torch.testing.assert_close(model.score(images).main, expected)
