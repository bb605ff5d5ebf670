"""What the papers say of single losses."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from atrous.errors import InputError
from atrous.training.losses import (
    OHEM,
    Border,
    CrossEntropy,
    Dice,
    Focal,
    Jaccard,
    Lovasz,
    Targets,
    Tversky,
)


def made(classes: int = 4) -> tuple[torch.Tensor, Targets]:
    rng = np.random.default_rng(4)
    scores = torch.from_numpy(rng.normal(size=(2, classes, 6, 7)))
    labels = torch.from_numpy(rng.integers(0, classes, (2, 6, 7)).astype(np.uint8))
    labels[0, :2] = 255
    return scores, Targets(labels, torch.from_numpy(rng.uniform(0.5, 2, classes)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_that_of_pytorch(smoothing: float) -> None:
    scores, targets = made()
    mean = functional.cross_entropy(
        scores, targets.labels.long(), targets.class_weights, ignore_index=255,
        label_smoothing=smoothing,
    )  # fmt: skip

    assert CrossEntropy(label_smoothing=smoothing)(scores, targets).item() == pytest.approx(
        mean.item()
    )


def test_under_label_smoothing_the_smoothed_labels_are_the_best_prediction() -> None:
    _, targets = made()
    even = targets._replace(class_weights=torch.ones(4).double())
    mask = functional.one_hot(torch.where(even.labels == 255, 0, even.labels).long(), 4)
    best = torch.log(0.9 * mask.double() + 0.1 / 4).permute(0, 3, 1, 2).requires_grad_()
    value = CrossEntropy(label_smoothing=0.1)(best, even)
    value.backward()
    entropy = -(0.925 * math.log(0.925) + 3 * 0.025 * math.log(0.025))

    assert value.item() == pytest.approx(entropy)
    assert best.grad is not None
    assert best.grad.abs().max() < 1e-15


def test_fcns_loss_is_the_sum_over_the_pixels_of_its_single_image() -> None:
    scores, targets = made()
    one = Targets(targets.labels[:1], torch.ones(4).double(), divide_by="images")
    total = functional.cross_entropy(
        scores[:1], one.labels.long(), ignore_index=255, reduction="sum"
    )

    assert CrossEntropy()(scores[:1], one).item() == pytest.approx(total.item())


def test_without_fading_focal_loss_is_cross_entropy() -> None:
    scores, targets = made()

    assert Focal(gamma=0)(scores, targets).item() == pytest.approx(
        CrossEntropy()(scores, targets).item()
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_stays_finite_at_certainty(gamma: float) -> None:
    certain = torch.tensor([[[[200.0]], [[-200.0]]]], requires_grad=True)
    for label in (0, 1):
        value = Focal(gamma=gamma)(certain, Targets(torch.tensor([[[label]]]), torch.ones(2)))
        value.backward()
        assert value.item() == pytest.approx(400.0 * label)
        assert certain.grad is not None
        assert certain.grad.isfinite().all()


def test_ohem_that_keeps_all_is_cross_entropy_of_each_image() -> None:
    scores, targets = made()
    images = [
        CrossEntropy()(scores[n : n + 1], targets._replace(labels=targets.labels[n : n + 1]))
        for n in range(2)
    ]

    assert OHEM(min_kept=1.0)(scores, targets).item() == pytest.approx(
        torch.stack(images).mean().item()
    )


def test_ohem_gives_easy_pixels_no_gradient() -> None:
    scores = torch.zeros(1, 2, 1, 8)
    scores[0, 0] = torch.tensor([3.0, 2.5, 2.0, 1.5, 0.5, 0.0, -1.0, -2.0])
    scores.requires_grad_()
    targets = Targets(torch.zeros(1, 1, 8, dtype=torch.uint8), torch.ones(2))
    OHEM(threshold=0.7, min_kept=0.0)(scores, targets).backward()
    probability = torch.sigmoid(scores.detach()[0, 0, 0])
    assert scores.grad is not None
    assert torch.equal(scores.grad[0, 0, 0] != 0, probability < 0.7)

    scores.grad = None
    OHEM(threshold=0.0, min_kept=0.25)(scores, targets).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0, 0].nonzero()[:, 0].tolist() == [6, 7]


def test_ohem_with_neither_threshold_nor_minimum_has_nothing_to_say() -> None:
    scores, targets = made()

    assert OHEM(threshold=0.0, min_kept=0.0)(scores, targets) == 0


def test_dice_and_jaccard_are_tverskys_index_at_two_points() -> None:
    scores, targets = made()

    assert Dice()(scores, targets) == Tversky(0.5, 0.5)(scores, targets)
    assert Jaccard()(scores, targets) == Tversky(1.0, 1.0)(scores, targets)


@pytest.mark.parametrize("loss", [Jaccard(), Lovasz()])
def test_of_a_hard_prediction_the_loss_is_one_minus_the_iou(loss: Jaccard | Lovasz) -> None:
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 3, (2, 1, 8, 9))
    scores = 60.0 * np.moveaxis(np.eye(3)[predicted], -1, 1)
    iou = [
        ((labels == c) & (predicted == c)).sum() / ((labels == c) | (predicted == c)).sum()
        for c in range(3)
    ]
    targets = Targets(torch.from_numpy(labels), torch.ones(3).double())

    assert loss(torch.from_numpy(scores), targets).item() == pytest.approx(1 - np.mean(iou))


def test_lovasz_of_a_megapixel_keeps_its_digits_in_float32() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(1, 2, 1000, 1000)))
    labels = torch.from_numpy((rng.random((1, 1000, 1000)) < 0.3).astype(np.uint8))
    exact, rounded = (
        Lovasz()(scores.to(kind), Targets(labels, torch.ones(2, dtype=kind))).item()
        for kind in (torch.float64, torch.float32)
    )

    assert rounded == pytest.approx(exact, rel=1e-6)


def cells(gap: int) -> torch.Tensor:
    labels = torch.zeros(1, 20, 30, dtype=torch.uint8)
    labels[0, 5:15, 4:14] = 1
    labels[0, 5:15, 14 + gap : 24 + gap] = 1
    return labels


@pytest.mark.parametrize(("gap", "term"), [(1, 9.2312), (4, 6.0653)])
def test_the_border_between_two_cells_weighs_what_unet_says(gap: int, term: float) -> None:
    """d_1 + d_2 is 2 or 5 pixels in the middle of the gap."""
    labels = cells(gap)
    scores = torch.zeros(1, 2, 20, 30, requires_grad=True)
    Border()(scores, Targets(labels, torch.ones(2), divide_by="images")).backward()
    assert scores.grad is not None
    # at even scores each pixel's gradient is half its weight
    found = -2 * scores.grad[0, 0]

    assert found[10, 14].item() == pytest.approx(1 + term, rel=1e-4)
    assert (-2 * scores.grad[0, 1])[10, 8].item() == pytest.approx(1)  # inside a cell


def test_one_cell_alone_has_the_loss_of_cross_entropy() -> None:
    labels = cells(2)
    labels[0, :, 15:] = 0
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(1, 2, 20, 30)))
    targets = Targets(labels, torch.tensor([1.0, 3.0], dtype=torch.float64))

    assert Border()(scores, targets).item() == pytest.approx(CrossEntropy()(scores, targets).item())


def test_a_background_that_is_no_class_is_refused() -> None:
    scores, targets = made()

    with pytest.raises(InputError, match="background is 4, but the classes are 0 to 3; give the"):
        Border(background=4)(scores, targets)
