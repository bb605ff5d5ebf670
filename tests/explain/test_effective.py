import torch
from torch import Tensor, nn

from atrous.explain import effective_receptive_field, side_that_holds
from atrous.models import Scores, SegmentationModel, build_model
from atrous.ops import Normalization


class Boxes(SegmentationModel):
    """Five convolutions of equal weights: the field is a fivefold box, nearly a Gaussian."""

    def __init__(self) -> None:
        super().__init__()
        self.normalization = Normalization((0.5,), (0.5,))
        convolutions = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(5)]
        for convolution in convolutions:
            nn.init.ones_(convolution.weight)
        self.stack = nn.Sequential(*convolutions)

    def score(self, images: Tensor) -> Scores:
        return Scores(self.stack(images))


def test_equal_weights_give_the_binomial_field() -> None:
    field = effective_receptive_field(Boxes(), (31, 31), samples=2)
    line = torch.ones(1)
    for _ in range(5):
        line = torch.nn.functional.conv1d(line[None, None], torch.ones(1, 1, 3), padding=2)[0, 0]
    expected = torch.zeros(31, 31)
    expected[10:21, 10:21] = line[:, None] * line
    torch.testing.assert_close(field, expected / expected.sum())


def test_the_field_fades_from_the_centre() -> None:
    field = effective_receptive_field(Boxes(), (31, 31))
    assert field.argmax() == 15 * 31 + 15
    assert side_that_holds(field) < 11 == side_that_holds(field, 1.0 - 1e-6)


def test_side_that_holds_counts_square_rings() -> None:
    field = torch.zeros(9, 9)
    field[4, 4], field[4, 6] = 0.9, 0.1
    assert side_that_holds(field, 0.85) == 1
    assert side_that_holds(field, 0.95) == 5


def test_layers_that_begin_with_zeros_are_stirred_in_a_copy() -> None:
    options = {"fc_channels": 4, "padding": "same"}
    model = build_model("fcn8s", classes=2, options=options)
    field = effective_receptive_field(model, (64, 64), samples=1)
    assert field.sum() > 0.99
    zeros = [name for name, weight in model.named_parameters() if not weight.any()]
    assert any(name.startswith("score") for name in zeros)  # the model itself is as it was
