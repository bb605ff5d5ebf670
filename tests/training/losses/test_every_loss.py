"""What holds of every loss: a slow loop agrees, void is nothing, a batch can be cut anywhere.

The loops are plain Python in float64, written from the papers' formulas.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from atrous.training.losses import LOSSES, Targets, parse_loss

EXPRESSIONS = (
    *LOSSES,
    "cross_entropy(label_smoothing=0.2)",
    "ohem(threshold=0, min_kept=0.3)",
    "focal(gamma=0.5)",
    "tversky(alpha=1, beta=0)",
    "border(w0=3, sigma=2, background=1)",
    "cross_entropy + 0.5 dice + 2 lovasz",
)
every_loss = pytest.mark.parametrize("expression", EXPRESSIONS)


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
    "tversky(alpha=1, beta=0)": of_regions(tversky(1, 0)),
    "border(w0=3, sigma=2, background=1)": border(3, 2, 1),
}
SLOW["cross_entropy + 0.5 dice + 2 lovasz"] = lambda *batch: (
    SLOW["cross_entropy"](*batch) + 0.5 * SLOW["dice"](*batch) + 2 * SLOW["lovasz"](*batch)
)


def made(
    count: int = 2, classes: int = 4, size: tuple[int, int] = (5, 6), *, void: float = 0.2,
    stride: int = 1, ignore: int = 255, seed: int = 0, dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Targets]:  # fmt: skip
    """Return random scores (N, K, h, w) and targets with void and weights."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (count, *size))
    labels[rng.random(labels.shape) < void] = ignore
    coarse = (-(-size[0] // stride), -(-size[1] // stride))
    scores = torch.from_numpy(3 * rng.normal(size=(count, classes, *coarse))).to(dtype)
    weights = torch.from_numpy(rng.uniform(0.2, 3, classes)).to(dtype)
    kind = np.uint8 if 0 <= ignore < 256 else np.int64
    return scores, Targets(torch.from_numpy(labels.astype(kind)), weights, ignore)


def gradient(expression: str, scores: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    scores = scores.clone().requires_grad_()
    value = parse_loss(expression)(scores, targets)
    value.backward()
    assert scores.grad is not None
    return value.detach(), scores.grad


@every_loss
@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(1, 3),
    classes=st.integers(2, 6),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.sampled_from([1, 3]),
    void=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 2**20),
)
def test_a_slow_loop_gives_the_same(expression, count, classes, size, stride, void, seed) -> None:
    if "ohem" in expression:
        stride = 1  # enlarged borders tie, and which of two equal pixels is harder is rounding
    scores, targets = made(count, classes, size, void=void, stride=stride, seed=seed)
    full = functional.interpolate(scores, size, mode="bilinear")
    expected = SLOW[expression](
        full.numpy(), targets.labels.numpy(), targets.class_weights.tolist(), 255
    )

    assert parse_loss(expression)(scores, targets).item() == pytest.approx(expected, rel=1e-7)


@every_loss
def test_a_slow_loop_gives_the_same_for_150_classes(expression: str) -> None:
    scores, targets = made(1, 150, (9, 11), seed=5)
    expected = SLOW[expression](
        scores.numpy(), targets.labels.numpy(), targets.class_weights.tolist(), 255
    )

    assert parse_loss(expression)(scores, targets).item() == pytest.approx(expected, rel=1e-7)


@every_loss
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_finite_differences(expression: str, stride: int) -> None:
    scores, targets = made(2, 3, (4, 5), stride=stride, seed=3)

    assert torch.autograd.gradcheck(
        lambda x: parse_loss(expression)(x, targets), scores.requires_grad_(), atol=1e-6
    )


@every_loss
def test_scores_at_void_pixels_change_neither_value_nor_gradient(expression: str) -> None:
    scores, targets = made(3, 4, (6, 7), void=0.4)
    void = (targets.labels == 255)[:, None].expand_as(scores)
    others = torch.where(void, 40 * torch.randn(scores.shape, dtype=scores.dtype), scores)
    value, slope = gradient(expression, scores, targets)
    value_of_others, slope_of_others = gradient(expression, others, targets)

    assert value == value_of_others
    assert torch.equal(slope, slope_of_others)
    assert not slope[void].any()
    assert slope[~void].any()


@every_loss
@pytest.mark.parametrize("ignore", [4, 200])
def test_the_label_of_void_changes_neither_value_nor_gradient(expression: str, ignore: int) -> None:
    results = [gradient(expression, *made(2, 4, stride=2, ignore=i)) for i in (255, ignore)]

    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@every_loss
def test_without_any_label_value_and_gradient_are_zero(expression: str) -> None:
    scores, targets = made(2, 4, stride=2)
    nothing = targets._replace(labels=torch.full_like(targets.labels, 255))
    value, slope = gradient(expression, scores, nothing)

    assert value == 0
    assert not slope.any()


@every_loss
def test_an_image_without_labels_does_not_weigh_the_others(expression: str) -> None:
    scores, targets = made(3, 4)
    targets.labels[1] = 255
    rest = targets._replace(labels=targets.labels[[0, 2]])

    assert parse_loss(expression)(scores, targets).item() == pytest.approx(
        parse_loss(expression)(scores[[0, 2]], rest).item()
    )


@pytest.mark.parametrize("expression", [e for e in EXPRESSIONS if "smoothing" not in e])
@pytest.mark.parametrize("classes", [2, 7])
def test_a_perfect_prediction_costs_nothing(expression: str, classes: int) -> None:
    _, targets = made(2, classes)
    labels = torch.where(targets.labels == 255, 0, targets.labels).long()
    perfect = 40.0 * functional.one_hot(labels, classes).permute(0, 3, 1, 2).double()
    value, slope = gradient(expression, perfect, targets)

    assert 0 <= value < 1e-12
    assert slope.abs().max() < 1e-9
    assert parse_loss(expression)(-perfect, targets) > 0.5


@every_loss
def test_the_order_of_the_classes_does_not_matter(expression: str) -> None:
    scores, targets = made(2, 4, seed=9)
    order = [2, 0, 3, 1]  # new class c is the old class order[c]
    new = torch.full((256,), 255)
    new[order] = torch.arange(4)
    turned = targets._replace(
        labels=new[targets.labels.long()].to(torch.uint8),
        class_weights=targets.class_weights[order],
    )
    renamed = expression
    if expression.startswith("border"):
        old = 1 if "background" in expression else 0
        renamed = f"border(background={order.index(old)})"
        if old:
            renamed = expression.replace("background=1", f"background={order.index(1)}")

    assert parse_loss(renamed)(scores[:, order], turned).item() == pytest.approx(
        parse_loss(expression)(scores, targets).item()
    )


@every_loss
def test_a_common_factor_of_the_class_weights_does_not_matter(expression: str) -> None:
    if "border" in expression:
        pytest.skip("w_0 stands beside the class weights")
    scores, targets = made(2, 4)
    tenfold = targets._replace(class_weights=10 * targets.class_weights)
    even = targets._replace(class_weights=torch.ones(4).double())
    value = parse_loss(expression)(scores, targets).item()

    assert parse_loss(expression)(scores, tenfold).item() == pytest.approx(value)
    assert parse_loss(expression)(scores, even).item() != pytest.approx(value)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "border"])
