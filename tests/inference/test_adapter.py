import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import InputError
from atrous.inference import Predictor, adapt
from atrous.labels import LabelSet
from atrous.ops import Normalization

LABELS = LabelSet.numbered(4)


class Foreign(nn.Module):
    """A network of another library: refuses sides that 8 does not divide, answers in its way."""

    def __init__(self, wrap, classes=4):
        super().__init__()
        self.convolution = nn.Conv2d(3, classes, kernel_size=8, stride=8)
        self.wrap = wrap

    def forward(self, images):
        if images.shape[-1] % 8 or images.shape[-2] % 8:
            raise RuntimeError("sides must be divisible by 8")
        return self.wrap(self.convolution(images))


def plain(scores):
    return scores


def torchvision_way(scores):
    return {"out": scores, "aux": scores * 2}


def transformers_way(scores):
    return {"loss": None, "logits": scores}


@pytest.mark.parametrize("wrap", [plain, torchvision_way, transformers_way])
@pytest.mark.parametrize("size", [(64, 48), (61, 50)])
def test_networks_of_other_libraries_predict_at_any_size(wrap, size):
    torch.manual_seed(0)
    foreign = Foreign(wrap)
    model = adapt(foreign, LABELS, Normalization.imagenet(), size_divisor=8)
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = Predictor(model, device="cpu")(photo, probabilities=True)
    assert result.labels.shape == size
    assert result.probabilities.shape == (4, *size)


def test_an_adapted_network_gives_the_logits_of_the_network_itself():
    foreign = Foreign(plain)
    model = adapt(foreign, LABELS, Normalization.imagenet(), size_divisor=8)
    images = torch.rand(2, 3, 32, 40)
    assert torch.equal(model.score(images).main, foreign(images))
    padded = model.score(images[..., :30, :37]).main
    assert padded.shape == (2, 4, 30, 37)


def test_auxiliary_scores_of_torchvision_are_kept_for_training():
    model = adapt(Foreign(torchvision_way), LABELS, Normalization.imagenet())
    scores = model.score(torch.rand(1, 3, 16, 16))
    assert torch.equal(scores.auxiliary[0], scores.main * 2)
    assert model.auxiliary_weight == 0.5  # torchvision's reference training


def test_the_parameters_stay_trainable():
    model = adapt(Foreign(plain), LABELS, Normalization.imagenet())
    model(torch.rand(1, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (Foreign(plain, classes=7), "7 score maps, but the label set has 4"),
        (Foreign(lambda scores: {"masks": scores}), "returns masks; adapt"),
        (Foreign(lambda scores: [scores]), "returns list"),
        (Foreign(lambda scores: scores.mean((2, 3))), r"returns \(1, 4\)"),
    ],
)
def test_outputs_that_are_no_logits_are_told(foreign, words):
    model = adapt(foreign, LABELS, Normalization.imagenet())
    with pytest.raises(InputError, match=words):
        model.score(torch.rand(1, 3, 16, 16))
