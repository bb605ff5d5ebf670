"""VainF/DeepLabV3Plus-Pytorch, rebuilt here from its description as far as keys and graph go."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet50

import atrous
from atrous.errors import InputError
from atrous.weights.layouts import recognise


def unit(before, after, size, dilation=1):
    padding = dilation * (size // 2)
    conv = nn.Conv2d(before, after, size, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


class Pyramid(nn.Module):
    def __init__(self, rates):
        super().__init__()
        branches = [nn.Sequential(*unit(2048, 256, 1))]
        branches += [nn.Sequential(*unit(2048, 256, 3, rate)) for rate in rates]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *unit(2048, 256, 1)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*unit(5 * 256, 256, 1), nn.Dropout(0.1))

    def forward(self, x):
        *maps, mean = (branch(x) for branch in self.convs)
        return self.project(torch.cat([*maps, mean.expand_as(maps[0])], 1))


class Plus(nn.Module):
    def __init__(self, rates, classes):
        super().__init__()
        self.project = nn.Sequential(*unit(256, 48, 1))
        self.aspp = Pyramid(rates)
        self.classifier = nn.Sequential(*unit(304, 256, 3), nn.Conv2d(256, classes, 1))

    def forward(self, low, high):
        low = self.project(low)
        high = functional.interpolate(self.aspp(high), low.shape[-2:], mode="bilinear")
        return self.classifier(torch.cat([low, high], 1))


class Plain(nn.Module):
    def __init__(self, rates, classes):
        super().__init__()
        self.classifier = nn.Sequential(
            Pyramid(rates), *unit(256, 256, 3), nn.Conv2d(256, classes, 1)
        )

    def forward(self, low, high):
        return self.classifier(high)


class Network(nn.Module):
    def __init__(self, head, output_stride, classes=21):
        super().__init__()
        dense = output_stride == 8
        self.backbone = resnet50(replace_stride_with_dilation=[False, dense, True])
        del self.backbone.fc
        self.classifier = head((12, 24, 36) if dense else (6, 12, 18), classes)

    def forward(self, x):
        size, net = x.shape[-2:], self.backbone
        low = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
        high = net.layer4(net.layer3(net.layer2(low)))
        return functional.interpolate(self.classifier(low, high), size, mode="bilinear")


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(("head", "name"), [(Plain, "deeplab_v3"), (Plus, "deeplab_v3_plus")])
def test_logits_are_the_authors(tmp_path, lively, assert_same_logits, head, name, output_stride):
    theirs = lively(lambda: Network(head, output_stride))
    score = np.float64(0.77)  # the training script saves it beside the weights
    content = {"cur_itrs": 30_000, "model_state": theirs.state_dict(), "best_score": score}
    torch.save(content, tmp_path / "best.pth")
    options = {} if output_stride == 16 else {"output_stride": output_stride}
    ours = atrous.load(tmp_path / "best.pth", **options)
    assert ours.spec.architecture == name
    assert_same_logits(ours, theirs, torch.randn(1, 3, 65, 97))


def test_an_encoder_that_pads_otherwise_is_refused():
    tensors = {
        "backbone.low_level_features.0.0.weight": torch.zeros(32, 3, 3, 3),
        "classifier.aspp.convs.0.0.weight": torch.zeros(256, 320, 1, 1),
    }
    with pytest.raises(InputError, match=r"cannot be converted \(its MobileNetV2 pads"):
        recognise(tensors)
