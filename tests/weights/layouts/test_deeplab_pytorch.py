"""kazuto1011/deeplab-pytorch, rebuilt here from its description as far as keys and graph go."""

import pytest
import torch
from torch import nn

import atrous
from atrous.ops import Normalization


def layer(before, after, size, stride=1, dilation=1, relu=True):
    padding = dilation * (size // 2)
    conv = nn.Conv2d(before, after, size, stride, padding, dilation, bias=False)
    parts = nn.Sequential()
    parts.add_module("conv", conv)
    parts.add_module("bn", nn.BatchNorm2d(after))
    if relu:
        parts.add_module("relu", nn.ReLU())
    return parts


class Unit(nn.Module):
    def __init__(self, before, after, stride, dilation, projected):
        super().__init__()
        self.reduce = layer(before, after // 4, 1, stride)
        self.conv3x3 = layer(after // 4, after // 4, 3, dilation=dilation)
        self.increase = layer(after // 4, after, 1, relu=False)
        self.shortcut = layer(before, after, 1, stride, relu=False) if projected else nn.Identity()

    def forward(self, x):
        return (self.increase(self.conv3x3(self.reduce(x))) + self.shortcut(x)).relu()


def stage(before, after, count, stride, dilation):
    units = nn.Sequential()
    for index in range(count):
        step = stride if index == 0 else 1
        units.add_module(
            f"block{index + 1}", Unit(after if index else before, after, step, dilation, index == 0)
        )
    return units


class Network(nn.Module):
    def __init__(self, classes=21):
        super().__init__()
        self.layer1 = nn.Sequential()
        self.layer1.add_module("conv1", layer(3, 64, 7, 2))
        self.layer1.add_module("pool", nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        self.layer2 = stage(64, 256, 3, 1, 1)
        self.layer3 = stage(256, 512, 4, 2, 1)
        self.layer4 = stage(512, 1024, 23, 1, 2)
        self.layer5 = stage(1024, 2048, 3, 1, 4)
        self.aspp = nn.Module()
        for index, rate in enumerate((6, 12, 18, 24)):
            branch = nn.Conv2d(2048, classes, 3, padding=rate, dilation=rate)
            self.aspp.add_module(f"c{index}", branch)

    def forward(self, x):
        for part in (self.layer1, self.layer2, self.layer3, self.layer4, self.layer5):
            x = part(x)
        return sum(branch(x) for branch in self.aspp.children())


@pytest.mark.parametrize("prefix", ["", "base."])
def test_scores_of_an_rgb_photograph_are_the_authors_of_its_bgr_values(tmp_path, lively, prefix):
    theirs = lively(Network)
    state = {f"{prefix}{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save(state, tmp_path / "deeplabv2.pth")
    ours = atrous.load(tmp_path / "deeplabv2.pth")
    assert ours.spec.architecture == "deeplab_v2"
    assert ours.spec.encoder_name == "resnet101_caffe"

    photo = torch.randint(256, (1, 3, 65, 97)).float()
    mean = torch.tensor([104.008, 116.669, 122.675]).reshape(3, 1, 1)
    with torch.no_grad():
        expected = theirs(photo.flip(1) - mean)
        found = ours.score(normalised(photo / 255, ours.normalization)).main
    scale = expected.abs().max()
    assert scale > 1
    assert (found - expected).abs().max() <= 1e-5 * scale


def normalised(images: torch.Tensor, normalization: Normalization) -> torch.Tensor:
    mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in (normalization.mean, normalization.std))
    return (images - mean) / std
