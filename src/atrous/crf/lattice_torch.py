"""The permutohedral lattice in plain torch: for a GPU, for batches, and for gradients.

The vertices of all images of a batch are numbered together: an image's number is one more
coordinate of the key, so that a batch costs no more steps than one image.
"""

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.crf.gaussian import Gaussian
from atrous.crf.lattice import key_factors, lattice_gain

__all__ = ["LatticeGaussian"]


class LatticeGaussian(Gaussian):
    """The filter of one kernel on the lattice: splat, blur, slice, in O(N).

    Differentiable in the values; the features are constants, as in CRF-as-RNN.
    """

    def __init__(self, features: Tensor) -> None:
        """Build the lattice.

        Args:
            features: (B, N, d), divided by the kernel's deviations.

        Raises:
            InputError: Features so far apart that float32 cannot hold the lattice.
        """
        batch, count, d = features.shape
        least = features.amin(1, keepdim=True).clamp(max=0)
        points = (features - least).flatten(0, 1).float()
        spans = points.amax(0).double().cpu().numpy()
        factors = key_factors(spans, images=batch)
        nearest, ranks, weights = _simplices(points)
        keys = _keys(nearest, ranks, torch.from_numpy(factors[:-1]).to(points.device))
        keys += torch.arange(batch, device=keys.device).repeat_interleave(count)[:, None] * int(
            factors[-1]
        )
        known, vertices = torch.unique(keys, return_inverse=True)  # (M,), sorted
        steps = (factors[:-1].sum() - (d + 1) * factors[:-1]).tolist()  # may wrap around
        self.vertices = vertices  # (B N, d + 1)
        self.weights = weights  # (B N, d + 1)
        self.neighbours = [(_find(known, -step), _find(known, step)) for step in steps]
        self.num_vertices = len(known)
        self.gain = lattice_gain(d)
        self.features_shape = batch, count, 1

    @property
    def self_response(self) -> Tensor:
        """What each pixel receives of its own value, (B, N, 1)."""
        shares = _own_shares(self.vertices, self.weights, self.neighbours, self.num_vertices)
        return shares.view(self.features_shape)

    def __call__(self, values: Tensor) -> Tensor:
        """Filter values (B, N, K) over the pixels N."""
        filtered: Tensor = _Filter.apply(values, self, False)
        return filtered

    def filter(self, values: Tensor, is_reversed: bool) -> Tensor:
        """Splat, blur along the axes in order or in reverse, slice."""
        rows = values.flatten(0, 1)
        weights = self.weights.to(rows.dtype)
        lattice = rows.new_zeros(self.num_vertices + 1, rows.shape[1])  # the last stays 0
        for r in range(weights.shape[1]):
            lattice.index_add_(0, self.vertices[:, r], weights[:, r, None] * rows)
        for before, after in self.neighbours[:: -1 if is_reversed else 1]:
            sides = lattice[before] + lattice[after]
            lattice[:-1] += sides.mul_(0.5)
        result = torch.zeros_like(rows)
        for r in range(weights.shape[1]):
            result += weights[:, r, None] * lattice[self.vertices[:, r]]
        return result.view_as(values)


class _Filter(torch.autograd.Function):
    """The filter is linear and its transpose blurs in the reverse order."""

    @staticmethod
    def forward(
        context: Any, values: Tensor, lattice: LatticeGaussian, is_reversed: bool
    ) -> Tensor:
        context.lattice, context.is_reversed = lattice, is_reversed
        return lattice.filter(values, is_reversed)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        turned = _Filter.apply(gradient, context.lattice, not context.is_reversed)
        return turned, None, None


def _simplices(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (N, d + 1) the nearest vertex of remainder 0, ranks and weights; see `simplices`."""
    count, d = points.shape
    i = torch.arange(d, device=points.device, dtype=points.dtype)
    scaled = points * (np.sqrt(2 / 3) * (d + 1) / ((i + 1) * (i + 2)).sqrt())
    above = scaled.flip(1).cumsum(1).flip(1)
    above = torch.cat([above, above.new_zeros(count, 1)], dim=1)  # sums from each coordinate on
    lifted = above.clone()
    lifted[:, 1:] -= (i + 1) * scaled
    turns = (lifted / (d + 1)).round()
    nearest = turns * (d + 1)
    residual = lifted - nearest
    order = residual.argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1) + turns.sum(1, keepdim=True).long()
    back = (ranks < 0).long() - (ranks > d).long()
    ranks += back * (d + 1)
    nearest += back * (d + 1)
    shares = (lifted - nearest) / (d + 1)
    weights = shares.new_zeros(count, d + 2)
    weights.scatter_add_(1, d - ranks, shares).scatter_add_(1, d - ranks + 1, -shares)
    weights[:, 0] += 1 + weights[:, -1]
    return nearest.long(), ranks, weights[:, :-1].contiguous()


def _keys(nearest: Tensor, ranks: Tensor, factors: Tensor) -> Tensor:
    """Return (N, d + 1) keys of the vertices; the last coordinate's factor is 0."""
    corners = nearest.shape[1]
    first = (nearest * factors).sum(1, keepdim=True)
    by_rank = torch.zeros_like(ranks).scatter_(1, ranks, factors.expand_as(ranks))
    turned_back = by_rank.flip(1).cumsum(1).roll(1, dims=1)
    turned_back[:, 0] = 0
    grown = torch.arange(corners, device=ranks.device) * factors.sum()
    return first + grown - corners * turned_back


def _find(known: Tensor, step: int) -> Tensor:
    """Return the places of `known + step` in the sorted `known`; its length where missing."""
    wanted = known + step
    places = torch.searchsorted(known, wanted).clamp_(max=len(known) - 1)
    return torch.where(known[places] == wanted, places, len(known))


def _own_shares(
    vertices: Tensor,
    weights: Tensor,
    neighbours: list[tuple[Tensor, Tensor]],
    missing: int,
) -> Tensor:
    """Return (N,) what a pixel receives of its own value; see `lattice_mass.own_shares`."""
    corners = weights.shape[1]
    nowhere = torch.full((1,), missing, device=vertices.device)
    backward, forward = (
        [torch.cat([sides[way], nowhere]) for sides in neighbours] for way in (0, 1)
    )
    between = torch.full_like(vertices, corners - 1)  # corner from which each axis leads on
    for axis, r in product(range(corners), range(corners - 1)):
        leads = forward[axis][vertices[:, r]] == vertices[:, r + 1]
        between[:, axis] = torch.where(leads, r, between[:, axis])

    def follow(r: int, steps: int, table: list[Tensor], is_forward: bool) -> Tensor:
        vertex, share = vertices[:, r], torch.ones_like(weights[:, 0])
        for axis in range(corners):
            moves = ((between[:, axis] - r) % corners < steps) == is_forward
            vertex = torch.where(moves, table[axis][vertex], vertex)
            share = torch.where(moves, share / 2, share)
        return torch.where(vertex == missing, 0, share)

    total = torch.zeros_like(weights[:, 0])
    for r, s in product(range(corners), range(corners)):
        steps = (s - r) % corners
        reach = follow(r, steps, forward, True) + follow(r, steps, backward, False)
        if r == s:
            reach += follow(r, corners, forward, True)  # once around
        total += weights[:, r] * weights[:, s] * reach
    return total
