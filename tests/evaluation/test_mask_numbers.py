import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data import DataSpec, open_data
from atrous.errors import InputError
from atrous.evaluation import evaluate_predictions
from atrous.evaluation.predictions import stored_masks

RED, BLUE, WHITE = (200, 0, 0), (0, 0, 200), (255, 255, 255)


def write_data(root: Path, masks: list[np.ndarray], yaml: str = "") -> DataSpec:
    """Write masks as they are, each with an image of noise, and open the data."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / "val" / kind).mkdir(parents=True)
    for index, mask in enumerate(masks):
        Image.fromarray(mask).save(root / "val" / "masks" / f"{index}.png")
        image = rng.integers(0, 256, (*mask.shape[:2], 3), dtype=np.uint8)
        Image.fromarray(image).save(root / "val" / "images" / f"{index}.png")
    if yaml:
        (root / "data.yaml").write_text(f"path: .\nval: val\n{yaml}")
    return open_data(root)


def patterns(*numbers: object, count: int = 3) -> list[np.ndarray]:
    """Make masks of 24 x 32 pixels, in blocks, from numbers or colours."""
    rng = np.random.default_rng(1)
    blocks = [rng.permutation(np.arange(48) % len(numbers)).reshape(6, 8) for _ in range(count)]
    return [np.array(numbers, np.uint8)[np.kron(x, np.ones((4, 4), int))] for x in blocks]


RAW = {
    "0 and 255": ((0, 255), ""),
    "raw ids": ((7, 26, 0), "names: [road, car]\nlabel_map: {7: road, 26: car, 0: ignore}"),
    "colours": (
        (RED, BLUE, WHITE),
        'names: [road, car]\ncolours: [[200, 0, 0], [0, 0, 200]]\nlabel_map: {"#ffffff": ignore}',
    ),
}
"""How two classes, and void, are written in masks, and the data.yaml that says so."""


@pytest.mark.parametrize("kind", RAW)
def test_masks_in_the_numbers_of_the_labels_score_like_class_indices(tmp_path, kind):
    numbers, yaml = RAW[kind]
    spec = write_data(tmp_path / "data", patterns(*numbers), yaml)
    folders = [tmp_path / "numbers", tmp_path / "indices"]
    for folder in folders:
        folder.mkdir()
    for pair in spec.splits["val"]:
        with Image.open(pair.mask) as mask:
            raw = np.asarray(mask).copy()
        classes = spec.read_labels(pair)
        raw[:, :8], classes[:, :8] = numbers[0], 0
        for folder, found in zip(folders, (raw, classes), strict=True):
            Image.fromarray(found).save(folder / pair.mask.name)

    copies, found, expected = (
        evaluate_predictions(folder, spec)
        for folder in (tmp_path / "data" / "val" / "masks", *folders)
    )

    assert [x.protocol["coding"] for x in (copies, found, expected)] == ["data", "data", "indices"]
    assert copies.mean_iou == 1
    assert expected.mean_iou < 1
    np.testing.assert_array_equal(found.matrix, expected.matrix)


def test_class_indices_stay_class_indices_where_the_labels_are_written_otherwise(tmp_path):
    spec = write_data(tmp_path / "data", patterns(0, 255))
    folder = tmp_path / "found"
    folder.mkdir()
    for pair in spec.splits["val"]:
        Image.fromarray(spec.read_labels(pair)).save(folder / pair.mask.name)
    result = evaluate_predictions(folder, spec)
    assert result.protocol["coding"] == "indices"
    assert result.mean_iou == 1


def test_masks_that_fit_both_ways_are_read_as_indices_with_a_warning(tmp_path, caplog):
    yaml = "names: [road, car]\nlabel_map: {1: road, 0: car}"
    spec = write_data(tmp_path / "data", patterns(0, 1), yaml)
    with caplog.at_level(logging.WARNING):
        result = evaluate_predictions(tmp_path / "data" / "val" / "masks", spec)
    assert result.protocol["coding"] == "indices"
    assert result.mean_iou == 0
    assert "may be class indices or the labels' own numbers" in caplog.text


def test_one_number_for_both_gives_no_warning(tmp_path, caplog):
    spec = write_data(tmp_path / "data", patterns(0, 255))
    folder = tmp_path / "found"
    folder.mkdir()
    for pair in spec.splits["val"]:
        Image.fromarray(np.zeros((24, 32), np.uint8)).save(folder / pair.mask.name)
    evaluate_predictions(folder, spec)
    assert not caplog.records


def test_a_stray_number_among_the_labels_own_is_told_with_the_index_of_none(tmp_path):
    spec = write_data(tmp_path / "data", patterns(0, 255))
    folder = shutil.copytree(tmp_path / "data" / "val" / "masks", tmp_path / "found")
    spoil(folder / "1.png", 128, 4)
    with pytest.raises(InputError, match=r"1\.png holds 128 \(4 pixels\), but .* 0..1; map it"):
        evaluate_predictions(folder, spec)


def test_the_index_to_write_is_named_where_the_labels_tell_it(tmp_path):
    """1 is no number of these labels, so the masks are taken for class indices."""
    spec = write_data(tmp_path / "data", patterns(0, 255))
    folder = tmp_path / "found"
    folder.mkdir()
    for pair in spec.splits["val"]:
        Image.fromarray(spec.read_labels(pair)).save(folder / pair.mask.name)
    spoil(folder / "1.png", 255, 4)
    told = r"1\.png holds 255 \(4 pixels\), but .* 0..1; write 1 there, the index of class_1"
    with pytest.raises(InputError, match=told):
        evaluate_predictions(folder, spec)


def test_all_masks_with_faults_are_counted_and_the_first_told(tmp_path):
    spec = write_data(tmp_path / "data", patterns(0, 1, 2, count=9))
    folder = shutil.copytree(tmp_path / "data" / "val" / "masks", tmp_path / "found")
    Image.new("L", (9, 8)).save(folder / "1.png")
    spoil(folder / "2.png", 7, 4)
    Image.new("RGB", (32, 24)).save(folder / "3.png")
    (folder / "4.png").write_bytes(b"")
    for index in (5, 6, 7):
        spoil(folder / f"{index}.png", 255, 10)
    with pytest.raises(InputError) as caught:
        evaluate_predictions(folder, spec)
    told = str(caught.value)
    assert told.startswith(f"{folder}: 7 of 9 masks cannot be scored: 1.png is 9x8, but")
    assert "2.png holds 7 (4 pixels), but the classes are 0..2; " in told
    assert "3.png is a picture in colour" in told
    assert "4.png has 0 bytes" in told
    assert "5.png holds 255 (10 pixels)" in told
    assert "6.png" not in told
    assert "; and 2 more; for the first: resize the scores (never the mask)" in told
    assert "\n" not in told


def test_masks_are_checked_before_the_first_is_scored(tmp_path):
    """So a folder whose last mask is bad costs no evaluation."""
    spec = write_data(tmp_path / "data", patterns(0, 1))
    folder = shutil.copytree(tmp_path / "data" / "val" / "masks", tmp_path / "found")
    Image.new("L", (9, 8)).save(folder / "2.png")
    told: list[tuple[int, int]] = []
    with pytest.raises(InputError, match=r"2\.png is 9x8"):
        stored_masks(folder, spec, "val", progress=lambda *state: told.append(state))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_mask_that_changes_meanwhile_is_refused(tmp_path):
    spec = write_data(tmp_path / "data", patterns(0, 1))
    folder = shutil.copytree(tmp_path / "data" / "val" / "masks", tmp_path / "found")
    subject = stored_masks(folder, spec, "val")
    pair = spec.splits["val"][0]
    Image.new("L", (9, 8)).save(folder / "0.png")
    with pytest.raises(InputError, match=r"0\.png has changed since all masks were checked"):
        subject.predict(pair, spec.read_labels(pair))


def test_anything_may_lie_under_void_also_beyond_a_byte(tmp_path):
    yaml = "names: [road, car]\nlabel_map: {300: road, 301: car, 0: ignore}"
    masks = [mask.astype(np.uint16) for mask in patterns(0, 1, 2)]
    masks = [np.where(mask > 0, mask + 299, 0).astype(np.uint16) for mask in masks]
    spec = write_data(tmp_path / "data", [*masks, np.zeros((24, 32), np.uint16)], yaml)
    folder = shutil.copytree(tmp_path / "data" / "val" / "masks", tmp_path / "found")
    Image.fromarray(np.full((24, 32), 9, np.uint8)).save(folder / "3.png")  # all of it is void
    result = evaluate_predictions(folder, spec)
    assert result.protocol["coding"] == "data"
    assert result.mean_iou == 1


def spoil(path: Path, value: int, count: int) -> None:
    """Give the first pixels of a mask another value."""
    with Image.open(path) as mask:
        values = np.asarray(mask).copy()
    values.flat[:count] = value
    Image.fromarray(values).save(path)
