"""Which image comes when, under which change: a function of the seed and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.data import JointTransform, open_data
from atrous.ops import Normalization, normalise
from atrous.training import Silent, TrainConfig
from atrous.training.begin import seeded_model
from atrous.training.loader import samples
from atrous.training.samples import BatchOrder, TrainingSamples, collate, image_tensor


def make(scenes: Path, seed: int = 0) -> TrainingSamples:
    spec = open_data(scenes)
    return TrainingSamples(spec, spec.splits["train"], JointTransform((32, 32)), seed)


def test_every_pass_shows_every_image_once(scenes: Path) -> None:
    shown = make(scenes)
    first = [shown.index(number) for number in range(10)]
    second = [shown.index(number) for number in range(10, 20)]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_a_sample_does_not_depend_on_what_was_read_before(scenes: Path) -> None:
    image, labels = make(scenes)[13]
    other = make(scenes)
    for number in (2, 99, 5):
        _ = other[number]
    image_again, labels_again = other[13]
    assert torch.equal(image, image_again)
    assert torch.equal(labels, labels_again)


def test_the_input_scale_enlarges_what_the_network_is_shown(scenes: Path) -> None:
    spec = open_data(scenes)
    config = TrainConfig(
        data=scenes, weights="none", input_scale=2.0, scale_range=(1.0, 1.0), rotation=0, flip=0
    )
    model, _ = seeded_model(config, spec, Silent())
    _, labels = samples(config, (96, 128), spec, model)[0]
    whole = [np.array(Image.open(path)) for path in sorted((scenes / "train/masks").iterdir())]
    doubled = [np.kron(mask, np.ones((2, 2), np.uint8)) for mask in whole]
    assert any(np.array_equal(labels.numpy(), mask) for mask in doubled)


def test_the_padding_of_twelve_bit_images_is_the_mean_that_the_network_takes_off(
    deep_scenes: Path,
) -> None:
    spec = open_data(deep_scenes)
    config = TrainConfig(data=deep_scenes, weights="none", scale_range=(0.5, 0.5), rotation=0)
    model, _ = seeded_model(config, spec, Silent())
    image, labels = samples(config, (128, 128), spec, model)[0]
    x = normalise(image[None], model.normalization)[0]
    padded = x[:, labels == 255].abs()
    assert (labels == 255).float().mean() > 0.8  # a scene of 24 x 32 pixels amid 128 x 128
    assert padded.median() < 1e-3
    assert x[:, labels != 255].std() > 0.3  # eight bits would give about 1; undivided 0.06


def test_the_padding_is_the_mean_of_the_models_own_normalisation(scenes: Path) -> None:
    spec = open_data(scenes)
    config = TrainConfig(data=scenes, weights="none", scale_range=(0.5, 0.5), rotation=0)
    model, _ = seeded_model(config, spec, Silent())
    model.normalization = Normalization((0.2, 0.6, 0.8), (0.1, 0.1, 0.1))
    image, labels = samples(config, (128, 128), spec, model)[0]
    x = normalise(image[None], model.normalization)[0]
    assert x[:, labels == 255].abs().median() <= 0.5 / 255 / 0.1 + 1e-6  # the rounding to a byte


def test_another_seed_gives_another_order(scenes: Path) -> None:
    order = [make(scenes, 0).index(number) for number in range(10)]
    assert order != [make(scenes, 1).index(number) for number in range(10)]


def test_a_later_start_continues_the_same_batches() -> None:
    whole = list(BatchOrder(3, start=0, stop=5))
    assert list(BatchOrder(3, start=2, stop=5)) == whole[2:]
    assert whole[0] == [0, 1, 2]


def test_sixteen_bit_images_become_fractions() -> None:
    image = np.full((2, 3, 1), 65535, np.uint16)
    assert torch.equal(image_tensor(image), torch.ones(1, 2, 3))
    assert image_tensor(np.zeros((2, 3, 4), np.uint8)).dtype == torch.uint8


def test_in_a_batch_of_both_depths_white_is_one() -> None:
    labels = torch.zeros(2, 2, dtype=torch.uint8)
    byte = image_tensor(np.full((2, 2, 1), 255, np.uint8))
    wide = image_tensor(np.full((2, 2, 1), 65535, np.uint16))
    assert torch.equal(collate([(byte, labels), (wide, labels)])[0], torch.ones(2, 1, 2, 2))
    assert collate([(byte, labels), (byte, labels)])[0].dtype == torch.uint8


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_the_samples_of_a_step_do_not_depend_on_the_number_of_processes(world: int) -> None:
    shares = [list(BatchOrder(8, 2, 5, rank=rank, world=world)) for rank in range(world)]
    for step, alone in enumerate(BatchOrder(8, 2, 5)):
        assert sorted(number for share in shares for number in share[step]) == alone
        assert all(share[step] for share in shares)