def test_sums_over_pixels_are_divided_by_what_was_asked_for(loss: str) -> None:
    scores, targets = made(3, 4)
    targets.labels[1] = 255
    counts = np.bincount(targets.labels[targets.labels != 255], minlength=4)
    divisors = {
        "weights": counts @ targets.class_weights.numpy(),
        "pixels": counts.sum(),
        "images": 3,
    }
    for divide_by, divisor in divisors.items():
        asked = targets._replace(divide_by=divide_by)
        total = LOSSES[loss]().total(scores, asked)
        assert parse_loss(loss)(scores, asked).item() == pytest.approx(total.item() / divisor)


@every_loss
def test_micro_batches_add_up_to_the_batch(expression: str) -> None:
    scores, targets = made(5, 4, (6, 8), stride=2)
    targets.labels[1] = 255
    targets.labels[3, :, 2:] = 255
    loss = parse_loss(expression)
    value, slope = gradient(expression, scores, targets)
    divisors = loss.divisors(targets)
    for size in (1, 2, 3):
        whole = scores.clone().requires_grad_()
        total = torch.zeros(())
        for start in range(0, 5, size):
            part = slice(start, start + size)
            share = loss.share(whole[part], targets._replace(labels=targets.labels[part]), divisors)
            share.backward()
            total = total + share.detach()
        torch.testing.assert_close(total, value, rtol=1e-12, atol=0, check_dtype=False)
        torch.testing.assert_close(whole.grad, slope, rtol=1e-12, atol=1e-18)


@every_loss
def test_divisors_of_parts_add_up(expression: str) -> None:
    _, targets = made(4, 4)
    targets.labels[2] = 255
    loss = parse_loss(expression)
    parts = [loss.divisors(targets._replace(labels=labels[None])) for labels in targets.labels]

    torch.testing.assert_close(sum(parts), loss.divisors(targets))


@every_loss
def test_half_precision_scores_are_computed_with_in_float32(expression: str) -> None:
    scores, targets = made(2, 4, (8, 9), stride=2, dtype=torch.float32)
    scores = scores.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value, slope = gradient(expression, scores, targets)
    exact, exact_slope = gradient(expression, scores.float(), targets)

    torch.testing.assert_close(value, exact)
    torch.testing.assert_close(slope.float(), exact_slope, rtol=0.01, atol=1e-5)


@pytest.mark.parametrize("expression", [e for e in LOSSES if e != "cross_entropy"])
def test_full_size_maps_are_not_kept_for_the_way_back(expression: str) -> None:
    scores, targets = made(4, 8, (32, 48), stride=8, dtype=torch.float32)
    kept: list[int] = []

    def count(tensor: Tensor) -> Tensor:
        kept.append(tensor.element_size() * tensor.numel())
        return tensor

    scores.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        parse_loss(expression)(scores, targets)

    of_an_image = 4 * 8 * 32 * 48
    assert sum(kept) < of_an_image  # all four images' logits and softmax would be eight times it


def test_every_loss_has_a_slow_loop() -> None:
    assert set(EXPRESSIONS) == set(SLOW)
    assert not [pair for pair in itertools.pairwise(EXPRESSIONS) if pair[0] == pair[1]]
