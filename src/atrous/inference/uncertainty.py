"""How doubtful each pixel is, from one pass of an image through the network or from many.

Of passes t = 1..T with probabilities p_t, and their mean p (Houlsby et al. 2011, arXiv:1112.5745,
Sec. 2; Gal, PhD thesis 2016, Sec. 3.3.1):

    predictive entropy    H[p]                  all doubt
    mutual information    H[p] - mean_t H[p_t]  that of passes which differ (BALD)
    variance              mean_k var_t p_tk     how far they differ (Bayesian SegNet's map)

H[p] = -sum_k p_k log p_k in nats, divided here by log K, its largest value: both lie in [0, 1]. The
variance is over the T passes, divided by T; it is at most 1/4, with K classes (1 - 1/K) / K.

| method       | passes                                                                          |
|--------------|---------------------------------------------------------------------------------|
| `entropy`    | those that the predictor makes anyhow; of a single one the other maps are 0     |
| `mc_dropout` | networks drawn by dropout, an approximate posterior over weights (Bayesian      |
|              | SegNet: Kendall, Badrinarayanan, Cipolla, BMVC 2017); all other layers, batch   |
|              | norm included, as in evaluation                                                 |
| `flip`       | the image and its left-right mirror image                                       |
| `scales`     | the image at 0.75, 1 and 1.25 of its size, or at the scales that were asked for |

Flips and scales tell how stable an answer is, not how far the weights are known. They combine:
`mc_dropout` with flips and scales takes its samples of each view. The labels are those of the mean.

In windows each one has its own draws, and the maps are blended as the probabilities are.
"""

import contextlib
from dataclasses import asdict, dataclass
from typing import get_args

import torch
from torch import nn

from atrous.errors import InputError, unknown
from atrous.inference.config import SAMPLES, UncertaintyMethod
from atrous.inference.sampling import drawing, dropouts_of

__all__ = ["Uncertainty"]

VIEWS = (0.75, 1.0, 1.25)
"""Scales of the method `scales`: of the six that DeepLab v3 averages, those around 1."""


@dataclass(frozen=True)
class Uncertainty:
    """Which passes tell the doubt.

    Attributes:
        method: "entropy", "mc_dropout", "flip" or "scales".
        samples: Passes of `mc_dropout`, of each view; the others take no notice of it.
        seed: Decides what `mc_dropout` drops; every image has the same draws.

    Raises:
        InputError: Another method, or fewer than two samples.
    """

    method: UncertaintyMethod
    samples: int = SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what a caller gave."""
        if self.method not in get_args(UncertaintyMethod):
            raise unknown("uncertainty", str(self.method), get_args(UncertaintyMethod))
        if self.samples < 2:
            raise InputError(
                f"samples is {self.samples}; give 2 or more, of one there is no spread"
            )

    @classmethod
    def of(cls, given: "UncertaintyMethod | Uncertainty") -> "Uncertainty":
        """Return the settings that a name stands for."""
        return given if isinstance(given, Uncertainty) else cls(given)

    @property
    def draws(self) -> int:
        """How often each view goes through the network."""
        return self.samples if self.method == "mc_dropout" else 1

    def views(self, scales: tuple[float, ...], flip: bool) -> tuple[tuple[float, ...], bool]:
        """Return the scales and the flip that this method needs, those asked for included."""
        wants_scales = self.method == "scales" and len(scales) == 1
        factors = tuple(scales[0] * view for view in VIEWS) if wants_scales else scales
        return factors, flip or self.method == "flip"

    def check(self, model: nn.Module) -> None:
        """Require dropout where it is to be drawn from.

        Raises:
            InputError: The network drops nothing.
        """
        if self.method == "mc_dropout" and not any(
            float(getattr(dropout, "p", 0)) > 0 for dropout in dropouts_of(model)
        ):
            raise InputError(
                f"{type(model).__name__} has no dropout, so its samples would all be the same; "
                "take the uncertainty from entropy, flip or scales, or train a network with "
                "dropout (segnet: --options dropout=central)"
            )

    def drawing(
        self, model: nn.Module, device: torch.device
    ) -> contextlib.AbstractContextManager[None]:
        """Let dropout draw for as long as the context is open, from the seed on."""
        if self.method != "mc_dropout":
            return contextlib.nullcontext()
        return drawing(model, device, torch.Generator().manual_seed(self.seed))

    def stamp(self) -> dict[str, object]:
        """Return what decides the maps, as plain JSON values."""
        if self.method != "mc_dropout":
            return {"method": self.method}
        return asdict(self)
