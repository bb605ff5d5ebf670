"""CRF-as-RNN: mean field as a recurrent layer with learnt weights (Zheng et al., ICCV 2015).

Departures from the paper: the compatibility starts as Potts' prices (0 on the diagonal, 1 beside
it) and messages are paid for, as in the paper's text; its Caffe code starts from minus the
identity, which is the same up to a constant. Gradients reach the unaries, the kernels' weights and
the compatibility, not the features of the image or the kernels' widths, as there.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from atrous.crf.gaussian import ExactGaussian, Gaussian
from atrous.crf.lattice_torch import LatticeGaussian
from atrous.crf.mean_field import mean_field
from atrous.crf.normalise import Normalised
from atrous.crf.parameters import Appearance, Normalization, Smoothness
from atrous.crf.published import PUBLISHED
from atrous.errors import InputError

__all__ = ["CRFLayer"]


class CRFLayer(nn.Module):
    """Mean-field iterations after a network, trained with it.

    Args:
        num_classes: Number of labels K.
        appearance: The kernel's widths, and the weight that every label starts with.
        smoothness: The other kernel's.
        iterations: 5 in training and 10 afterwards, says the paper; may be set at any time.
        normalization: See `atrous.crf.parameters.Normalization`.
        filter: "exact" compares all pairs of pixels: for tests and tiny images.
    """

    def __init__(
        self,
        num_classes: int,
        appearance: Appearance = PUBLISHED["crf_rnn"].appearance,
        *,
        smoothness: Smoothness = PUBLISHED["crf_rnn"].smoothness,
        iterations: int = 5,
        normalization: Normalization = "after",
        filter: Literal["lattice", "exact"] = "lattice",
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise InputError(f"num_classes is {num_classes}; a CRF needs 2 labels")
        self.appearance, self.smoothness = appearance, smoothness
        self.iterations = iterations
        self.normalization = normalization
        self.filter = filter
        self.appearance_weight = nn.Parameter(torch.full((num_classes,), float(appearance.weight)))
        self.smoothness_weight = nn.Parameter(torch.full((num_classes,), float(smoothness.weight)))
        self.compatibility = nn.Parameter(1 - torch.eye(num_classes))

    def forward(self, logits: Tensor, images: Tensor) -> Tensor:
        """Sharpen logits.

        Args:
            logits: (N, K, H, W) of the network, at the size of the images.
            images: (N, C, H, W) colours in 8-bit steps, 0 to 255, of any dtype; not normalised.

        Returns:
            (N, K, H, W) logarithms of the marginals: logits for a cross entropy. Half precision
            is computed in float32, since a vertex sums over thousands of pixels, and returned so.

        Raises:
            InputError: Images of another size or number than the logits, or scaled to 0..1.
        """
        batch, _, height, width = logits.shape
        if (
            images.ndim != 4
            or images.shape[::2] != logits.shape[::2]
            or (images.shape[-1] != width)
        ):
            raise InputError(
                f"images have shape {tuple(images.shape)}, but the logits need "
                f"({batch}, C, {height}, {width})"
            )
        if images.is_floating_point() and images.amax() <= 1 and images.frac().any():
            raise InputError(
                f"images go up to {float(images.amax()):.3g}, but colours count in 8-bit steps; "
                "give them from 0 to 255, neither scaled nor normalised"
            )
        with torch.autocast(logits.device.type, enabled=False):
            return self._sharpened(logits if logits.element_size() > 2 else logits.float(), images)

    def _sharpened(self, logits: Tensor, images: Tensor) -> Tensor:
        """Sharpen in the logits' precision."""
        batch, classes, height, width = logits.shape
        rows = logits.flatten(2).mT  # (N, H W, K)
        with torch.no_grad():
            kernels = [self._normalised(points, rows) for points in self._features(images, rows)]
        weights = self.appearance_weight, self.smoothness_weight
        log_q = mean_field(
            rows.log_softmax(-1),
            list(zip(kernels, weights, strict=True)),
            self.compatibility,
            iterations=self.iterations,
        )
        return log_q.mT.reshape(batch, classes, height, width)

    def _features(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points of both kernels, (N, H W, 2 + C) and (1 or N, H W, 2)."""
        height, width = images.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=rows.device),
            torch.arange(width, device=rows.device),
            indexing="ij",
        )
        places = torch.stack([x.flatten(), y.flatten()], dim=1).to(rows.dtype)
        places = places.expand(len(images), -1, -1)
        colours = images.flatten(2).mT.to(rows)
        near = [places / self.appearance.xy_std, colours / self.appearance.rgb_std]
        return torch.cat(near, dim=2), places / self.smoothness.xy_std

    def _normalised(self, points: Tensor, rows: Tensor) -> Normalised:
        exact = self.filter == "exact"
        make: Callable[[Tensor], Gaussian] = ExactGaussian if exact else LatticeGaussian
        gaussian = make(points)
        return Normalised(gaussian, rows[..., :1], self.normalization, exclude_self=False)
