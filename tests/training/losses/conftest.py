"""Every loss as a slow loop: plain Python in float64, written from the papers' formulas."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest


@pytest.fixture(scope="session")
def slow_loops() -> Mapping[str, Callable[..., float]]:
    """Map an expression to the loss of (scores, labels, class weights, ignore index)."""
    return SLOW


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


def pixels_of(scores: np.ndarray, labels: np.ndarray, ignore: int) -> list[tuple[np.ndarray, int]]:
    """Return (probabilities (K,), label) of each labelled pixel of an image."""
    places = [(y, x) for y, x in np.ndindex(*labels.shape) if labels[y, x] != ignore]
    return [(softmax(scores[:, y, x]), int(labels[y, x])) for y, x in places]


def of_pixels(value):
    """Make the loss of a batch out of `value(probabilities, label, weights)` of a pixel."""

    def loss(scores, labels, weights, ignore):
        pixels = [
            pixel for s, y in zip(scores, labels, strict=True) for pixel in pixels_of(s, y, ignore)
        ]
        return sum(value(p, y, weights) for p, y in pixels) / (
            sum(weights[y] for _, y in pixels) or 1
        )

    return loss


def of_images(value):
    """Make the loss of a batch out of `value(pixels, weights)` of an image."""

    def loss(scores, labels, weights, ignore):
        images = [pixels_of(s, y, ignore) for s, y in zip(scores, labels, strict=True)]
        values = [value(pixels, weights) for pixels in images if pixels]
        return sum(values) / max(1, len(values))

    return loss


def cross_entropy(smoothing=0.0):
    def value(p, label, weights):
        spread = sum(w * -math.log(q) for w, q in zip(weights, p, strict=True)) / len(p)
        return (1 - smoothing) * weights[label] * -math.log(p[label]) + smoothing * spread

    return value


def focal(gamma):
    def value(p, label, weights):
        return weights[label] * (1 - p[label]) ** gamma * -math.log(p[label])

    return value


def ohem(threshold, min_kept):
    def value(pixels, weights):
        by_difficulty = sorted(pixels, key=lambda pixel: pixel[0][pixel[1]])
        least = math.ceil(min_kept * len(pixels))
        kept = by_difficulty[:least]
        kept += [(p, y) for p, y in by_difficulty[least:] if p[y] < threshold]
        total = sum(weights[y] for _, y in kept)
        return sum(weights[y] * -math.log(p[y]) for p, y in kept) / (total or 1)

    return value


def of_regions(value):
    """Average `value(probabilities of c, whether each pixel is c)` over the classes shown."""

    def loss(pixels, weights):
        shown = sorted({y for _, y in pixels})
        values = [weights[c] * value([p[c] for p, _ in pixels], [y == c for _, y in pixels])
                  for c in shown]  # fmt: skip
        return sum(values) / (sum(weights[c] for c in shown) or 1)

    return of_images(loss)


def tversky(alpha, beta):
    def value(p, is_class):
        hit = sum(q for q, mine in zip(p, is_class, strict=True) if mine)
        false_alarm = sum(q for q, mine in zip(p, is_class, strict=True) if not mine)
        missed = sum(1 - q for q, mine in zip(p, is_class, strict=True) if mine)
        return 1 - hit / (hit + alpha * false_alarm + beta * missed)

    return value


def lovasz(p, is_class):
    """Sum m_(i) (Delta(first i) - Delta(first i - 1)), Delta(M) = |M| / |class or M|."""
    errors = [1 - q if mine else q for q, mine in zip(p, is_class, strict=True)]
    order = sorted(range(len(p)), key=lambda i: -errors[i])
    members = {i for i, mine in enumerate(is_class) if mine}
    delta = [len(wrong) / len(members | wrong) for wrong in
             (set(order[:count]) for count in range(len(order) + 1))]  # fmt: skip
    return sum(errors[i] * (delta[n + 1] - delta[n]) for n, i in enumerate(order))


def border(w0, sigma, background):
    def loss(scores, labels, weights, ignore):
        total = 0.0
        for s, y in zip(scores, labels, strict=True):
            between = separation(y, w0, sigma, background, ignore)
            for place in np.argwhere(y != ignore):
                row, column = place
                weight = weights[y[row, column]]
                if y[row, column] == background:
                    weight += between[row, column]
                total -= weight * math.log(softmax(s[:, row, column])[y[row, column]])
        return total / (sum(weights[k] for k in labels[labels != ignore]) or 1)

    return loss


def separation(labels, w0, sigma, background, ignore):
    """Return w_0 exp(-(d_1 + d_2)^2 / (2 sigma^2)) with cells found by flooding."""
    cells, seen = [], set()
    for start in np.ndindex(*labels.shape):
        if start in seen or labels[start] in (background, ignore):
            continue
        cell, front = {start}, [start]
        while front:
            y, x = front.pop()
            for place in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                inside = 0 <= place[0] < labels.shape[0] and 0 <= place[1] < labels.shape[1]
                if inside and place not in cell and labels[place] == labels[start]:
                    cell.add(place)
                    front.append(place)
        seen |= cell
        cells.append(cell)
    result = np.zeros(labels.shape)
    if len(cells) > 1:
        for place in np.ndindex(*labels.shape):
            first, second, *_ = sorted(min(math.dist(place, p) for p in cell) for cell in cells)
            result[place] = w0 * math.exp(-((first + second) ** 2) / (2 * sigma**2))
    return result


SLOW = {
    "cross_entropy": of_pixels(cross_entropy()),
    "ohem": of_images(ohem(0.7, 0.0625)),
    "focal": of_pixels(focal(2)),
    "dice": of_regions(tversky(0.5, 0.5)),
    "jaccard": of_regions(tversky(1, 1)),
    "tversky": of_regions(tversky(0.3, 0.7)),
    "lovasz": of_regions(lovasz),
    "border": border(10, 5, 0),
    "cross_entropy(label_smoothing=0.2)": of_pixels(cross_entropy(0.2)),
    "ohem(threshold=0, min_kept=0.3)": of_images(ohem(0, 0.3)),
    "focal(gamma=0.5)": of_pixels(focal(0.5)),
    "tversky(alpha=1, beta=0.001)": of_regions(tversky(1, 0.001)),
    "tversky(alpha=0, beta=1)": of_regions(tversky(0, 1)),
    "border(w0=3, sigma=2, background=1)": border(3, 2, 1),
}
SLOW["cross_entropy + 0.5 dice + 2 lovasz"] = lambda *batch: (
    SLOW["cross_entropy"](*batch) + 0.5 * SLOW["dice"](*batch) + 2 * SLOW["lovasz"](*batch)
)
