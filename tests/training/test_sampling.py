"""Which image comes, and which class it is to show."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from atrous.data import DataSpec, JointTransform, open_data
from atrous.training import Silent, TrainConfig
from atrous.training.begin import seeded_model
from atrous.training.loader import samples
from atrous.training.samples import TrainingSamples
from atrous.training.sampling import ClassBalanced, Uniform, pixel_of

PAIRS_WITH = ((0, 1, 2, 3, 4), (), (3,), (1, 4))


def labels_of(spec: DataSpec) -> list[np.ndarray]:
    return [spec.read_labels(pair) for pair in spec.splits["train"]]


def test_each_class_is_asked_for_alike_often_and_of_an_image_that_shows_it() -> None:
    choose = ClassBalanced(PAIRS_WITH, seed=3)
    chosen = [choose(number) for number in range(3 * 200)]

    assert Counter(choice.label for choice in chosen) == {0: 200, 2: 200, 3: 200}
    for choice in chosen:
        assert choice.label is not None
        assert choice.pair in PAIRS_WITH[choice.label]
    first = Counter(choice.pair for choice in chosen if choice.label == 0)
    assert set(first) == {0, 1, 2, 3, 4}
    assert max(first.values()) < 2 * min(first.values())


def test_every_turn_asks_for_every_class_in_another_order() -> None:
    choose = ClassBalanced(PAIRS_WITH, seed=0)
    turns = [tuple(choose(3 * turn + n).label for n in range(3)) for turn in range(20)]

    assert all(sorted(turn, key=str) == [0, 2, 3] for turn in turns)
    assert len(set(turns)) > 2


def test_choices_do_not_depend_on_what_was_asked_before() -> None:
    for rule in (ClassBalanced(PAIRS_WITH, 5), Uniform(5, 5)):
        whole = [rule(number) for number in range(30)]
        assert [rule(number) for number in (17, 4, 29, 4)] == [whole[n] for n in (17, 4, 29, 4)]
    assert [ClassBalanced(PAIRS_WITH, 6)(n) for n in range(30)] != [
        ClassBalanced(PAIRS_WITH, 5)(n) for n in range(30)
    ]


def test_every_image_comes_once_a_pass_whose_order_is_drawn_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng
    drawn: list[tuple[int, int, int]] = []

    def counted(seed: tuple[int, int, int]) -> np.random.Generator:
        drawn.append(seed)
        return draw(seed)

    monkeypatch.setattr(np.random, "default_rng", counted)
    rule = Uniform(50, seed=91)
    pairs = [rule(number).pair for number in range(3 * 50)]

    assert drawn == [(91, 0, epoch) for epoch in range(3)]
    for epoch in range(3):
        order = draw((91, 0, epoch)).permutation(50).tolist()
        assert pairs[50 * epoch : 50 * (epoch + 1)] == order
    assert pairs[:50] != pairs[50:100]


def test_pixels_are_drawn_from_the_class_alike() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[1, 2:5] = 7
    drawn = Counter(pixel_of(labels, 7, np.random.default_rng(seed)) for seed in range(300))

    assert set(drawn) == {(2, 1), (3, 1), (4, 1)}
    assert min(drawn.values()) > 70
    assert pixel_of(labels, 3, np.random.default_rng(0)) is None
    assert pixel_of(labels, None, np.random.default_rng(0)) is None


def test_the_pairs_of_each_class_are_those_whose_masks_show_it(scenes: Path) -> None:
    spec = open_data(scenes)
    masks = labels_of(spec)
    shown = tuple(
        tuple(n for n, mask in enumerate(masks) if (mask == label).any())
        for label in range(len(spec.label_set))
    )

    assert spec.statistics["train"].pairs_with == shown


def test_balanced_crops_show_the_class_that_was_asked_for(scenes: Path) -> None:
    spec = open_data(scenes)
    rule = ClassBalanced(spec.statistics["train"].pairs_with, seed=1)
    transform = JointTransform((16, 16), scale_range=(1.0, 2.0), rotation=0.0)
    shown = TrainingSamples(spec, spec.splits["train"], transform, 1, sampling=rule)

    for number in range(40):
        assert (shown[number][1] == rule(number).label).any()


def test_balanced_crops_show_the_rarest_class_more_often(scenes: Path) -> None:
    spec = open_data(scenes)
    rarest = int(np.argmin([share or 1 for share in spec.statistics["train"].shares]))
    seen = {}
    for rule in ("uniform", "class_balanced"):
        config = TrainConfig(data=scenes, weights="none", sampling=rule, crop=16)  # type: ignore[arg-type]
        model, _ = seeded_model(config, spec, Silent())
        shown = samples(config, (16, 16), spec, model)
        seen[rule] = np.mean([(shown[n][1] == rarest).float().mean() for n in range(60)])

    assert seen["class_balanced"] > 1.5 * seen["uniform"]


@pytest.mark.parametrize("rule", ["uniform", "class_balanced"])
def test_a_sample_does_not_depend_on_what_was_read_before(scenes: Path, rule: str) -> None:
    config = TrainConfig(data=scenes, weights="none", sampling=rule, patch_sampling=0.5)  # type: ignore[arg-type]
    spec = open_data(scenes)
    model, _ = seeded_model(config, spec, Silent())
    image, labels = samples(config, (40, 40), spec, model)[23]
    again = samples(config, (40, 40), spec, model)
    for number in (2, 99, 5):
        _ = again[number]

    assert torch.equal(image, again[23][0])
    assert torch.equal(labels, again[23][1])


def test_patches_change_nothing_but_the_labels(scenes: Path) -> None:
    spec = open_data(scenes)
    found = []
    for share in (1.0, 0.5):
        config = TrainConfig(data=scenes, weights="none", patch_sampling=share)
        model, _ = seeded_model(config, spec, Silent())
        found.append(samples(config, (96, 96), spec, model)[3])
    (image, labels), (same_image, fewer) = found

    assert torch.equal(image, same_image)
    assert torch.equal(fewer[fewer != 255], labels[fewer != 255])
    assert (fewer != 255).sum() < (labels != 255).sum()
