"""What holds for the dense CRF whatever the filter, and how the lattice compares with the exact."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous import DenseCRF, InputError
from atrous.crf import PUBLISHED, Appearance, Smoothness, label_probabilities
from atrous.crf.batch import solve_batch

from .conftest import made_image, smooth_probabilities

both_filters = pytest.mark.parametrize("kind", ["exact", "lattice"])
NORMALIZATIONS = ["after", "symmetric", "before", "constant", "none"]


@both_filters
def test_uniform_unaries_stay_uniform(kind):
    uniform = np.full((5, 9, 7), 0.2, np.float32)

    q = DenseCRF(filter=kind)(made_image(9, 7), uniform)

    np.testing.assert_allclose(q, 0.2, atol=1e-6)


@both_filters
@pytest.mark.parametrize("mode", NORMALIZATIONS)
def test_without_kernels_the_marginals_are_the_unary(kind, mode):
    unary = smooth_probabilities(3, 6, 8)
    crf = DenseCRF(Appearance(weight=0), Smoothness(weight=0), normalization=mode, filter=kind)

    np.testing.assert_allclose(crf(made_image(6, 8), unary), unary, atol=2e-5)  # the clip
    np.testing.assert_allclose(
        dataclasses.replace(crf, appearance=None, smoothness=None)(made_image(6, 8), unary),
        unary,
        atol=2e-5,
    )


@both_filters
def test_no_iterations_return_the_unary(kind):
    unary = smooth_probabilities(3, 6, 8)

    q = DenseCRF(iterations=0, filter=kind)(made_image(6, 8), unary)

    np.testing.assert_allclose(q, unary, atol=2e-5)


@both_filters
def test_labels_may_change_their_order(kind):
    image, unary = made_image(20, 30), smooth_probabilities(7, 20, 30)
    order = np.random.default_rng(0).permutation(7)
    crf = DenseCRF(filter=kind)

    np.testing.assert_allclose(crf(image, unary[order]), crf(image, unary)[order], atol=1e-5)


@both_filters
def test_potts_equals_its_matrices(kind):
    """Others' mass paid, own mass received, and any constant added to all prices are the same."""
    image, unary = made_image(20, 30), smooth_probabilities(4, 20, 30)
    expected = DenseCRF(filter=kind)(image, unary)
    paid, received = 1 - np.eye(4), -np.eye(4)

    for matrix in (paid, received, received + 2.5, torch.from_numpy(paid), paid.tolist()):
        q = DenseCRF(compatibility=matrix, filter=kind)(image, unary)
        np.testing.assert_allclose(q, expected, atol=3e-5)


@both_filters
def test_a_matrix_prices_the_row_s_label_beside_the_column_s(kind):
    """Label 0 pays for neighbours of label 1, label 1 pays nothing: label 0 loses."""
    unary = np.full((2, 8, 8), 0.5, np.float32)
    matrix = [[0.0, 1.0], [0.0, 0.0]]

    q = DenseCRF(compatibility=matrix, filter=kind)(made_image(8, 8), unary)

    assert (q[0] < 0.1).all()


def test_prices_far_below_zero_keep_their_differences():
    """The padding of a row must not win the softmax."""
    image, unary = made_image(9, 9), smooth_probabilities(3, 9, 9)
    matrix = 300 - np.eye(3)

    q = DenseCRF(compatibility=matrix)(image, unary)

    np.testing.assert_allclose(q, DenseCRF()(image, unary), atol=2e-3)  # 300 in float32


def test_a_constant_image_leaves_a_gaussian_over_position():
    """The appearance kernel is then the smoothness kernel of its width."""
    image, unary = np.full((12, 15, 3), 90, np.uint8), smooth_probabilities(3, 12, 15)
    appearance = DenseCRF(Appearance(4, 6, 13), None, filter="exact")
    smoothness = DenseCRF(None, Smoothness(4, 6), filter="exact")

    np.testing.assert_allclose(appearance(image, unary), smoothness(image, unary), atol=1e-6)


