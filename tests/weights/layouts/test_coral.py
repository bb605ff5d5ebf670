"""The small DeepLab v3 of google-coral/test_data, rebuilt here from the weights' description."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision.models import mobilenet_v2

import atrous
from atrous.evaluation import ConfusionMatrix
from atrous.ops import Normalization, normalise, resize

FILE = "deeplabv3_mobilenet_v2_voc.safetensors"


class Network(nn.Module):
    """torchvision's MobileNetV2 up to 320 channels, dilated from unit 15 on, and two branches."""

    def __init__(self):
        super().__init__()
        self.features = mobilenet_v2().features[:18]
        for index, (stride, dilation) in {14: (1, 1), 15: (1, 2), 16: (1, 2), 17: (1, 2)}.items():
            depthwise = self.features[index].conv[1][0]
            depthwise.stride = (stride, stride)
            depthwise.dilation = depthwise.padding = (dilation, dilation)
        self.aspp0 = nn.Conv2d(320, 256, 1)
        self.image_pooling = nn.Conv2d(320, 256, 1)
        self.concat_projection = nn.Conv2d(512, 256, 1)
        self.logits = nn.Conv2d(256, 21, 1)

    def forward(self, images):
        f = self.features(images)
        mean = self.image_pooling(f.mean((2, 3), keepdim=True)).relu()
        both = torch.cat([mean.expand(-1, -1, *f.shape[-2:]), self.aspp0(f).relu()], 1)
        coarse = self.logits(self.concat_projection(both).relu())
        return functional.interpolate(
            coarse, images.shape[-2:], mode="bilinear", align_corners=True
        )


def test_logits_are_those_of_the_description(tmp_path, lively, assert_same_logits):
    theirs = lively(Network)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = atrous.load(tmp_path / "w.pth")
    assert (ours.spec.architecture, ours.spec.encoder_name) == ("deeplab_v3", "mobilenet_v2")
    assert ours.normalization == Normalization.imagenet()
    assert_same_logits(ours, theirs, torch.randn(1, 3, 97, 65))


@pytest.fixture(scope="module")
def published(shared: Path):
    path = shared / "weights" / FILE
    if not path.is_file():
        pytest.skip(f"../shared/weights/{FILE} is not here")
    return atrous.load(path)


@pytest.mark.shared
def test_the_published_weights_give_what_their_description_gives(
    shared, published, assert_same_logits
):
    from safetensors.torch import load_file

    theirs = Network().eval()
    theirs.load_state_dict(load_file(shared / "weights" / FILE))  # float16: copying converts
    assert_same_logits(published, theirs, torch.randn(1, 3, 97, 65))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("photo", "accuracy", "ious"),
    [
        ("2007_004189", 0.97, {}),
        ("2008_002536", 0.99, {12: 0.93, 17: 0.94}),  # dog, sheep
        ("2010_005582", 0.95, {15: 0.89}),  # person
    ],
)
def test_the_published_weights_give_their_published_figures(
    shared, published, photo, accuracy, ious
):
    # two digits are published, and not how the photograph was resized: linear or cubic is 0.01
    confusion = scored(published, shared / "data" / "voc_samples", photo)
    assert confusion.pixel_accuracy() == pytest.approx(accuracy, abs=0.01)
    found = confusion.iou()
    for label, iou in ious.items():
        assert found[label] == pytest.approx(iou, abs=0.01)


def scored(model, folder, photo):
    """Count a photograph as described: longer side 513, the rest padded with grey."""
    image = Image.open(folder / "JPEGImages" / f"{photo}.jpg").convert("RGB")
    labels = np.array(Image.open(folder / "SegmentationClass" / f"{photo}.png"))
    width, height = (round(side * 513 / max(image.size)) for side in image.size)
    pixels = np.array(image.resize((width, height), Image.Resampling.BICUBIC))
    canvas = torch.full((1, 3, 513, 513), 0.5)
    canvas[..., :height, :width] = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    with torch.no_grad():
        logits = model(normalise(canvas, model.normalization))[..., :height, :width]
    confusion = ConfusionMatrix(21)
    confusion.update(resize(logits, labels.shape).argmax(1)[0].numpy(), labels)
    return confusion
