"""hszhao/semseg's PSPNet, rebuilt here from its description as far as keys and graph go."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

import atrous
from atrous.models import build_model
from atrous.weights.layouts import recognise


class Network(nn.Module):
    """A deep-stem ResNet in five parts, every 3x3 of its last two dilated, and the pyramid."""

    def __init__(self, layers=50, classes=19, aux=True):
        super().__init__()
        net = timm.create_model(f"resnet{layers}s")
        self.layer0 = nn.Sequential(*net.conv1, net.bn1, net.act1, net.maxpool)
        for index, dilation in ((1, 1), (2, 1), (3, 2), (4, 4)):
            stage = getattr(net, f"layer{index}")
            for module in stage.modules() if dilation > 1 else ():
                if isinstance(module, nn.Conv2d):
                    side = module.kernel_size[0] // 2 * dilation
                    module.stride, module.padding = (1, 1), (side, side)
                    module.dilation = (dilation, dilation)
            self.add_module(f"layer{index}", stage)
        self.ppm = nn.Module()
        self.ppm.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(parts),
                nn.Conv2d(2048, 512, 1, bias=False),
                nn.BatchNorm2d(512),
                nn.ReLU(),
            )
            for parts in (1, 2, 3, 6)
        )
        self.cls = classifier(4096, 512, classes)
        if aux:
            self.aux = classifier(1024, 256, classes)

    def forward(self, x):
        size = x.shape[-2:]
        for part in (self.layer0, self.layer1, self.layer2, self.layer3, self.layer4):
            x = part(x)
        maps = [x]
        for level in self.ppm.features:
            maps.append(
                functional.interpolate(level(x), x.shape[-2:], mode="bilinear", align_corners=True)
            )
        x = self.cls(torch.cat(maps, 1))
        return functional.interpolate(x, size, mode="bilinear", align_corners=True)


def classifier(before, width, classes):
    conv = nn.Conv2d(before, width, 3, padding=1, bias=False)
    return nn.Sequential(
        conv, nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1)
    )


@pytest.mark.parametrize("aux", [True, False])
def test_logits_are_the_authors(tmp_path, lively, assert_same_logits, aux):
    theirs = lively(lambda: Network(aux=aux))
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"epoch": 100, "state_dict": state}, tmp_path / "train_epoch_100.pth")
    ours = atrous.load(tmp_path / "train_epoch_100.pth")
    assert (ours.spec.architecture, ours.spec.encoder_name) == ("pspnet", "resnet50s")
    assert_same_logits(ours, theirs, torch.randn(1, 3, 65, 97))  # semseg takes 8 k + 1 only


@pytest.mark.parametrize("layers", [101, 152])
def test_every_tensor_of_deeper_ones_finds_its_place(layers):
    with torch.device("meta"):
        found = recognise(Network(layers).state_dict())
        ours = build_model(
            "pspnet", encoder_name=found.encoder_name, classes=19, options=found.options
        ).state_dict()
    assert {k: v.shape for k, v in found.tensors.items()} == {k: v.shape for k, v in ours.items()}
