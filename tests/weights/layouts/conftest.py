"""Networks of other libraries with weights that matter, and how far ours are from them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


def _lively(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.device("meta"):
        network = build().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.uniform_(-0.1, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.3, 0.9, generator=generator)
            module.bias.data.uniform_(-0.1, 0.1, generator=generator)
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.8, 1.2, generator=generator)
            module.num_batches_tracked.zero_()
        else:
            own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
            assert own == [], f"{type(module).__name__} has weights that nobody drew"
    return network.eval()


def _assert_same_logits(ours: nn.Module, theirs: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        found, expected = ours(images), theirs(images)
    if isinstance(expected, dict):  # torchvision's
        expected = expected["out"]
    assert found.shape == expected.shape
    assert expected.std() > 1e-3
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1)


@pytest.fixture(scope="session")
def lively() -> Callable[..., nn.Module]:
    """Build a network with drawn weights and statistics, where signals neither die nor explode."""
    return _lively


@pytest.fixture(scope="session")
def assert_same_logits() -> Callable[..., None]:
    """Compare two networks' logits to 1e-5, relative where they exceed 1."""
    return _assert_same_logits
