"""The effective receptive field: which pixels really move a score (Luo et al., NIPS 2016).

The theoretical field is all that a score can see. How much each pixel counts is the size of the
score's gradient; it falls off from the centre, as a Gaussian does, and fills a fraction of it.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from atrous.models import SegmentationModel

__all__ = ["effective_receptive_field", "side_that_holds"]


def effective_receptive_field(
    model: SegmentationModel,
    size: tuple[int, int],
    *,
    samples: int = 4,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Tensor:
    """Measure how much each pixel moves the scores in the middle of the map.

    Args:
        model: Trained, or with the weights it begins with; what begins with zeros (FCN's score
            layers) is drawn at random in a copy, or nothing would get through.
        size: (height, width) of the images, standard normal noise.
        samples: Images that are averaged.
        seed: Of the noise, and of the mix of classes whose gradient is taken.
        progress: Told before each image which one it is.

    Returns:
        (H, W) float32 share of each pixel; they sum to 1.
    """
    model = _stirred(model, seed).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    channels = len(model.normalization.mean)
    total = torch.zeros(size)
    for number in range(samples):
        if progress:
            progress(f"gradient {number + 1} of {samples}")
        images = torch.randn(1, channels, *size, generator=generator).requires_grad_()
        scores = model.score(images).main
        middle = scores[0, :, scores.shape[-2] // 2, scores.shape[-1] // 2]
        mix = torch.randn(len(middle), generator=generator)
        (gradient,) = torch.autograd.grad((middle * mix).sum(), images)
        total += gradient[0].square().sum(0).sqrt()
    return total / total.sum().clamp_min(torch.finfo().tiny)


def side_that_holds(field: Tensor, share: float = 0.95) -> int:
    """Return the side of the smallest centred square that holds `share` of a field, in pixels."""
    height, width = field.shape
    rows = (torch.arange(height) - height // 2).abs()
    columns = (torch.arange(width) - width // 2).abs()
    distance = torch.maximum(rows[:, None], columns)
    mass = torch.bincount(distance.flatten(), weights=field.flatten().double()).cumsum(0)
    radius = int((mass < share * mass[-1]).sum())
    return 2 * radius + 1


def _stirred(model: SegmentationModel, seed: int) -> SegmentationModel:
    """Return a copy whose all-zero tensors let a gradient through."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if name != "weight" or parameter.any():
                    continue
                if isinstance(module, nn.BatchNorm2d):
                    parameter.fill_(1.0)
                else:
                    parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model