def with_torch(crf, image, unary, features=None):
    """Return what the other form of the lattice gives, written in plain torch."""
    size = unary.shape[1:]
    features = np.zeros((0, *size), np.float32) if features is None else features
    batch = (torch.from_numpy(array)[None] for array in (image, unary, features))
    return solve_batch(crf, *batch, crf._matrix(len(unary)))[0].numpy()


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9, 21, 100, 255, 300])
def test_any_number_of_labels(count):
    image, unary = made_image(12, 17), smooth_probabilities(count, 12, 17)
    crf = DenseCRF(Appearance(5, 30, 40), Smoothness(3, 3))

    q = crf(image, unary)

    assert q.shape == unary.shape
    np.testing.assert_allclose(q.sum(0, dtype=np.float64), 1, atol=2e-6)
    np.testing.assert_allclose(q, with_torch(crf, image, unary), atol=3e-5)
    assert crf.map(image, unary).dtype == (np.uint8 if count <= 256 else np.int32)


@pytest.mark.parametrize("size", [(32, 30), (1, 400)])
@pytest.mark.parametrize("count", [100, 255])
def test_many_labels_are_near_the_exact_filter(count, size):
    image, unary = made_image(*size), smooth_probabilities(count, *size, contrast=6)
    crf = DenseCRF(Appearance(5, 30, 40), Smoothness(3, 3))

    q = crf(image, unary)

    exact = dataclasses.replace(crf, filter="exact")(image, unary)
    assert (exact.argmax(0) != unary.argmax(0)).mean() > 0.05  # there was work to do
    assert (q.argmax(0) == exact.argmax(0)).mean() > 0.97
    assert np.abs(q - exact).sum(0).mean() / 2 < 0.06  # share of the mass that lies elsewhere


@pytest.mark.parametrize("form", [{"damping": 0.3}, {"tolerance": 1e-3}, {"exclude_self": True}])
@pytest.mark.parametrize("count", [2, 4, 5, 9, 16])
def test_what_keeps_the_last_marginals_is_the_same_for_any_padding(count, form):
    """They lie without padding; labels that no pixel gives anything change nothing but that."""
    image, unary = made_image(20, 30), smooth_probabilities(count, 20, 30)
    faint = np.full((3, 20, 30), 1e-9, np.float32)
    crf = DenseCRF(Appearance(5, 30, 40), Smoothness(3, 3), **form)

    q = crf(image, np.concatenate([unary, faint]))

    np.testing.assert_allclose(q[:count], crf(image, unary), atol=1e-3)


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("mode", NORMALIZATIONS)
def test_the_compiled_lattice_is_the_one_in_torch(mode, exclude_self):
    image, unary = made_image(40, 70), smooth_probabilities(5, 40, 70)
    weight = 0.01 if mode == "none" else 1  # raw sums run into hundreds
    crf = DenseCRF(
        Appearance(4 * weight, 20, 15, feature_stds=(0.3, 2)),
        Smoothness(3 * weight, 3),
        normalization=mode,
        exclude_self=exclude_self,
    )
    features = made_image(40, 70, 9, channels=2).transpose(2, 0, 1) / np.float32(128) - 1
    for changes in (
        {},
        {"damping": 0.4},
        {"compatibility": np.random.default_rng(1).random((5, 5))},
        {"prune": 0.97, "tolerance": 0.05},
    ):
        changed = dataclasses.replace(crf, **changes)
        q = changed(image, unary, features=features)
        difference = np.abs(q - with_torch(changed, image, unary, features))
        assert difference.mean() < 1e-5
        assert (difference > 1e-4).mean() < 5e-3  # rounding may add or lose a vertex of weight 0


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 37), (41, 1), (2, 31), (33, 34)])
@pytest.mark.parametrize("mode", NORMALIZATIONS)
def test_any_size(size, mode):
    unary = smooth_probabilities(3, *size)

    q = DenseCRF(normalization=mode)(made_image(*size), unary)

    assert q.shape == unary.shape
    np.testing.assert_allclose(q.sum(0), 1, atol=2e-6)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 70),
    count=st.integers(2, 12),
    stds=st.tuples(st.floats(0.5, 200), st.floats(0.5, 200)),
    weight=st.floats(0, 50),
    mode=st.sampled_from(NORMALIZATIONS),
    options=st.fixed_dictionaries(
        {"exclude_self": st.booleans(), "damping": st.sampled_from([0.0, 0.5])}
    ),
    seed=st.integers(0, 5),
)
def test_marginals_are_probabilities_for_any_parameters(
    height, width, count, stds, weight, mode, options, seed
):
    crf = DenseCRF(
        Appearance(weight, *stds),
        Smoothness(weight, stds[0] / 10),
        normalization=mode,
        iterations=3,
        **options,
    )

    q = crf(made_image(height, width, seed), smooth_probabilities(count, height, width, seed))

    assert np.isfinite(q).all()
    assert q.min() >= 0
    np.testing.assert_allclose(q.sum(0), 1, atol=3e-6)


