import errno
import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.inference.run import run_batch
from atrous.inference.sources import find_sources


@pytest.fixture
def photos(tmp_path, photo):
    """Make a folder of four photos of different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(photo[: 40 + 10 * index, :70]).save(folder / f"{index}.png")
    return folder


def batch(predictor, photos, out, **options):
    return run_batch(predictor, find_sources([str(photos)]), out, **options)


def masks(out):
    return sorted(path.name for path in out.glob("*.png"))


def test_every_image_gets_the_predictors_labels(predictor, photos, tmp_path):
    told = []
    result = batch(predictor, photos, tmp_path / "out", progress=lambda *state: told.append(state))
    assert masks(tmp_path / "out") == ["0.png", "1.png", "2.png", "3.png"]
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert not result.failures
    for path in photos.iterdir():
        with Image.open(tmp_path / "out" / path.name) as mask:
            np.testing.assert_array_equal(np.asarray(mask), predictor(path).labels)


def test_overlays_and_probabilities_lie_beside_the_masks(predictor, photos, tmp_path):
    out = tmp_path / "out"
    batch(predictor, photos, out, overlay=True, probabilities=True)
    with Image.open(out / "0-overlay.jpg") as overlay:
        assert overlay.size == (70, 40)
    probabilities = np.load(out / "0-probabilities.npy")
    assert probabilities.dtype == np.float16
    expected = predictor(photos / "0.png", probabilities=True).probabilities
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)


def test_a_broken_image_is_listed_and_the_rest_is_done(predictor, photos, tmp_path):
    (photos / "1.png").write_bytes(b"")
    (photos / "2.png").write_bytes((photos / "3.png").read_bytes()[:100])
    result = batch(predictor, photos, tmp_path / "out")
    assert masks(tmp_path / "out") == ["0.png", "3.png"]
    assert [failure.path.name for failure in result.failures] == ["1.png", "2.png"]
    for failure in result.failures:
        assert failure.path.name in failure.message
        assert "\n" not in failure.message


def test_a_file_that_may_not_be_read_is_listed(predictor, photos, tmp_path, monkeypatch):
    def read(path):
        if path.name == "1.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return Predictor.read(predictor, path)

    monkeypatch.setattr(predictor, "read", read)
    result = batch(predictor, photos, tmp_path / "out")
    assert len(result.written) == 3
    assert "1.png cannot be read (Permission denied)" in result.failures[0].message


def test_an_image_that_does_not_fit_into_memory_is_listed_with_the_tile_to_try(model, tmp_path):
    def fail(_module, arguments):
        if arguments[0].shape[-2] > 150:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    photos = tmp_path / "photos"
    photos.mkdir()
    for name, side in (("large", 300), ("small", 100)):
        Image.new("RGB", (side, side)).save(photos / f"{name}.png")
    model.stem.register_forward_pre_hook(fail)
    result = batch(Predictor(model, device="cpu"), photos, tmp_path / "out")
    assert masks(tmp_path / "out") == ["small.png"]
    (failure,) = result.failures
    assert failure.message.startswith(str(photos / "large.png"))
    assert failure.message.endswith("with --tile 128")
    taken = batch(Predictor(model, tile=128, device="cpu"), photos, tmp_path / "again")
    assert not taken.failures


def test_an_image_too_large_to_be_read_is_listed(predictor, photos, tmp_path, monkeypatch):
    def read(path):
        if path.name == "1.png":
            raise MemoryError
        return Predictor.read(predictor, path)

    monkeypatch.setattr(predictor, "read", read)
    result = batch(predictor, photos, tmp_path / "out")
    assert len(result.written) == 3
    assert "1.png does not fit into memory when it is read; cut it" in result.failures[0].message


def test_a_defect_of_the_network_is_not_taken_for_a_bad_image(model, predictor, photos, tmp_path):
    def fail(_module, _arguments):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    model.stem.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="mat1"):
        batch(predictor, photos, tmp_path / "out")


def test_a_full_disk_stops_the_batch_with_whole_files_only(
    predictor, photos, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    real = os.fsync
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > 5:  # the note and a mask sync twice each: file and folder
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    result = batch(predictor, photos, out)
    monkeypatch.undo()
    assert "No space left on device" in result.stopped
    assert "--resume" in result.stopped
    assert len(result.written) == len(masks(out)) < 4
    assert not [path for path in out.iterdir() if path.suffix == ".part"]
    rest = batch(predictor, photos, out)
    assert rest.skipped == len(result.written)
    assert len(masks(out)) == 4


def test_ctrl_c_finishes_the_image_at_hand_and_resume_does_the_rest(
    model, predictor, photos, tmp_path
):
    out = tmp_path / "out"
    handle = model.stem.register_forward_pre_hook(
        lambda _, arguments: (
            signal.raise_signal(signal.SIGINT) if arguments[0].shape[-2] == 50 else None
        )
    )
    earlier = signal.getsignal(signal.SIGINT)
    result = batch(predictor, photos, out)
    assert result.interrupted
    assert masks(out) == ["0.png", "1.png"]
    assert signal.getsignal(signal.SIGINT) is earlier
    handle.remove()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    rest = batch(predictor, photos, out)
    assert (rest.skipped, len(rest.written), rest.interrupted) == (2, 2, False)
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())


def test_a_finished_mask_without_its_overlay_is_done_again(predictor, photos, tmp_path):
    out = tmp_path / "out"
    batch(predictor, photos, out)
    assert batch(predictor, photos, out, overlay=True).skipped == 0
    assert batch(predictor, photos, out, overlay=True).skipped == 4


def test_masks_of_another_model_are_not_mixed_in(model, predictor, photos, tmp_path):
    batch(predictor, photos, tmp_path / "out")
    with torch.no_grad():
        model.head.bias += 1
    with pytest.raises(InputError, match="made with weights"):
        batch(predictor, photos, tmp_path / "out")


def test_masks_of_other_settings_are_not_mixed_in(model, predictor, photos, tmp_path):
    batch(predictor, photos, tmp_path / "out")
    with pytest.raises(InputError, match="made with flip False, now it is True"):
        batch(Predictor(model, flip=True, device="cpu"), photos, tmp_path / "out")


def test_masks_of_other_images_are_not_taken_for_finished(predictor, photos, tmp_path):
    batch(predictor, photos, tmp_path / "out")
    photos.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"0\.png was made from .*photos"):
        batch(predictor, tmp_path / "moved", tmp_path / "out")


def test_the_note_says_where_each_mask_came_from(predictor, photos, tmp_path):
    batch(predictor, photos, tmp_path / "out")
    note = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert note["images"]["0.png"].endswith("photos/0.png")
    assert note["classes"] == list(predictor.model.label_set.names)
