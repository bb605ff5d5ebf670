import importlib
import itertools
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from atrous.errors import InputError
from atrous.ops import upsample_argmax

MODULE = importlib.import_module("atrous.ops.upsample_argmax")  # the package has the function


def with_kernel(scores, size, align_corners=False):
    return MODULE._with_kernel(scores, size, align_corners)


def with_torch(scores, size, align_corners=False):
    return torch.stack([MODULE._with_torch(image, size, align_corners) for image in scores])


both_forms = pytest.mark.parametrize("form", [with_kernel, with_torch])
sides = st.integers(1, 40)


def assert_labels_of_full_logits(labels, scores, size, align_corners):
    """Labels equal torch's, except where its two best logits differ by less than 1e-5."""
    full = functional.interpolate(
        scores.float(), size, mode="bilinear", align_corners=align_corners
    )
    wrong = labels != full.argmax(1)
    if wrong.any():
        best, second = full.topk(2, dim=1).values.unbind(1)
        assert (best - second)[wrong].max() < 1e-5
    assert labels.shape == (scores.shape[0], *size)
    assert labels.dtype == torch.uint8


def made_scores(count, classes, shape, smoothness, seed):
    """Return scores with regions, as networks give them (smoothness 4), or noise (1)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = (max(1, side // smoothness) for side in shape)
    seeds = torch.randn(count, classes, *coarse, generator=generator)
    return functional.interpolate(seeds, shape, mode="bilinear")


@settings(deadline=None, max_examples=100)
@given(
    count=st.integers(1, 3),
    classes=st.integers(1, 30),
    shape=st.tuples(sides, sides),
    size=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    align_corners=st.booleans(),
    smoothness=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**31),
)
def test_both_forms_give_the_labels_of_resized_logits_and_the_same_bits(
    count, classes, shape, size, align_corners, smoothness, seed
):
    scores = made_scores(count, classes, shape, smoothness, seed)

    labels = with_kernel(scores, size, align_corners)

    assert_labels_of_full_logits(labels, scores, size, align_corners)
    assert torch.equal(with_torch(scores, size, align_corners), labels)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("steps", [1, 4])
def test_both_forms_agree_where_many_scores_are_equal(align_corners, steps):
    scores = (made_scores(2, 6, (20, 30), 2, 0) * steps).round()
    args = (scores, (77, 95), align_corners)
    assert torch.equal(with_torch(*args), with_kernel(*args))


def test_the_torch_form_in_many_parts_gives_the_same(monkeypatch):
    scores = made_scores(1, 5, (20, 30), 1, 0)
    monkeypatch.setattr(MODULE, "ELEMENTS_AT_ONCE", 1000)
    assert torch.equal(with_torch(scores, (80, 90)), with_kernel(scores, (80, 90)))


@both_forms
def test_of_equal_scores_the_first_class_wins(form):
    scores = torch.randn(1, 4, 6, 6)
    scores[:, 2] = scores[:, 1]
    scores[:, 3] = scores[:, 0]
    labels = form(scores, (24, 24), False)
    assert labels.max() <= 1
    assert torch.equal(
        form(torch.zeros(1, 5, 3, 3), (9, 9), False).unique(),
        torch.zeros(1, dtype=torch.uint8),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_dtypes_are_computed_in_float32(dtype):
    scores = torch.randn(2, 5, 9, 11).to(dtype)
    assert torch.equal(upsample_argmax(scores, (40, 41)), upsample_argmax(scores.float(), (40, 41)))


def test_scores_in_any_memory_layout_and_with_gradient_are_taken():
    scores = torch.randn(2, 5, 9, 11, requires_grad=True)
    transposed = scores.detach().to(memory_format=torch.channels_last)
    assert torch.equal(upsample_argmax(scores, (36, 44)), upsample_argmax(transposed, (36, 44)))


def test_labels_do_not_depend_on_the_number_of_threads():
    scores = torch.randn(2, 7, 50, 60)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = with_kernel(scores, (400, 480))
        torch.set_num_threads(3)
        shared = with_kernel(scores, (400, 480))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, shared)
    assert_labels_of_full_logits(alone, scores, (400, 480), False)


def test_255_classes_fit_and_256_do_not():
    scores = torch.zeros(1, 255, 2, 2)
    scores[:, 254] = 1
    assert (upsample_argmax(scores, (4, 4)) == 254).all()
    with pytest.raises(InputError, match="1 to 255 classes"):
        upsample_argmax(torch.zeros(1, 256, 2, 2), (4, 4))


@pytest.mark.parametrize(("shape", "size"), [((3, 4, 4), (8, 8)), ((1, 3, 4, 4), (0, 8))])
def test_impossible_shapes_are_refused(shape, size):
    with pytest.raises(InputError, match="cannot become labels"):
        upsample_argmax(torch.zeros(shape), size)


def test_classes_that_are_minus_infinity_everywhere_never_win():
    scores = torch.randn(1, 4, 8, 8)
    scores[:, 2] = -torch.inf
    labels = upsample_argmax(scores, (31, 33))
    rest = upsample_argmax(scores[:, [0, 1, 3]], (31, 33))
    assert torch.equal(labels, torch.tensor([0, 1, 3], dtype=torch.uint8)[rest.long()])


def test_nan_wins_nowhere():
    scores = torch.randn(1, 4, 8, 8)
    scores[:, 1] = torch.nan
    assert 1 not in upsample_argmax(scores, (31, 33))


def test_memory_beyond_the_labels_is_far_below_the_logits():
    scores = torch.randn(1, 40, 32, 32)
    with_kernel(scores, (8, 8))  # loads it
    tracemalloc.start()
    with_kernel(scores, (1024, 1024))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024  # labels are 1 MB, float32 logits would be 168 MB


def test_a_photo_from_a_cold_start_does_not_wait_for_numba(monkeypatch):
    monkeypatch.setattr(MODULE, "_calls", itertools.count())
    monkeypatch.setattr(MODULE, "_with_kernel", lambda *args: "compiled")
    photo = torch.randn(1, 3, 8, 8)
    answers = [upsample_argmax(photo, (32, 32)) for _ in range(MODULE.CALLS_BEFORE_COMPILING + 1)]
    assert [isinstance(answer, str) for answer in answers] == [False] * (len(answers) - 1) + [True]
    monkeypatch.setattr(MODULE, "_calls", itertools.count())
    assert isinstance(upsample_argmax(photo, (2049, 2048)), str)  # a scene: it pays at once


@pytest.mark.gpu
@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_on_a_gpu_stay_there_and_are_the_same(align_corners):
    scores = torch.randn(2, 19, 65, 129)
    labels = upsample_argmax(scores.cuda(), (513, 1025), align_corners)
    assert labels.is_cuda
    assert_labels_of_full_logits(labels.cpu(), scores, (513, 1025), align_corners)
