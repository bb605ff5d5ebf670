import numpy as np
import pytest
import torch

from atrous.errors import InputError
from atrous.evaluation import ConfusionMatrix, confusion_matrix


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (3, 2, 20, 30)).astype(np.uint8)
    predictions = np.where(rng.random(labels.shape) < 0.3, 0, labels).astype(np.uint8)
    labels[:, :, :3] = 255
    return list(zip(predictions, labels, strict=True))


def test_batches_add_up_to_one_count_of_everything(batches):
    metric = ConfusionMatrix(4)
    for predictions, labels in batches:
        metric.update(predictions, labels)
    everything = [np.concatenate(part) for part in zip(*batches, strict=True)]
    assert metric.matrix.dtype == torch.int64
    np.testing.assert_array_equal(metric.compute(), confusion_matrix(*everything, 4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_tensors_and_arrays_count_alike(batches, dtype):
    predictions, labels = batches[0]
    metric = ConfusionMatrix(4)
    metric.update(torch.from_numpy(predictions).to(dtype), torch.from_numpy(labels).to(dtype))
    np.testing.assert_array_equal(metric.counts(), confusion_matrix(predictions, labels, 4))


def test_the_metric_gives_the_figures_of_the_worked_example():
    metric = ConfusionMatrix(2)
    labels = np.repeat([0, 0, 1, 1], [50, 10, 5, 35])
    metric.update(np.repeat([0, 1, 0, 1], [50, 10, 5, 35]), labels)
    assert metric.matrix.tolist() == [[50, 10], [5, 35]]
    assert metric.mean_iou() == pytest.approx(0.73462, abs=5e-6)
    assert metric.iou() == pytest.approx([50 / 65, 0.7])
    assert metric.pixel_accuracy() == 0.85
    assert metric.mean_accuracy() == pytest.approx(0.85417, abs=5e-6)
    assert metric.frequency_weighted_iou() == pytest.approx(0.74154, abs=5e-6)


def test_reset_forgets_everything(batches):
    metric = ConfusionMatrix(4)
    metric.update(*batches[0])
    metric.reset()
    assert metric.matrix.sum() == 0
    assert np.isnan(metric.mean_iou())
    assert metric.iou() == [None] * 4


@pytest.mark.parametrize("num_classes", [1, 256])
def test_an_impossible_number_of_classes_is_refused(num_classes):
    with pytest.raises(InputError, match=f"num_classes is {num_classes}"):
        ConfusionMatrix(num_classes)