@pytest.mark.parametrize(
    "form", [{}, {"damping": 0.3}, {"tolerance": 1e-3}, {"smoothness": None}, {"appearance": None}]
)
def test_any_number_of_threads_computes_what_one_does(form):
    image, unary = made_image(150, 170), smooth_probabilities(5, 150, 170)
    crf = dataclasses.replace(DenseCRF(), **form)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = crf(image, unary)
        for count in (2, 3, 8):
            torch.set_num_threads(count)
            np.testing.assert_allclose(crf(image, unary), one, atol=1e-4)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("mode", NORMALIZATIONS)
def test_the_lattice_is_near_the_exact_filter(mode, exclude_self):
    image, unary = made_image(48, 50), smooth_probabilities(5, 48, 50)
    weight = 0.01 if mode == "none" else 1  # raw sums run into hundreds
    crf = DenseCRF(
        Appearance(4 * weight, 20, 30),
        Smoothness(3 * weight, 3),
        normalization=mode,
        exclude_self=exclude_self,
    )

    q = crf(image, unary)
    exact = dataclasses.replace(crf, filter="exact")(image, unary)

    assert (q.argmax(0) == exact.argmax(0)).mean() > 0.97
    assert np.abs(q - exact).mean() < 0.015


def test_damping_moves_less_and_ends_in_the_same_place():
    image, unary = made_image(20, 20), smooth_probabilities(3, 20, 20)
    once = {
        damping: DenseCRF(iterations=1, damping=damping)(image, unary) for damping in (0.0, 0.5)
    }
    np.testing.assert_allclose(once[0.5], (once[0.0] + unary) / 2, atol=2e-5)

    ends = [DenseCRF(iterations=60, damping=damping)(image, unary) for damping in (0.0, 0.3)]
    np.testing.assert_allclose(*ends, atol=1e-3)


@both_filters
def test_a_tolerance_stops_once_nothing_moves(kind):
    image, unary = made_image(20, 20), smooth_probabilities(3, 20, 20)
    after = {n: DenseCRF(iterations=n, filter=kind)(image, unary) for n in range(1, 9)}
    moved = {n: np.abs(after[n] - after[n - 1]).max() for n in range(2, 9)}
    tolerance = float(moved[4]) * 1.001
    expected = min(n for n in moved if moved[n] <= tolerance)

    q = DenseCRF(iterations=1000, tolerance=tolerance, filter=kind)(image, unary)

    np.testing.assert_allclose(q, after[expected], atol=1e-5)


@both_filters
def test_pruned_labels_come_back_as_zero_and_the_others_hardly_change(kind):
    image, unary = made_image(30, 30), smooth_probabilities(4, 30, 30)
    faint = np.full((3, 30, 30), 5e-5, np.float32)
    wide = np.concatenate([unary * (1 - faint.sum(0)), faint])

    q = DenseCRF(prune=1e-3, filter=kind)(image, wide)

    assert (q[4:] == 0).all()
    np.testing.assert_allclose(q.sum(0), 1, atol=2e-6)
    np.testing.assert_allclose(q[:4], DenseCRF(filter=kind)(image, unary), atol=1e-3)


def test_pruning_keeps_at_least_the_strongest_label():
    q = DenseCRF(prune=0.99)(made_image(4, 4), np.full((3, 4, 4), 1 / 3, np.float32))

    np.testing.assert_allclose(q, 1 / 3, atol=1e-6)


