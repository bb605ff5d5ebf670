"""wkentaro/pytorch-fcn, rebuilt here from its description as far as keys and graph go."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import atrous
from atrous.errors import InputError
from atrous.weights.layouts import recognise

WIDTHS = (64, 128, 256, 512, 512)


class Network(nn.Module):
    """FCN on VGG-16 with Caffe's names; `skips` is 0, 1 or 2 for 32s, 16s, 8s."""

    def __init__(self, skips, classes=5, fc=8):
        super().__init__()
        self.skips, before = skips, 3
        for stage, width in enumerate(WIDTHS, start=1):
            for number in range(1, 3 if stage < 3 else 4):
                padding = 100 if (stage, number) == (1, 1) else 1
                conv = nn.Conv2d(before, width, 3, padding=padding)
                self.add_module(f"conv{stage}_{number}", conv)
                before = width
        self.fc6, self.fc7 = nn.Conv2d(512, fc, 7), nn.Conv2d(fc, fc, 1)
        self.score_fr = nn.Conv2d(fc, classes, 1)
        self.names = (
            ("upscore",),
            ("upscore2", "upscore16"),
            ("upscore2", "upscore_pool4", "upscore8"),
        )
        for name, factor in zip(self.names[skips], ((32,), (2, 16), (2, 2, 8))[skips], strict=True):
            layer = nn.ConvTranspose2d(classes, classes, 2 * factor, factor, bias=False)
            self.add_module(name, layer)
        for skip in range(skips):
            self.add_module(f"score_pool{4 - skip}", nn.Conv2d(WIDTHS[3 - skip], classes, 1))

    def forward(self, x):
        size, pools = x.shape[-2:], []
        for stage in range(1, 6):
            for number in range(1, 3 if stage < 3 else 4):
                x = getattr(self, f"conv{stage}_{number}")(x).relu()
            x = functional.max_pool2d(x, 2, 2, ceil_mode=True)
            pools.append(x)
        x = self.score_fr(self.fc7(self.fc6(x).relu()).relu())
        for skip, crop in zip(range(self.skips), (5, 9), strict=False):
            x = getattr(self, self.names[self.skips][skip])(x)
            score = getattr(self, f"score_pool{4 - skip}")(pools[3 - skip])
            x = x + score[..., crop : crop + x.shape[-2], crop : crop + x.shape[-1]]
        x = getattr(self, self.names[self.skips][-1])(x)
        crop = (19, 27, 31)[self.skips]
        return x[..., crop : crop + size[0], crop : crop + size[1]]


def drawn(skips):
    torch.manual_seed(0)
    network = Network(skips).eval()
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            side, factor = module.kernel_size[0], module.stride[0]
            line = 1 - (torch.arange(side) - (side - 1) / 2).abs() / factor
            module.weight.data.zero_()
            for label in range(module.in_channels):
                module.weight.data[label, label] = line[:, None] * line
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network


@pytest.mark.parametrize(("skips", "name"), [(0, "fcn32s"), (1, "fcn16s"), (2, "fcn8s")])
def test_logits_of_an_rgb_photograph_are_the_authors_of_its_bgr_values(tmp_path, skips, name):
    theirs = drawn(skips)
    torch.save(theirs.state_dict(), tmp_path / f"{name}_from_caffe.pth")
    ours = atrous.load(tmp_path / f"{name}_from_caffe.pth")
    assert ours.spec.architecture == name

    photo = torch.randint(256, (1, 3, 70, 51)).float()
    bgr = torch.tensor([104.00698793, 116.66876762, 122.67891434]).reshape(3, 1, 1)
    mean, std = (
        torch.tensor(figures).reshape(3, 1, 1)
        for figures in (ours.normalization.mean, ours.normalization.std)
    )
    with torch.no_grad():
        expected = theirs(photo.flip(1) - bgr)
        found = ours((photo / 255 - mean) / std)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_deconvolutions_that_mix_classes_are_refused():
    state = drawn(0).state_dict()
    state["upscore.weight"][0, 1] = 0.1
    with pytest.raises(InputError, match="deconvolutions of wkentaro/pytorch-fcn that mix the cl"):
        recognise(state)
