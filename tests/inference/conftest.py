"""A network small enough to follow by hand, and the predictor on it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrous.inference import Predictor
from atrous.labels import LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization


class StrideFour(SegmentationModel):
    """One strided convolution, batch norm, and scores at a quarter of the size."""

    def __init__(self, channels: int = 3, classes: int = 5) -> None:
        super().__init__()
        self.label_set = LabelSet.numbered(classes)
        self.normalization = Normalization.for_channels(channels)
        self.stem = nn.Conv2d(channels, 8, kernel_size=5, stride=4, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, classes, kernel_size=1)

    def score(self, images: Tensor) -> Scores:
        return Scores(self.head(self.norm(self.stem(images)).relu()))


@pytest.fixture
def model() -> StrideFour:
    torch.manual_seed(0)
    model = StrideFour()
    model.norm.running_mean.normal_()
    return model


@pytest.fixture
def predictor(model: StrideFour) -> Predictor:
    return Predictor(model, device="cpu")


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((16, 16, 1), np.uint8))[:150, :211]
