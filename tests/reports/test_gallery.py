import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from atrous.labels import VOID, LabelSet
from atrous.reports import gallery
from atrous.reports.pictures import WRONG, error_picture, view

STREET = LabelSet(("sky", "road", "car"))


def exhibited(written) -> list[str]:
    return [
        block.all("p")[0].words.split("· ")[1]
        for block in written.page.all("div", class_="exhibit")
    ]


def test_the_next_frame_of_a_film_is_passed_over(report: Callable, data) -> None:
    rng = np.random.default_rng(0)
    places = [data.blobs(rng, 3) for _ in range(4)]
    film = [places[0]] * 3 + places[1:]  # the best image three times, all but equal
    images = [np.clip(x.astype(int) + i, 0, 255).astype(np.uint8) for i, (x, _) in enumerate(film)]
    labels = [y for _, y in film]
    predictions = [data.spoil(rng, y, 3, 0.05 + 0.1 * i) for i, y in enumerate(labels)]

    written = report(spec=data.FakeSpec(STREET, images, labels), predictions=predictions)

    assert exhibited(written) == ["000.png", "005.png", "004.png", "003.png"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_images_are_shown_once_each(report: Callable, count: int) -> None:
    shown = exhibited(report(num_images=count))

    assert len(shown) == count
    assert len(set(shown)) == count


def test_an_image_is_shown_with_the_mistake_that_cost_it_most(report: Callable) -> None:
    written = report(num_images=3, share=0.3)

    for block in written.page.all("div", class_="exhibit"):
        name = block.all("p")[0].words.split("· ")[1]
        pair = next(pair for pair in written.spec.splits["val"] if pair.image.name == name)
        at = list(written.spec.splits["val"]).index(pair)
        size = written.spec.labels[pair][1:].size  # the first row is void
        truth, predicted = (
            x[at * size : (at + 1) * size] for x in (written.truth, written.predicted)
        )
        wrong = np.zeros((3, 3), int)
        np.add.at(wrong, (truth, predicted), truth != predicted)
        true, taken_for = np.unravel_index(wrong.argmax(), wrong.shape)
        said = f"mostly {STREET.names[true]} taken for {STREET.names[taken_for]}"
        assert (wrong == wrong.max()).sum() > 1 or said in block.words


def test_images_without_any_contrast_can_all_be_shown(report: Callable, data) -> None:
    labels = [data.blobs(np.random.default_rng(i), 3)[1] for i in range(2)]
    images = [np.full((*y.shape, 3), 100 + i, np.uint8) for i, y in enumerate(labels)]

    assert len(exhibited(report(spec=data.FakeSpec(STREET, images, labels)))) == 2


def test_wrong_pixels_have_their_own_colour_and_void_is_darker() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [VOID, 0]], np.uint8)

    picture = error_picture(view(image, labels, np.zeros((2, 2), np.uint8), VOID))

    assert tuple(picture[0, 1]) == WRONG
    right, void = picture[0, 0], picture[1, 0]
    assert len(set(right.tolist())) == 1  # grey
    assert void.max() < right.min()


def test_thin_errors_survive_in_a_small_picture() -> None:
    labels = np.zeros((400, 400), np.uint8)
    predictions = labels.copy()
    predictions[:, 200] = 1
    shown = view(np.zeros((400, 400, 3), np.uint8), labels, predictions, VOID).shrunk(100)

    assert shown.size == (100, 100)
    assert shown.wrong.max(axis=1).min() > 0.2
    assert shown.wrong.mean() == pytest.approx(1 / 400, rel=1e-3)


def test_pictures_are_never_enlarged() -> None:
    small = np.zeros((5, 9), np.uint8)

    assert view(np.zeros((5, 9, 3), np.uint8), small, small, VOID).shrunk(560).size == (5, 9)


@pytest.mark.parametrize("channels", [1, 3, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_look_is_the_grey_picture_of_the_image(channels: int, dtype: type) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (16, 16, channels)).astype(dtype)
    image = np.kron(blocks, np.ones((20, 30, 1), dtype))

    look = gallery._look(image)

    grey = blocks.astype(float).mean(axis=2).ravel()
    np.testing.assert_allclose(
        look, (grey - grey.mean()) / np.linalg.norm(grey - grey.mean()), atol=1e-5
    )


def test_a_look_at_a_large_image_takes_little_memory() -> None:
    image = np.zeros((2000, 2000, 3), np.uint8)
    tracemalloc.start()
    gallery._look(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < image.nbytes / 4
