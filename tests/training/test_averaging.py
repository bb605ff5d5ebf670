"""The moving average against its formula, written out in float64."""

import numpy as np
import torch
from torch import Tensor, nn

from atrous.models import Scores, SegmentationModel
from atrous.training.averaging import average, averaged_copy


class Normed(SegmentationModel):
    """One convolution and one norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def score(self, images: Tensor) -> Scores:
        return Scores(self.norm(self.conv(images)))


def test_the_average_follows_the_formula_and_its_decay_warms_up() -> None:
    model = Normed()
    averaged = averaged_copy(model)
    assert not any(p.requires_grad for p in averaged.parameters())
    expected = {k: v.numpy().astype(np.float64) for k, v in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for done in range(60):
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator))
            else:
                value += 1
        average(averaged, model, 0.8, done)
        decay = min(0.8, (1 + done) / (10 + done))
        for name, value in model.state_dict().items():
            new = value.numpy().astype(np.float64)
            is_counter = not value.is_floating_point()
            expected[name] = new if is_counter else decay * expected[name] + (1 - decay) * new
    for name, value in averaged.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-6)
