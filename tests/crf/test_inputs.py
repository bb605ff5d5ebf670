"""Every wrong input gets one line that says what came and what to do."""

import numpy as np
import pytest
import torch

from atrous import DenseCRF, InputError
from atrous.crf import Appearance, Smoothness, label_probabilities

IMAGE = np.zeros((4, 5, 3), np.uint8)
UNIFORM = np.full((2, 4, 5), 0.5, np.float32)


def altered(value):
    unary = UNIFORM.copy()
    unary[0, 2, 3] = value
    return unary


@pytest.mark.parametrize("kind", ["exact", "lattice"])
@pytest.mark.parametrize(
    ("image", "unary", "message"),
    [
        (IMAGE, altered(np.nan), "NaN or infinity"),
        (IMAGE, altered(np.inf), "NaN or infinity"),
        (IMAGE, altered(-np.inf), "NaN or infinity"),
        (IMAGE, np.stack([altered(-0.1)[0], altered(1.1)[0]]), "give a softmax, not logits"),
        (IMAGE, UNIFORM * 3, "sum to 3;"),
        (IMAGE, UNIFORM * 0, "sum to 0;"),
        (IMAGE, altered(0.6), "sum to 1.1;"),
        (IMAGE, UNIFORM[:1] * 2, "1 label"),
        (IMAGE, UNIFORM[:, :3], r"need.*\(K, 4, 5\)"),
        (IMAGE, UNIFORM[0], r"need.*\(K, 4, 5\)"),
        (IMAGE, np.ones((2, 4, 5), np.int64), "are int64; give floats"),
        (IMAGE.astype(np.float32), UNIFORM, "is float32, but colours count in 8-bit steps"),
        (IMAGE[None], UNIFORM, "the image has shape"),
        (IMAGE[:0], UNIFORM[:, :0], "with pixels"),
    ],
)
def test_wrong_inputs_are_refused(kind, image, unary, message):
    with pytest.raises(InputError, match=message):
        DenseCRF(filter=kind)(image, unary)
    if unary.dtype != np.int64:
        with pytest.raises(InputError, match=message):
            DenseCRF(filter=kind)(torch.from_numpy(image), torch.from_numpy(unary))


@pytest.mark.parametrize("kind", ["exact", "lattice"])
def test_what_is_wrong_in_a_pruned_label_is_found_as_well(kind):
    for value, message in ((np.nan, "NaN"), (-3.0, "not logits")):
        unary = np.concatenate([UNIFORM, np.zeros((1, 4, 5), np.float32)])
        unary[2, 1, 1] = value
        with pytest.raises(InputError, match=message):
            DenseCRF(prune=0.01, filter=kind)(IMAGE, unary)


@pytest.mark.parametrize("kind", ["exact", "lattice"])
def test_maps_of_zeros_have_no_label_to_keep(kind):
    with pytest.raises(InputError, match="sum to 0;"):
        DenseCRF(prune=0.5, filter=kind)(IMAGE, UNIFORM * 0)


@pytest.mark.parametrize("kind", ["exact", "lattice"])
def test_zero_probabilities_become_small_ones(kind):
    sure = np.stack([np.ones((4, 5)), np.zeros((4, 5))]).astype(np.float32)

    q = DenseCRF(iterations=0, filter=kind)(IMAGE, sure)

    np.testing.assert_allclose(q[1], 1e-5, rtol=1e-3)
    assert np.isfinite(DenseCRF(filter=kind)(IMAGE, sure)).all()


def test_sums_a_little_off_are_normalised():
    q = DenseCRF(iterations=0)(IMAGE, UNIFORM * 1.008)

    np.testing.assert_allclose(q, 0.5, atol=1e-6)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_deviations_are_above_zero(value):
    for make in (
        lambda: Appearance(xy_std=value),
        lambda: Appearance(rgb_std=value),
        lambda: Appearance(feature_stds=(1.0, value)),
        lambda: Smoothness(xy_std=value),
    ):
        with pytest.raises(InputError, match="finite number above 0"):
            make()


@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
def test_weights_are_not_below_zero(value):
    with pytest.raises(InputError, match="appearance: weight is"):
        Appearance(weight=value)
    with pytest.raises(InputError, match="smoothness: weight is"):
        Smoothness(weight=value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalization": "befor"}, "unknown normalization 'befor'; did you mean before"),
        ({"filter": "latice"}, "unknown filter 'latice'"),
        ({"iterations": -1}, "iterations is -1"),
        ({"damping": 1.0}, "damping is 1.0"),
        ({"damping": np.nan}, "damping is nan"),
        ({"tolerance": -1e-3}, "tolerance is"),
        ({"prune": 1.0}, "prune is 1.0"),
    ],
)
def test_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        DenseCRF(**options)


def test_compatibilities_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="unknown compatibility 'pots'"):
        DenseCRF(compatibility="pots")(IMAGE, UNIFORM)
    for matrix in (np.eye(3), [[1, np.nan], [0, 1]], [1.0, 2.0]):
        with pytest.raises(InputError, match="2 labels need"):
            DenseCRF(compatibility=matrix)(IMAGE, UNIFORM)


def test_features_fit_their_deviations():
    crf = DenseCRF(Appearance(feature_stds=(1.0,)))
    maps = np.zeros((1, 4, 5), np.float32)

    for wrong in (None, maps[:, :3], np.zeros((2, 4, 5))):
        with pytest.raises(InputError, match="one map and one std per feature"):
            crf(IMAGE, UNIFORM, features=wrong)
    with pytest.raises(InputError, match="fill the holes"):
        crf(IMAGE, UNIFORM, features=maps + np.nan)
    with pytest.raises(InputError, match="one map and one std per feature"):
        DenseCRF()(IMAGE, UNIFORM, features=maps)


def test_deviations_too_small_for_float32_are_refused():
    with pytest.raises(InputError, match="give larger standard deviations"):
        DenseCRF(Appearance(rgb_std=1e-5))(IMAGE, UNIFORM)


def test_the_exact_filter_refuses_large_images():
    with pytest.raises(InputError, match='use filter="lattice"'):
        DenseCRF(filter="exact")(
            np.zeros((101, 100, 3), np.uint8), np.full((2, 101, 100), 0.5, np.float32)
        )


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.array([[0, 3]]), {}, "labels contain 3, but the classes are 0 to 2"),
        (np.array([[0, -1]]), {}, "labels contain -1"),
        (np.array([[0.0]]), {}, "give integers"),
        (np.array([0, 1]), {}, "give integers"),
        (np.array([[0, 1]]), {"confidence": 0.2}, "confidence is 0.2"),
        (np.array([[0, 1]]), {"confidence": 1.0}, "confidence is 1.0"),
    ],
)
def test_labels_that_make_no_probabilities_are_refused(labels, options, message):
    with pytest.raises(InputError, match=message):
        label_probabilities(labels, 3, **options)
