import pytest
import torch
from torch import nn

from atrous.models import build_model
from atrous.models.fcn import FCN8s, crop_offsets

FIXED = {"upscore2.weight", "upscore_pool4.weight", "upscore8.weight"}


@pytest.mark.parametrize(
    ("classes", "parameters"),
    [(21, 134_362_751), (60, 134_552_564), (40, 134_455_224), (33, 134_421_155)],
)
def test_parameters_are_those_of_the_release(classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model = build_model("fcn8s", classes=classes)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == parameters
    if classes == 21:
        fixed = {name: p.numel() for name, p in model.named_parameters() if not p.requires_grad}
        assert set(fixed) == FIXED
        assert sum(fixed.values()) == 6_048


def test_crop_offsets_are_those_of_the_release() -> None:
    assert crop_offsets(100, 0) == (5, 9, 31)


@pytest.mark.parametrize(
    ("height", "trace"),
    [
        (500, [16, 34, 70, 568]),
        (375, [12, 26, 54, 440]),
        (366, [12, 26, 54, 440]),
        (320, [11, 24, 50, 408]),
        (256, [9, 20, 42, 344]),
    ],
)
def test_sizes_are_those_of_the_release(height: int, trace: list[int]) -> None:
    with torch.device("meta"):
        model = build_model("fcn8s")
        assert isinstance(model, FCN8s)
        found: list[int] = []
        for layer in (model.score_fc7, model.upscore2, model.upscore_pool4, model.upscore8):
            layer.register_forward_hook(lambda _, __, y: found.append(y.shape[-2]))
        assert model(torch.empty(1, 3, height, 40)).shape == (1, 21, height, 40)
    assert found == trace


def test_the_first_prediction_is_zero_everywhere() -> None:
    model = build_model("fcn8s", options={"fc_channels": 4}).eval()
    assert not model(torch.randn(1, 3, 33, 47)).any()


def test_upsampling_is_bilinear_and_keeps_classes_apart() -> None:
    model = FCN8s(3, 2, padding="same", fc_channels=4)
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(model.upscore2.weight[1, 0], line.outer(line))
    for layer, factor in ((model.upscore2, 2), (model.upscore8, 8)):
        x = torch.randn(1, 2, 6, 7)
        expected = nn.functional.interpolate(x, scale_factor=factor, mode="bilinear")
        inner, half = slice(factor, -factor), factor // 2  # zeros, not edges, lie outside
        found = layer(x)[..., half:-half, half:-half]
        torch.testing.assert_close(found[..., inner, inner], expected[..., inner, inner])


class Averaging(nn.MaxPool2d):
    """A pooling that is linear."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, 2, ceil_mode=True)


def ramp_through(model: FCN8s, path: str, images: torch.Tensor) -> torch.Tensor:
    """Make the network copy channel 0 along one path only, averaging where it pools."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
            if module.kernel_size[0] > 1 or module.out_channels == 4:
                middle = module.kernel_size[0] // 2
                module.weight.data[0, 0, middle, middle] = 1.0
    nn.init.ones_(getattr(model, path).weight[:, :1])
    for index, layer in enumerate(model.encoder.features):
        if isinstance(layer, nn.MaxPool2d):
            model.encoder.features[index] = Averaging(2)
    with torch.no_grad():
        return model.eval().score(images).main


@pytest.mark.parametrize("padding", ["release", "same"])
@pytest.mark.parametrize("path", ["score_fc7", "score_pool4", "score_pool3"])
def test_every_path_puts_its_scores_where_the_image_was(padding: str, path: str) -> None:
    # A ramp survives averaging and bilinear interpolation: any shift by d pixels shows as d.
    model = FCN8s(3, 2, padding=padding, fc_channels=4)  # type: ignore[arg-type]
    rows, columns = torch.arange(176.0)[:, None], torch.arange(150.0)
    images = (1000 + rows + 2 * columns).expand(1, 3, -1, -1)
    scores = ramp_through(model, path, images)
    inner = (..., slice(64, 112), slice(64, 86))
    torch.testing.assert_close(scores[inner], images[:, :2][inner], atol=0.01, rtol=0)
