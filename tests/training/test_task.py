"""The training step against a slow loop; accumulation against one large batch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrous.labels import LabelSet
from atrous.models import Scores, SegmentationModel
from atrous.ops import Normalization
from atrous.training.losses import LOSSES
from atrous.training.protocol import Protocol
from atrous.training.schedules import poly_decay
from atrous.training.task import SegmentationTask


class Plain(SegmentationModel):
    """One strided convolution: a network without batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)
        self.label_set = LabelSet.numbered(4)
        self.normalization = Normalization.imagenet()

    def score(self, images: Tensor) -> Scores:
        return Scores(self.conv(images))


def made(model: Plain, *, micro_batch: int = 2, **options: Any) -> SegmentationTask:
    return SegmentationTask(
        model,
        optimizer="sgd",
        lr=0.1,
        weight_decay=0.0,
        iterations=1,
        micro_batch=micro_batch,
        **options,
    )


def add_gradients(task: SegmentationTask, images: Tensor, labels: Tensor) -> None:
    """Do what a training step does before the optimizer's part."""
    for start in range(0, len(images), task.micro_batch):
        part = slice(start, start + task.micro_batch)
        task.loss_share(images[part], labels[part], labels).backward()


def slow_cross_entropy(logits: np.ndarray, labels: np.ndarray, ignore: int) -> float:
    total = 0.0
    for n, y, x in np.ndindex(*labels.shape):
        label = labels[n, y, x]
        if label == ignore:
            continue
        scores = logits[n, :, y, x].astype(np.float64)
        total += math.log(np.exp(scores - scores[label]).sum())
    return total


@pytest.mark.parametrize("loss", [*LOSSES, "cross_entropy + 0.5 dice + lovasz"])
@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_accumulated_gradient_equals_that_of_the_whole_batch(loss: str, micro_batch: int) -> None:
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 16, 20)).astype(np.uint8))
    labels = torch.from_numpy(rng.integers(0, 4, (4, 16, 20)).astype(np.uint8))
    labels[1] = 255  # an image without labels must not weigh the others
    labels[2, :, 5:] = 255
    gradients = []
    for size in (4, micro_batch):
        torch.manual_seed(0)
        protocol = Protocol(loss=loss)
        task = made(Twice(), micro_batch=size, protocol=protocol, class_weights=(1, 2, 0.5, 3))
        add_gradients(task, images, labels)
        gradients.append([p.grad for p in task.parameters()])

    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_the_gradient_of_a_step_is_that_of_pytorchs_mean_cross_entropy() -> None:
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 16, 20)).astype(np.uint8))
    labels = torch.from_numpy(rng.integers(0, 4, (4, 16, 20)).astype(np.uint8))
    labels[1] = 255
    torch.manual_seed(0)
    model = Plain()
    add_gradients(made(model, micro_batch=3), images, labels)
    accumulated = model.conv.weight.grad
    assert accumulated is not None
    model.zero_grad()
    logits = model((images / 255 - MEAN) / STD)
    nn.functional.cross_entropy(logits, labels.long(), ignore_index=255).backward()

    torch.testing.assert_close(accumulated, model.conv.weight.grad, rtol=1e-5, atol=1e-7)


class Twice(Plain):
    """A network with two auxiliary scores, one of them coarser."""

    def score(self, images: Tensor) -> Scores:
        main = self.conv(images)
        return Scores(main, (2 * main, main[..., ::2, ::2]))


@pytest.mark.parametrize("weight", [1.0, 0.4, 0.0])
def test_auxiliary_losses_count_with_the_networks_weight(weight: float) -> None:
    rng = np.random.default_rng(2)
    images = torch.from_numpy(rng.integers(0, 256, (2, 3, 16, 24)).astype(np.uint8))
    labels = torch.from_numpy(rng.integers(0, 4, (2, 16, 24)).astype(np.uint8))
    labels[0, 3] = 255
    model = Twice()
    model.auxiliary_weight = weight
    task = made(model)
    scores = model.score((images / 255 - MEAN) / STD)
    losses = [
        slow_cross_entropy(
            nn.functional.interpolate(y, (16, 24), mode="bilinear").detach().numpy(),
            labels.numpy(),
            255,
        )
        for y in (scores.main, *scores.auxiliary)
    ]
    expected = (losses[0] + weight * (losses[1] + losses[2])) / (2 * 16 * 24 - 24)
    assert task.loss_share(images, labels).item() == pytest.approx(expected, rel=1e-5)


class Weighed(Twice):
    """The same with a weight for each auxiliary map."""

    def auxiliary_weights(self, count: int) -> tuple[float, ...]:
        assert count == 2
        return (1.0, 0.4)


def test_each_auxiliary_loss_can_have_a_weight_of_its_own() -> None:
    images = torch.randint(0, 256, (2, 3, 16, 24), dtype=torch.uint8)
    labels = torch.randint(0, 4, (2, 16, 24), dtype=torch.uint8)
    model = Weighed()
    task = made(model)
    scores = model.score((images / 255 - MEAN) / STD)
    main, first, second = (
        slow_cross_entropy(
            nn.functional.interpolate(y, (16, 24), mode="bilinear").detach().numpy(),
            labels.numpy(),
            255,
        )
        for y in (scores.main, *scores.auxiliary)
    )
    found = task.loss_share(images, labels).item()
    assert found == pytest.approx((main + first + 0.4 * second) / (2 * 16 * 24), rel=1e-5)


MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def test_biases_and_norms_are_not_decayed() -> None:
    task = SegmentationTask(
        Plain(), optimizer="adamw", lr=0.1, weight_decay=0.5, iterations=1, micro_batch=1
    )
    groups = task.configure_optimizers()[0].param_groups
    assert [p.ndim for p in groups[0]["params"]] == [4]
    assert [p.ndim for p in groups[1]["params"]] == [1]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]


def test_poly_decay_follows_the_papers_formula() -> None:
    assert [poly_decay(step, 4) for step in range(5)] == pytest.approx(
        [1.0, 0.75**0.9, 0.5**0.9, 0.25**0.9, 0.0]
    )


@pytest.mark.parametrize("divisor", ["weights", "images"])
def test_each_map_is_supervised_at_its_own_size_and_divided_by_its_own_labels(divisor: str) -> None:
    rng = np.random.default_rng(3)
    images = torch.from_numpy(rng.integers(0, 256, (4, 3, 16, 24)).astype(np.uint8))
    labels = torch.from_numpy(rng.integers(0, 4, (4, 16, 24)).astype(np.uint8))
    labels[0], labels[1, 3:] = 255, 255
    model = Twice()
    task = made(model, protocol=Protocol(supervision="scores", loss_divisor=divisor))  # type: ignore[arg-type]
    found = sum(
        task.loss_share(images[part], labels[part], labels).item()
        for part in (slice(0, 2), slice(2, 4))
    )
    scores = model.score((images / 255 - MEAN) / STD)
    expected = 0.0
    for scored in (scores.main, *scores.auxiliary):  # strides 4, 4 and 8
        height, width = scored.shape[-2:]
        rows, columns = 16 // height, 24 // width
        picked = labels[:, rows // 2 :: rows, columns // 2 :: columns].numpy()
        total = slow_cross_entropy(scored.detach().numpy(), picked, 255)
        expected += total / (4 if divisor == "images" else (picked != 255).sum())
    assert found == pytest.approx(expected, rel=1e-5)
