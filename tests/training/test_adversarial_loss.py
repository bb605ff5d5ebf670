"""Both losses of adversarial training against slow loops; void; who gets a gradient."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrous.models.adversarial import Adversary
from atrous.training.adversarial_loss import AdversarialLoss, Judgement
from atrous.training.adversary_options import AdversaryName, AdversaryOptions
from atrous.training.losses import Targets
from atrous.training.supervision import labels_at

CHOICES: list[tuple[AdversaryName, str]] = [
    ("large_fov", "basic"),
    ("large_fov_light", "scaling"),
    ("small_fov", "product"),
    ("small_fov_light", "basic"),
    ("stanford", "basic"),
    ("stanford", "scaling"),
]


def made(adversary: AdversaryName, encoding: str, **options: Any) -> AdversarialLoss:
    chosen = AdversaryOptions(encoding=encoding, **options)
    return AdversarialLoss(4, 3, adversary=adversary, options=chosen, seed=3)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 48, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def scores() -> Tensor:
    return 3 * torch.randn(3, 4, 12, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels() -> Tensor:
    labels = torch.randint(0, 4, (3, 12, 10), generator=torch.Generator().manual_seed(2))
    labels[0, :3] = 255
    labels[1] = 255  # nothing to judge here
    labels[2, 5:, 7:] = 255
    return labels.byte()


def targets(labels: Tensor) -> Targets:
    return Targets(labels, torch.ones(4))


def slow_maps(
    scores: np.ndarray, labels: np.ndarray, images: np.ndarray, encoding: str
) -> tuple[np.ndarray, np.ndarray]:
    """What the adversary is shown of predictions and labels, cell by cell."""
    count, classes, height, width = scores.shape
    channels = 3 * classes if encoding == "product" else classes
    predicted, true = np.zeros((2, count, channels, height, width))
    for n, y, x in np.ndindex(count, height, width):
        label = labels[n, y, x]
        if label == 255:
            continue
        s = np.exp(scores[n, :, y, x]) / np.exp(scores[n, :, y, x]).sum()
        t = np.eye(classes)[label]
        if encoding == "scaling":
            share = max(0.9, s[label])
            t = np.array(
                [share if k == label else s[k] * (1 - share) / (1 - s[label]) for k in range(4)]
            )
        for k in range(classes):
            if encoding != "product":
                predicted[n, k, y, x], true[n, k, y, x] = s[k], t[k]
                continue
            for colour in range(3):
                shrunk = images[n, colour, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean()
                predicted[n, colour * classes + k, y, x] = shrunk * s[k]
                true[n, colour * classes + k, y, x] = shrunk * t[k]
    return predicted, true


@pytest.mark.parametrize(("adversary", "encoding"), CHOICES)
def test_both_losses_and_the_accuracy_are_those_of_a_slow_loop(
    adversary: AdversaryName, encoding: str, images: Tensor, scores: Tensor, labels: Tensor
) -> None:
    loss = made(adversary, encoding)
    found = loss(scores, targets(labels), images)
    exact = loss.network.double()
    maps = slow_maps(scores.double().numpy(), labels.numpy(), images.double().numpy(), encoding)
    expected = [0.0, 0.0, 0.0]
    for n in (0, 2):
        extra = (images[n : n + 1].double(),) if adversary == "stanford" else ()
        with torch.no_grad():
            predicted, true = (
                1 / (1 + math.exp(-exact(torch.from_numpy(y[n : n + 1]), *extra).item()))
                for y in maps
            )
        expected[0] += -math.log(true) - math.log(1 - predicted)
        expected[1] += -math.log(predicted)
        expected[2] += ((true > 0.5) + (predicted < 0.5)) / 2
    assert [value.item() for value in found] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("align_corners", [False, True])
def test_product_shows_the_image_where_the_labels_are(align_corners: bool) -> None:
    """Each column of the image holds its own number, so colours say where they come from."""
    columns = torch.arange(321.0).expand(1, 3, 33, 321)
    picked = labels_at(columns[:, 0], (5, 41), align_corners=align_corners)[0, 0]
    loss = made("small_fov", "product")
    shown = Targets(torch.zeros(1, 5, 41).byte(), torch.ones(4), align_corners=align_corners)
    colour = loss._encoded(torch.full((1, 4, 5, 41), 0.25), shown, columns).true[0, 0, 0]

    assert (colour - picked)[1:-1].abs().max() <= 0.5


def both_gradients(loss: AdversarialLoss, scores: Tensor, *rest: Any) -> tuple[Judgement, Tensor]:
    """Return the judgement and all gradients of its two losses, in one line."""
    given = scores.clone().requires_grad_()
    judged: Judgement = loss(given, *rest)
    parts = [given, *loss.parameters()]
    found = [
        torch.autograd.grad(value, parts, retain_graph=True)
        for value in (judged.adversary, judged.segmentor)
    ]
    return judged, torch.cat([grad.flatten() for grads in found for grad in grads])


@pytest.mark.parametrize(("adversary", "encoding"), CHOICES)
def test_what_stands_under_void_changes_neither_loss_nor_gradient(
    adversary: AdversaryName, encoding: str, images: Tensor, scores: Tensor, labels: Tensor
) -> None:
    loss = made(adversary, encoding)
    void = (labels == 255)[:, None]
    other = torch.where(void, 50 * torch.randn(scores.shape), scores)
    (first, one), (second, two) = (
        both_gradients(loss, given, targets(labels), images) for given in (scores, other)
    )
    assert first.adversary == second.adversary
    assert first.segmentor == second.segmentor
    assert torch.equal(one, two)
    given = scores.clone().requires_grad_()
    judged = loss(given, targets(labels), images)
    (judged.adversary + judged.segmentor).backward()
    assert given.grad is not None
    assert not given.grad[void.expand_as(scores)].any()
    assert given.grad[~void.expand_as(scores)].any()


def test_another_number_for_void_is_the_same_void(
    images: Tensor, scores: Tensor, labels: Tensor
) -> None:
    loss = made("small_fov_light", "scaling")
    renamed = torch.where(labels == 255, 17, labels)
    found = loss(scores, Targets(renamed, torch.ones(4), ignore_index=17), images)
    for one, two in zip(found, loss(scores, targets(labels), images), strict=True):
        assert one == two


def test_a_batch_without_labels_is_nothing_and_teaches_nothing(
    images: Tensor, scores: Tensor, labels: Tensor
) -> None:
    judged, gradients = both_gradients(
        made("small_fov_light", "basic"), scores, targets(torch.full_like(labels, 255)), images
    )
    assert [value.item() for value in judged] == [0, 0, 0]
    assert not gradients.any()


def test_the_segmentors_term_does_not_saturate(images: Tensor, labels: Tensor) -> None:
    """An adversary that is sure: -log a still has a gradient, log(1 - a) has none left."""
    loss = made("small_fov_light", "basic")
    assert isinstance(loss.network, Adversary)
    last = loss.network.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, -30.0)
    scores = torch.randn(3, 4, 12, 10, requires_grad=True)
    judged = loss(scores, targets(labels), images)
    (strong,) = torch.autograd.grad(judged.segmentor, scores, retain_graph=True)
    (weak,) = torch.autograd.grad(judged.adversary, scores)
    assert strong.abs().max() > 1e6 * weak.abs().max()


def test_scores_of_another_size_are_brought_to_the_stanford_adversarys(images: Tensor) -> None:
    loss = made("stanford", "basic")
    assert loss.map_size(images, torch.zeros(3, 4, 6, 5)) == (12, 10)
    assert loss.map_size(torch.zeros(1, 3, 33, 47), torch.zeros(1, 4, 1, 1)) == (9, 12)
    small = torch.randn(3, 4, 6, 5)
    labels = torch.zeros(3, 12, 10, dtype=torch.uint8)
    enlarged = nn.functional.interpolate(small, (12, 10), mode="bilinear")
    for one, two in zip(
        loss(small, targets(labels), images), loss(enlarged, targets(labels), images), strict=True
    ):
        torch.testing.assert_close(one, two)
    assert made("large_fov", "basic").map_size(images, small) == (6, 5)


def test_the_adversarys_weights_follow_its_seed_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = made("small_fov_light", "basic")
    assert torch.equal(torch.rand(3), expected)  # the global generator was left alone
    second = made("small_fov_light", "basic")
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)


def test_it_learns_to_tell_maps_apart_and_the_way_back_fools_it() -> None:
    """Ragged predictions against smooth labels: told apart; then its gradient makes them pass."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(4, 16, 16, dtype=torch.uint8)
    for n in range(4):
        labels[n, :, 3 * n + 3 :] = 1  # one straight edge each
    scores = 2 * torch.randn(4, 4, 16, 16, generator=generator)
    images = torch.zeros(4, 3, 16, 16)
    loss = made("small_fov_light", "scaling")
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss(scores, targets(labels), images).adversary.backward()
        optimizer.step()
    assert loss(scores, targets(labels), images).right == 4
    scores.requires_grad_()
    values = []
    for _ in range(30):
        judged = loss(scores, targets(labels), images)
        values.append(judged.segmentor.item())
        (slope,) = torch.autograd.grad(judged.segmentor, scores)
        scores.data -= 3 * slope / slope.abs().max()
    assert sum(b < a for a, b in pairwise(values)) > 20
    assert values[-1] < 0.5 * values[0]
