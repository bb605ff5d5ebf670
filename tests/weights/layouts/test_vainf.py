"""VainF/DeepLabV3Plus-Pytorch, rebuilt here from its description as far as keys and graph go."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import mobilenet_v2, resnet50

import atrous
from atrous.errors import InputError
from atrous.weights.layouts import recognise


def unit(before, after, size, dilation=1):
    padding = dilation * (size // 2)
    conv = nn.Conv2d(before, after, size, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


class Pyramid(nn.Module):
    def __init__(self, high, rates):
        super().__init__()
        branches = [nn.Sequential(*unit(high, 256, 1))]
        branches += [nn.Sequential(*unit(high, 256, 3, rate)) for rate in rates]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *unit(high, 256, 1)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*unit(5 * 256, 256, 1), nn.Dropout(0.1))

    def forward(self, x):
        *maps, mean = (branch(x) for branch in self.convs)
        return self.project(torch.cat([*maps, mean.expand_as(maps[0])], 1))


class Plus(nn.Module):
    def __init__(self, low, high, rates, classes):
        super().__init__()
        self.project = nn.Sequential(*unit(low, 48, 1))
        self.aspp = Pyramid(high, rates)
        self.classifier = nn.Sequential(*unit(304, 256, 3), nn.Conv2d(256, classes, 1))

    def forward(self, low, high):
        low = self.project(low)
        high = functional.interpolate(self.aspp(high), low.shape[-2:], mode="bilinear")
        return self.classifier(torch.cat([low, high], 1))


class Plain(nn.Module):
    def __init__(self, low, high, rates, classes):
        super().__init__()
        self.classifier = nn.Sequential(
            Pyramid(high, rates), *unit(256, 256, 3), nn.Conv2d(256, classes, 1)
        )

    def forward(self, low, high):
        return self.classifier(high)


class PaddedUnit(nn.Module):
    """One of torchvision's inverted residuals, padded before its expansion."""

    def __init__(self, inner, stride, dilation):
        super().__init__()
        self.conv, self.border = inner.conv, [dilation] * 4
        self.shortcut = stride == 1 and inner.use_res_connect
        depthwise = next(m for m in inner.modules() if isinstance(m, nn.Conv2d) and m.groups > 1)
        depthwise.padding, depthwise.stride = (0, 0), (stride, stride)
        depthwise.dilation = (dilation, dilation)

    def forward(self, x):
        y = self.conv(functional.pad(x, self.border))
        return x + y if self.shortcut else y


class MobileNet(nn.Module):
    """Stride and dilation of the units 1 to 17 by hand, after TF-slim's rule."""

    def __init__(self, dense):
        super().__init__()
        features = mobilenet_v2().features[:18]
        features[0][0].padding = (0, 0)
        strides = {2: 2, 4: 2, 7: 1 if dense else 2}
        dilations = dict.fromkeys((15, 16, 17), 4 if dense else 2)
        if dense:
            dilations |= dict.fromkeys(range(8, 15), 2)
        for index in range(1, 18):
            features[index] = PaddedUnit(
                features[index], strides.get(index, 1), dilations.get(index, 1)
            )
        self.low_level_features, self.high_level_features = features[:4], features[4:]

    def forward(self, x):
        low = self.low_level_features(x)
        return low, self.high_level_features(low)


class Network(nn.Module):
    def __init__(self, head, output_stride, classes=21, mobile=False):
        super().__init__()
        dense, self.mobile = output_stride == 8, mobile
        if mobile:
            self.backbone = MobileNet(dense)
        else:
            self.backbone = resnet50(replace_stride_with_dilation=[False, dense, True])
            del self.backbone.fc
        low, high = (24, 320) if mobile else (256, 2048)
        self.classifier = head(low, high, (12, 24, 36) if dense else (6, 12, 18), classes)

    def features(self, x):
        net = self.backbone
        if self.mobile:
            return net(x)
        low = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
        return low, net.layer4(net.layer3(net.layer2(low)))

    def forward(self, x):
        scores = self.classifier(*self.features(x))
        return functional.interpolate(scores, x.shape[-2:], mode="bilinear")


@pytest.mark.parametrize("mobile", [False, True])
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(("head", "name"), [(Plain, "deeplab_v3"), (Plus, "deeplab_v3_plus")])
def test_logits_are_the_authors(
    tmp_path, lively, assert_same_logits, head, name, output_stride, mobile
):
    theirs = lively(lambda: Network(head, output_stride, mobile=mobile))
    score = np.float64(0.77)  # the training script saves it beside the weights
    content = {"cur_itrs": 30_000, "model_state": theirs.state_dict(), "best_score": score}
    torch.save(content, tmp_path / "best.pth")
    options = {} if output_stride == 16 else {"output_stride": output_stride}
    ours = atrous.load(tmp_path / "best.pth", **options)
    assert ours.spec.architecture == name
    for size in ((65, 97), (64, 98)):
        assert_same_logits(ours, theirs, torch.randn(1, 3, *size))


def test_an_encoder_that_we_do_not_have_is_refused():
    tensors = {
        "backbone.stage4.0.weight": torch.zeros(32, 3, 3, 3),  # HRNet
        "classifier.aspp.convs.0.0.weight": torch.zeros(256, 320, 1, 1),
    }
    with pytest.raises(InputError, match=r"cannot be converted; ResNet-50, ResNet-101 and Mob"):
        recognise(tensors)
