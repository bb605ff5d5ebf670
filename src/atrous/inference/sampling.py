"""How sure a network is of each pixel: mean and variance over networks drawn by dropout.

Leaving dropout on at test time draws a network from an approximate posterior over weights; several
draws give the class probabilities their mean, which is the prediction, and a variance, which is
the network's uncertainty (Bayesian SegNet: Kendall, Badrinarayanan, Cipolla, BMVC 2017).
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from atrous.errors import InputError
from atrous.inference.evaluating import evaluating

__all__ = ["drawing", "dropouts_of", "monte_carlo"]

_DROPOUTS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


def monte_carlo(
    model: nn.Module, images: Tensor, samples: int = 50, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the class probabilities over `samples` passes with dropout.

    Only dropout layers sample; everything else, batch norm included, is as in evaluation, and the
    model is given back as it came. The mean of the variance over the classes is the map that the
    paper shows.

    Args:
        model: Any network with dropout layers that maps images to logits (N, K, H, W).
        images: (N, C, H, W), normalised, on the model's device.
        samples: Number of passes; the paper takes 50, and sees most of the gain by 6.
        generator: Decides what is dropped; None is torch's own, which is then drawn from once.

    Returns:
        Mean (N, K, H, W) in [0, 1], and variance of the same shape in [0, 0.25], divided by
        `samples` as in the release; both float32, or float64 where the logits are.

    Raises:
        InputError: No dropout layer, or no sample.
    """
    if not dropouts_of(model):
        raise InputError(
            f"{type(model).__name__} has no dropout layer, so its samples would all be the same; "
            "build it with one (segnet and segnet_basic: dropout='central')"
        )
    if samples < 1:
        raise InputError(f"samples is {samples}; give 1 or more")
    with evaluating(model), drawing(model, images.device, generator):
        mean = deviation = torch.zeros((), device=images.device)
        for number in range(1, samples + 1):
            logits: Tensor = model(images)
            probabilities = logits.softmax(1, torch.promote_types(logits.dtype, torch.float32))
            step = probabilities - mean  # Welford: no difference of two large sums
            mean = mean + step / number
            deviation = deviation + step * (probabilities - mean)
        return mean, deviation / samples


def dropouts_of(model: nn.Module) -> list[nn.Module]:
    """Return the dropout layers of a network."""
    return [module for module in model.modules() if isinstance(module, _DROPOUTS)]


@contextlib.contextmanager
def drawing(
    model: nn.Module, device: torch.device, generator: torch.Generator | None
) -> Iterator[None]:
    """Let the dropout layers of a model in eval mode drop, and nothing else train.

    Args:
        model: In `evaluating`, which gives the layers their own modes back.
        device: The model's.
        generator: Decides what is dropped; None is torch's own, which is then drawn from once.
    """
    with _seeded(device, generator):
        for dropout in dropouts_of(model):
            dropout.train()
        yield


@contextlib.contextmanager
def _seeded(device: torch.device, source: torch.Generator | None) -> Iterator[None]:
    """Seed the generator that dropout draws from on `device`, from `source`; put it back after."""
    where = "cpu" if source is None else source.device
    seed = int(torch.randint(2**62, (), generator=source, device=where))
    dropouts = torch.default_generator
    if device.type == "cuda":
        place = torch.cuda.current_device() if device.index is None else device.index
        dropouts = torch.cuda.default_generators[place]
    state = dropouts.get_state()
    dropouts.manual_seed(seed)
    try:
        yield
    finally:
        dropouts.set_state(state)
