"""The two Gaussian kernels of the dense CRF and their normalisation, as parameters.

k1 = exp(-|p_i - p_j|^2 / (2 theta_alpha^2) - |I_i - I_j|^2 / (2 theta_beta^2)), the appearance
kernel, and k2 = exp(-|p_i - p_j|^2 / (2 theta_gamma^2)), the smoothness kernel (Krähenbühl &
Koltun, Sec. 2, eq. 3); their weights are w1 and w2.
"""

import math
from dataclasses import dataclass
from typing import Literal

from atrous.errors import InputError

__all__ = ["NORMALIZATIONS", "Appearance", "Normalization", "Smoothness"]

Normalization = Literal["after", "symmetric", "before", "constant", "none"]
"""How a kernel's filter K is normalised by the mass n = K 1 of its rows, D = diag(n).

after: D^-1 K. before: K D^-1. symmetric: D^-1/2 K D^-1/2. constant: K N / sum(n), a factor that
pydensecrf computes for NO_NORMALIZATION but does not apply. none: K itself, the paper's formula;
on the lattice up to 70 % more or less than the exact sum, as densely as it happens to be filled.
"""

NORMALIZATIONS: tuple[Normalization, ...] = ("after", "symmetric", "before", "constant", "none")


@dataclass(frozen=True)
class Appearance:
    """Pixels near each other and of one colour should share a label."""

    weight: float = 5.0
    """w1, at least 0; 0 leaves the kernel out."""

    xy_std: float = 50.0
    """theta_alpha in pixels."""

    rgb_std: float = 3.0
    """theta_beta in steps of 8-bit colour, 0 to 255, for every channel of the image."""

    feature_stds: tuple[float, ...] = ()
    """One per extra feature map (depth, infrared), each in the unit of its map."""

    def __post_init__(self) -> None:
        _check_weight("appearance", self.weight)
        stds = {"xy_std": self.xy_std, "rgb_std": self.rgb_std}
        stds |= {f"feature_stds[{i}]": std for i, std in enumerate(self.feature_stds)}
        _check_stds("appearance", stds)


@dataclass(frozen=True)
class Smoothness:
    """Pixels near each other should share a label, whatever their colour."""

    weight: float = 3.0
    """w2, at least 0; 0 leaves the kernel out."""

    xy_std: float = 3.0
    """theta_gamma in pixels."""

    def __post_init__(self) -> None:
        _check_weight("smoothness", self.weight)
        _check_stds("smoothness", {"xy_std": self.xy_std})


def _check_weight(kernel: str, weight: float) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"{kernel}: weight is {weight}; give a finite number from 0")


def _check_stds(kernel: str, stds: dict[str, float]) -> None:
    for name, std in stds.items():
        if not (math.isfinite(std) and std > 0):
            raise InputError(f"{kernel}: {name} is {std}; give a finite number above 0")
