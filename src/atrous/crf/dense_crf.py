"""`DenseCRF`: sharpen a network's probabilities with the image (Krähenbühl & Koltun, NIPS 2011).

Departures from the paper: the sum over pixels keeps the pixel itself, as both public code bases
do and as all published parameters assume (`exclude_self=True` gives the paper's formula), and
kernels are normalised (AFTER by default, as DeepLab's release does; the paper does not say).
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atrous.crf.batch import solve_batch
from atrous.crf.inputs import (
    check_features,
    check_image,
    check_probabilities,
    check_shape,
    label_probabilities,
    to_numpy,
)
from atrous.crf.parameters import NORMALIZATIONS, Appearance, Normalization, Smoothness
from atrous.crf.published import PUBLISHED
from atrous.crf.solve import Scene, solve_compiled, solve_exactly
from atrous.errors import InputError, unknown

__all__ = ["DenseCRF"]

Map = TypeVar("Map", NDArray[Any], Tensor)
Compatibility = Literal["potts"] | Sequence[Sequence[float]] | NDArray[Any] | Tensor


@dataclass(frozen=True, eq=False)
class DenseCRF:
    """The fully connected CRF: mean field over all pairs of pixels.

    `crf(image, probabilities)` returns sharpened probabilities, `crf.map(image, probabilities)`
    their labels. The defaults are DeepLab's; `DenseCRF.published(name)` has those of others, and
    `dataclasses.replace(crf, iterations=5)` changes one thing. An instance holds no state, so
    threads may share it.

    Raises:
        InputError: A parameter out of its range.

    Example:
        >>> image = np.zeros((2, 3, 3), np.uint8)
        >>> DenseCRF()(image, np.full((2, 2, 3), 0.5, np.float32))[0]
        array([[0.5, 0.5, 0.5],
               [0.5, 0.5, 0.5]], dtype=float32)
    """

    appearance: Appearance | None = PUBLISHED["deeplab"].appearance
    """The kernel over position and colour, w1; None leaves it out."""

    smoothness: Smoothness | None = PUBLISHED["deeplab"].smoothness
    """The kernel over position, w2; None leaves it out."""

    _: KW_ONLY

    compatibility: Compatibility = "potts"
    """Price mu(l, l') of label l beside label l': "potts", 1 wherever they differ, or a (K, K)
    matrix. Positive entries drive labels apart, so a matrix that smooths has larger numbers off
    its diagonal. It is used as it is, not made symmetric."""

    normalization: Normalization = PUBLISHED["deeplab"].normalization
    """See `atrous.crf.parameters.Normalization`; pydensecrf's default is "symmetric"."""

    iterations: int = PUBLISHED["deeplab"].iterations
    """How often messages pass; 0 returns the unary."""

    exclude_self: bool = False
    """Leave the pixel itself out of its message, as the paper writes it. The published parameters
    want False."""

    damping: float = 0.0
    """Share of the old Q that every iteration keeps, in [0, 1)."""

    tolerance: float = 0.0
    """Stop once no probability moves by more than this; 0 runs all iterations."""

    prune: float = 0.0
    """Labels that no pixel gives more than this probability are left out of the iterations and
    come back as 0; the time follows the number of labels that stay. 0 keeps all."""

    filter: Literal["lattice", "exact"] = "lattice"
    """"exact" compares all pairs of pixels in float64: the oracle, for up to 10 000 pixels."""

    def __post_init__(self) -> None:
        if self.normalization not in NORMALIZATIONS:
            raise unknown("normalization", str(self.normalization), NORMALIZATIONS)
        if self.filter not in ("lattice", "exact"):
            raise unknown("filter", str(self.filter), ("lattice", "exact"))
        if self.iterations < 0:
            raise InputError(f"iterations is {self.iterations}; give 0 or more")
        for name, top in (("damping", 1.0), ("tolerance", math.inf), ("prune", 1.0)):
            value = getattr(self, name)
            if not 0 <= value < top:
                raise InputError(f"{name} is {value}; give a number from 0 and below {top:g}")

    @classmethod
    def published(cls, name: str) -> "DenseCRF":
        """Return the CRF with a published parameter set.

        Args:
            name: One of `atrous.crf.PUBLISHED`, such as "deeplab" or "pydensecrf".

        Raises:
            InputError: Another name.
        """
        if name not in PUBLISHED:
            raise unknown("CRF parameter set", name, PUBLISHED)
        known = PUBLISHED[name]
        return cls(
            known.appearance,
            known.smoothness,
            normalization=known.normalization,
            iterations=known.iterations,
        )

    def __call__(
        self,
        image: NDArray[Any] | Tensor,
        probabilities: Map,
        *,
        features: NDArray[Any] | Tensor | None = None,
    ) -> Map:
        """Return the marginals Q after mean-field inference.

        Args:
            image: (H, W, 3) uint8 RGB as the camera gave it; (H, W) grey or any number of 8-bit
                channels as well. Neither scaled nor normalised: `rgb_std` counts 8-bit steps.
            probabilities: (K, H, W) softmax output, K from 2. Values are clipped to 1e-5, as in
                the references, so zeros are allowed; a pixel's sum may be off 1 by 0.01 and is
                normalised.
            features: (F, H, W) float maps for `appearance.feature_stds`.

        Returns:
            (K, H, W) of the type, device and dtype of `probabilities`, summing to 1.

        Raises:
            InputError: Shapes that do not fit, another dtype, NaN, infinity, negative values or
                sums that no softmax gives (logits, for instance).
        """
        pixels = check_image(image)
        if isinstance(probabilities, Tensor) and probabilities.is_cuda and self.filter == "lattice":
            extras = None if features is None else torch.as_tensor(features)[None]
            return self.batch(torch.tensor(pixels)[None], probabilities[None], features=extras)[0]
        size = pixels.shape[0], pixels.shape[1]
        maps = check_probabilities(probabilities, size)
        count = len(self.appearance.feature_stds) if self.appearance else 0
        extra = check_features(features, count, size)
        matrix = self._matrix(len(maps))
        scene = Scene(pixels, maps, extra, matrix)
        q: NDArray[Any] = (solve_exactly if self.filter == "exact" else solve_compiled)(self, scene)
        if isinstance(probabilities, Tensor):
            return torch.from_numpy(q).to(probabilities)
        return q.astype(probabilities.dtype, copy=False)

    def batch(
        self, images: Tensor, probabilities: Tensor, *, features: Tensor | None = None
    ) -> Tensor:
        """Sharpen several images of one size; on a GPU all at once, each as if it were alone.

        Args:
            images: (B, H, W, C) or (B, H, W) uint8.
            probabilities: (B, K, H, W), as in a call.
            features: (B, F, H, W), as in a call.

        Returns:
            (B, K, H, W) like `probabilities`.

        Raises:
            InputError: As in a call.
        """
        if probabilities.ndim != 4 or len(images) != len(probabilities):
            raise InputError(
                f"images and probabilities have shapes {tuple(images.shape)} and "
                f"{tuple(probabilities.shape)}; give (B, H, W, C) and (B, K, H, W)"
            )
        if not probabilities.is_cuda or self.filter == "exact":
            extras = [None] * len(images) if features is None else list(features)
            return torch.stack(
                [
                    self(image, maps, features=extra)
                    for image, maps, extra in zip(images, probabilities, extras, strict=True)
                ]
            )
        count = len(self.appearance.feature_stds) if self.appearance else 0
        size = check_image(images[0]).shape[:2]
        check_shape(probabilities[0], (size[0], size[1]))
        if features is None:
            features = torch.zeros(len(images), 0, *size)
        check_features(features[0], count, (size[0], size[1]))
        matrix = self._matrix(probabilities.shape[1])
        return solve_batch(self, images, probabilities, features, matrix).to(probabilities)

    def map(
        self,
        image: NDArray[Any] | Tensor,
        probabilities: NDArray[Any] | Tensor,
        *,
        features: NDArray[Any] | Tensor | None = None,
    ) -> NDArray[Any]:
        """Return the most probable label of each pixel.

        Args:
            image: As in a call.
            probabilities: As in a call.
            features: As in a call.

        Returns:
            (H, W) uint8, or int32 for more than 256 labels; the first of equals wins.
        """
        if isinstance(probabilities, Tensor) and probabilities.is_cuda:
            best = to_numpy(self(image, probabilities.float(), features=features).argmax(0))
        else:
            best = self(image, to_numpy(probabilities), features=features).argmax(0)
        return best.astype(np.uint8 if len(probabilities) <= 256 else np.int32)

    def from_labels(
        self,
        image: NDArray[Any] | Tensor,
        labels: NDArray[Any] | Tensor,
        num_classes: int,
        *,
        confidence: float = 0.7,
        ignore_index: int = 255,
        features: NDArray[Any] | Tensor | None = None,
    ) -> NDArray[np.float32]:
        """Sharpen hard labels, such as a coarse mask.

        Args:
            image: As in a call.
            labels: (H, W) integers; `ignore_index` marks pixels without a label.
            num_classes: K.
            confidence: Probability that a label is right, above 1 / K and below 1.
            ignore_index: Void.
            features: As in a call.

        Returns:
            (K, H, W) float32 probabilities.
        """
        unary = label_probabilities(
            labels, num_classes, confidence=confidence, ignore_index=ignore_index
        )
        return self(image, unary, features=features)

    def _matrix(self, num_classes: int) -> NDArray[np.float64] | None:
        """Return the compatibility as (K, K), or None for Potts."""
        if isinstance(self.compatibility, str):
            if self.compatibility != "potts":
                raise unknown("compatibility", self.compatibility, ("potts",))
            return None
        given = self.compatibility
        matrix = np.asarray(to_numpy(given) if isinstance(given, Tensor) else given, np.float64)
        if matrix.shape != (num_classes, num_classes) or not np.isfinite(matrix).all():
            raise InputError(
                f"compatibility has shape {matrix.shape}, but {num_classes} labels need "
                f"{(num_classes, num_classes)} finite numbers"
            )
        return matrix
