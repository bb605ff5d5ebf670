"""The CRF inside a prediction: on the device where the network's probabilities lie."""

import logging

import numpy as np
import pytest
import torch
from torch import Tensor

import atrous
from atrous.crf import DenseCRF
from atrous.data import make_scene
from atrous.inference import Predictor, predictor
from atrous.inference.crf_step import sharpened


@pytest.fixture(scope="module")
def street():
    return atrous.load("street-scenes"), make_scene(5, (160, 208))[0]


class Watched(DenseCRF):
    """Notes where the probabilities of every call lie."""

    def __call__(self, image, probabilities, *, features=None):
        seen.append(probabilities.device if isinstance(probabilities, Tensor) else None)
        return super().__call__(image, probabilities, features=features)


seen = []


@pytest.mark.parametrize("windows", [False, True])
def test_a_dense_crf_gets_the_probabilities_where_the_network_left_them(
    street, monkeypatch, windows
):
    if windows:
        monkeypatch.setattr(predictor, "WHOLE_PIXELS", 1000)
    model, scene = street
    seen.clear()
    predict = Predictor(model, tile=96, crf=Watched(), device="cpu")

    found = predict(scene, probabilities=True)

    assert set(seen) == {predict.device}
    assert (len(seen) > 1) == windows
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-4)


def test_a_dense_crf_gives_what_it_gives_by_hand(street):
    model, scene = street
    plain = Predictor(model, device="cpu")(scene, probabilities=True)

    found = Predictor(model, crf=DenseCRF(), device="cpu")(
        scene, probabilities=True, confidence=True
    )

    q = DenseCRF()(scene, plain.probabilities)
    np.testing.assert_allclose(found.probabilities, q, atol=1e-5)
    assert (found.labels == q.argmax(0)).mean() > 0.9999
    assert (found.labels != plain.labels).mean() > 0.001  # it did something
    np.testing.assert_array_equal(found.confidence, found.probabilities.max(0))


def test_other_callables_get_arrays():
    maps = torch.rand(3, 4, 5)

    def turned(image, probabilities):
        assert isinstance(probabilities, np.ndarray)
        return probabilities[::-1].copy()

    q = sharpened(turned, np.zeros((4, 5, 3), np.uint8), maps)

    torch.testing.assert_close(q, maps.flip(0))


def test_too_little_memory_of_the_cpu_is_not_hidden(caplog):
    class Full(DenseCRF):
        def __call__(self, image, probabilities, *, features=None):
            raise torch.OutOfMemoryError("out of memory")

    with caplog.at_level(logging.WARNING), pytest.raises(torch.OutOfMemoryError):
        sharpened(Full(), np.zeros((4, 5, 3), np.uint8), torch.full((2, 4, 5), 0.5))
    assert not caplog.records


@pytest.mark.gpu
@pytest.mark.parametrize("windows", [False, True])
def test_a_gpu_gives_the_labels_of_the_cpu(street, monkeypatch, windows):
    """The network's own probabilities differ between devices in the last bits, so not all."""
    if windows:
        monkeypatch.setattr(predictor, "WHOLE_PIXELS", 1000)
    model, scene = street
    on_cpu = Predictor(model, tile=96, crf=DenseCRF(), device="cpu")(scene).labels
    seen.clear()

    on_gpu = Predictor(model, tile=96, crf=Watched(), device="cuda")(scene).labels

    model.cpu()
    assert all(place.type == "cuda" for place in seen)
    assert (on_gpu == on_cpu).mean() > 0.995


@pytest.mark.gpu
def test_a_full_gpu_leaves_the_crf_to_the_cpu(caplog):
    class FullGPU(DenseCRF):
        def __call__(self, image, probabilities, *, features=None):
            if probabilities.is_cuda:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(image, probabilities, features=features)

    maps = torch.full((2, 4, 5), 0.5, device="cuda")
    q = sharpened(FullGPU(), np.zeros((4, 5, 3), np.uint8), maps)

    assert q.is_cuda
    assert "runs on the CPU" in caplog.text