@both_filters
def test_extra_features_part_what_colours_do_not(kind):
    """Left and right differ in depth only; a smear across the middle is pulled to its side."""
    image = np.full((20, 20, 3), 100, np.uint8)
    depth = np.where(np.arange(20) < 10, 1e6, 1e6 + 5)[None, None].repeat(20, 1).astype(np.float32)
    left = np.where(np.arange(20) < 12, 0.6, 0.1)[None].repeat(20, 0)
    unary = np.stack([left, 1 - left]).astype(np.float32)
    crf = DenseCRF(Appearance(10, 30, 5, feature_stds=(0.5,)), None, filter=kind)

    labels = crf.map(image, unary, features=depth)

    assert (labels == (np.arange(20) >= 10)).all()
    plain = DenseCRF(Appearance(10, 30, 5), None, filter=kind).map(image, unary)
    assert (plain == plain[0, 0]).all()


@pytest.mark.parametrize("channels", [1, 2, 4, 7, 12])
def test_images_of_any_number_of_channels(channels):
    """12 channels leave no room for exact keys: hashed ones take their place."""
    image, unary = made_image(30, 40, channels=channels), smooth_probabilities(3, 30, 40)
    crf = DenseCRF(Appearance(5, 30, 60), Smoothness(3, 3))

    q = crf(image, unary)

    np.testing.assert_allclose(q, with_torch(crf, image, unary), atol=1e-4)
    np.testing.assert_array_equal(crf(image[..., 0], unary), crf(image[..., :1], unary))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@both_filters
def test_type_and_dtype_follow_the_probabilities(kind, dtype):
    image, unary = made_image(8, 9), smooth_probabilities(3, 8, 9)
    crf = DenseCRF(filter=kind)
    expected = crf(image, unary)

    q = crf(torch.from_numpy(image), torch.from_numpy(unary).to(dtype))

    assert q.dtype == dtype
    np.testing.assert_allclose(q.double().numpy(), expected, atol=0.02)
    if dtype != torch.bfloat16:
        array = crf(image, torch.from_numpy(unary).to(dtype).numpy())
        assert array.dtype == q.numpy().dtype
        np.testing.assert_array_equal(array, q.numpy())


def test_arrays_of_any_layout_give_the_same():
    image, unary = made_image(20, 30), smooth_probabilities(4, 20, 30)
    crf = DenseCRF()
    q = crf(image, unary)

    np.testing.assert_array_equal(crf(image[:, ::-1][:, ::-1], unary[:, ::-1][:, ::-1]), q)
    np.testing.assert_array_equal(crf(np.asfortranarray(image), np.asfortranarray(unary)), q)


def test_inputs_are_not_changed():
    image, unary = made_image(20, 30), smooth_probabilities(4, 20, 30)
    before = image.copy(), unary.copy()
    image.flags.writeable = unary.flags.writeable = False

    for kind in ("exact", "lattice"):
        DenseCRF(filter=kind)(image, unary)

    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(unary, before[1])


def test_the_map_is_the_argmax():
    image, unary = made_image(20, 30), smooth_probabilities(4, 20, 30)

    labels = DenseCRF().map(image, torch.from_numpy(unary))

    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, DenseCRF()(image, unary).argmax(0))


def test_hard_labels_with_confidence():
    labels = np.array([[0, 1, 255], [2, 2, 0]])
    image = made_image(2, 3)
    crf = DenseCRF()

    unary = label_probabilities(labels, 3, confidence=0.8)

    np.testing.assert_allclose(unary[:, 0, 1], [0.1, 0.8, 0.1], rtol=1e-6)
    np.testing.assert_allclose(unary[:, 0, 2], 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(
        crf.from_labels(image, labels, 3, confidence=0.8), crf(image, unary)
    )


def test_published_parameter_sets():
    for name, known in PUBLISHED.items():
        crf = DenseCRF.published(name)
        assert crf.normalization == known.normalization
        assert crf.appearance == known.appearance
    default, deeplab = DenseCRF(), DenseCRF.published("deeplab")
    for field in dataclasses.fields(default):
        assert getattr(default, field.name) == getattr(deeplab, field.name)
    with pytest.raises(InputError, match="unknown CRF parameter set 'deplab'; did you mean"):
        DenseCRF.published("deplab")
