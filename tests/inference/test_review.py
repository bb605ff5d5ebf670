import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.inference.review import doubtful_region, review, smoothed_doubt
from atrous.inference.run import run_batch
from atrous.inference.sources import find_sources


def two_spots(size=(200, 300)):
    """Make a map with a large faint spot, a small strong one and a thin strong line."""
    entropy = np.zeros(size, np.float32)
    entropy[20:60, 30:90] = 0.6
    entropy[150:160, 200:210] = 0.9
    entropy[:, 280] = 0.9
    return entropy


def test_smoothing_is_that_of_a_64th_of_the_longer_side():
    entropy = two_spots()
    expected = ndimage.gaussian_filter(entropy, 300 / 64, mode="mirror", truncate=6)
    np.testing.assert_allclose(smoothed_doubt(entropy), expected, atol=0.004)


def test_large_maps_are_shrunk_first():
    entropy = np.kron(two_spots(), np.ones((4, 4), np.float32))
    small = smoothed_doubt(entropy)
    assert small.shape == (341, 512)
    assert small.mean() == pytest.approx(entropy.mean(), rel=0.01)


def test_the_region_is_the_connected_one_with_the_largest_sum():
    smooth = smoothed_doubt(two_spots())
    region = doubtful_region(smooth)
    threshold = np.sort(smooth.ravel())[-int(np.ceil(0.05 * smooth.size))]
    parts, count = ndimage.label(smooth >= threshold, np.ones((3, 3)))
    sums = [smooth[parts == part].sum() for part in range(1, count + 1)]
    assert count > 1
    np.testing.assert_array_equal(region, parts == 1 + int(np.argmax(sums)))
    assert region[40, 60]
    assert not region[155, 205]


def test_where_all_is_certain_there_is_no_region():
    assert not doubtful_region(np.zeros((9, 9), np.float32)).any()


@pytest.fixture
def photos(tmp_path, photo):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(photo[: 60 + 20 * index, :100]).save(folder / f"{index}.png")
    return folder


def batch(predictor, photos, out, **options):
    return run_batch(predictor, find_sources([str(photos)]), out, **options)


@pytest.fixture
def doubting(model):
    return Predictor(model, uncertainty="flip", device="cpu")


def test_maps_are_16_bit_pictures_of_what_the_predictor_says(doubting, photos, tmp_path):
    out = tmp_path / "out"
    batch(doubting, photos, out)
    expected = doubting(photos / "1.png")
    for name, values in (
        ("entropy", expected.uncertainty),
        ("mutual-information", expected.mutual_information),
        ("variance", 4 * expected.variance),  # a quarter is the largest there is
    ):
        with Image.open(out / f"1-{name}.png") as picture:
            found = np.asarray(picture)
        assert found.dtype == np.uint16
        np.testing.assert_allclose(found / 65535, values, atol=1 / 65535)
    assert not (tmp_path / "plain").exists()
    batch(Predictor(doubting.model, device="cpu"), photos, tmp_path / "plain")
    assert len(list((tmp_path / "plain").glob("*.png"))) == 3


def test_a_review_ranks_every_finished_image_also_those_of_an_earlier_batch(
    doubting, photos, tmp_path
):
    out = tmp_path / "out"
    sources = find_sources([str(photos)])
    run_batch(doubting, sources[:2], out)
    assert run_batch(doubting, sources, out).skipped == 2
    (photos / "2.png").unlink()  # the review needs the results, not the images
    told = []
    items = review(out, doubting.model.label_set, lambda *state: told.append(state))
    assert {item.mask.name for item in items} == {"0.png", "1.png", "2.png"}
    assert told[-1] == (3, 3)
    assert [item.doubt for item in items] == sorted((item.doubt for item in items), reverse=True)
    for item in items:
        result = doubting(item.image) if item.image.exists() else None
        if result is None:
            continue
        assert item.doubt == pytest.approx(result.uncertainty.mean(), abs=1e-4)
        assert item.mutual_information == pytest.approx(result.mutual_information.mean(), abs=1e-4)
        assert item.variance == pytest.approx(result.variance.mean(), rel=0.01)
        left, top, width, height = item.box
        assert 0 <= left < left + width <= 100
        assert 0 <= top < top + height <= result.labels.shape[0]
        assert item.classes[0][1] <= 1
        assert json.dumps(item.to_json())


def test_the_box_lies_around_the_region_in_pixels_of_the_image(tmp_path, model, monkeypatch):
    """A map of 4 times the size has 4 times the box, to a pixel of the shrunken map."""
    from atrous.inference.results_folder import write_note
    from atrous.inference.segmentation import Segmentation
    from atrous.inference.sources import Source
    from atrous.inference.writers import write_results

    boxes = []
    for zoom in (1, 4):
        entropy = np.kron(two_spots(), np.ones((zoom, zoom), np.float32))
        labels = np.zeros(entropy.shape, np.uint8)
        labels[: labels.shape[0] // 2] = 2
        held = Segmentation(
            *(labels, model.label_set, None, entropy, labels),
            mutual_information=entropy / 2,
            variance=entropy / 8,
        )
        out = tmp_path / str(zoom)
        out.mkdir()
        write_note(out, [Source(Path("a.png"), Path("a.png"))], {})
        write_results(held, out / "a.png", overlay=False)
        (item,) = review(out, model.label_set)
        assert item.classes == (("class_2", 1.0),)
        assert item.mutual_information == pytest.approx(entropy.mean() / 2, abs=1e-5)
        assert item.variance == pytest.approx(entropy.mean() / 8, abs=1e-5)
        boxes.append(np.array(item.box) / zoom)
    left, top, width, _ = boxes[0]
    assert 25 <= left <= 40
    assert 15 <= top <= 30
    assert 85 - left <= width <= 95 - left + 5
    np.testing.assert_allclose(boxes[1], boxes[0], atol=3)


def test_a_map_and_a_mask_of_one_name_are_refused(doubting, photos, tmp_path):
    (photos / "1-entropy.jpg").write_bytes((photos / "1.png").read_bytes())
    with pytest.raises(InputError, match=r"would both be 1-entropy.png; rename one"):
        batch(doubting, photos, tmp_path / "out")


def test_images_without_maps_are_done_again_not_reviewed(model, doubting, photos, tmp_path):
    out = tmp_path / "out"
    batch(doubting, photos, out)
    (out / "0-variance.png").unlink()
    assert len(review(out, model.label_set)) == 2
    assert batch(doubting, photos, out).skipped == 2
    assert len(review(out, model.label_set)) == 3


def test_a_folder_without_a_batch_is_told(model, tmp_path):
    with pytest.raises(InputError, match=r"no readable predictions.json"):
        review(tmp_path, model.label_set)
