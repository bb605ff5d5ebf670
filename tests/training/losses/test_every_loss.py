"""What holds of every loss: a slow loop agrees, void is nothing, a batch can be cut anywhere.

The loops stand in conftest.py.
"""

import itertools
from collections.abc import Callable, Mapping

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
    "tversky(alpha=1, beta=0.001)",
    "tversky(alpha=0, beta=1)",
    "border(w0=3, sigma=2, background=1)",
    "cross_entropy + 0.5 dice + 2 lovasz",
)
every_loss = pytest.mark.parametrize("expression", EXPRESSIONS)


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
def test_a_slow_loop_gives_the_same(
    expression, slow_loops, count, classes, size, stride, void, seed
) -> None:
    if "ohem" in expression:
        stride = 1  # enlarged borders tie, and which of two equal pixels is harder is rounding
    scores, targets = made(count, classes, size, void=void, stride=stride, seed=seed)
    full = functional.interpolate(scores, size, mode="bilinear")
    expected = slow_loops[expression](
        full.numpy(), targets.labels.numpy(), targets.class_weights.tolist(), 255
    )

    assert parse_loss(expression)(scores, targets).item() == pytest.approx(expected, rel=1e-7)


@every_loss
def test_a_slow_loop_gives_the_same_for_150_classes(
    expression: str, slow_loops: Mapping[str, Callable[..., float]]
) -> None:
    scores, targets = made(1, 150, (9, 11), seed=5)
    expected = slow_loops[expression](
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
@pytest.mark.parametrize("labels", [[[0, 1]], [[0, 0]], [[1, 1]]])
@pytest.mark.parametrize("certainty", [60.0, 120.0, 1e4])
def test_certain_scores_give_finite_values_and_gradients_in_float32(
    expression: str, labels: list[list[int]], certainty: float
) -> None:
    """Where logits lie 104 apart the lesser probability is 0 in float32."""
    scores = torch.tensor([[[[certainty] * 2], [[-certainty] * 2]]])
    value, slope = gradient(expression, scores, Targets(torch.tensor([labels]), torch.ones(2)))

    assert value.isfinite()
    assert slope.isfinite().all()


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


def test_every_loss_has_a_slow_loop(slow_loops: Mapping[str, Callable[..., float]]) -> None:
    assert set(EXPRESSIONS) == set(slow_loops)
    assert not [pair for pair in itertools.pairwise(EXPRESSIONS) if pair[0] == pair[1]]
