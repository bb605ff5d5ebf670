import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from atrous.errors import InputError
from atrous.ops import upsample_argmax
from atrous.ops.upsample_argmax import _in_strips

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


@pytest.mark.parametrize("implementation", [upsample_argmax, _in_strips])
@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 3),
    classes=st.integers(1, 30),
    shape=st.tuples(sides, sides),
    size=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    align_corners=st.booleans(),
    smoothness=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**31),
)
def test_labels_are_those_of_resized_logits(
    implementation, count, classes, shape, size, align_corners, smoothness, seed
):
    generator = torch.Generator().manual_seed(seed)
    seeds = torch.randn(
        count, classes, *(max(1, side // smoothness) for side in shape), generator=generator
    )
    scores = functional.interpolate(seeds, shape, mode="bilinear")  # regions, as networks give

    labels = implementation(scores, size, align_corners)

    assert_labels_of_full_logits(labels, scores, size, align_corners)


@pytest.mark.parametrize("implementation", [upsample_argmax, _in_strips])
def test_of_equal_scores_the_first_class_wins(implementation):
    scores = torch.randn(1, 4, 6, 6)
    scores[:, 2] = scores[:, 1]
    scores[:, 3] = scores[:, 0]
    labels = implementation(scores, (24, 24), False)
    assert labels.max() <= 1
    assert torch.equal(
        implementation(torch.zeros(1, 5, 3, 3), (9, 9), False).unique(),
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
        alone = upsample_argmax(scores, (400, 480))
        torch.set_num_threads(3)
        shared = upsample_argmax(scores, (400, 480))
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


def test_memory_beyond_the_labels_is_far_below_the_logits():
    scores = torch.randn(1, 40, 32, 32)
    upsample_argmax(scores, (8, 8))  # loads the kernel
    tracemalloc.start()
    upsample_argmax(scores, (1024, 1024))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024  # labels are 1 MB, float32 logits would be 168 MB


@pytest.mark.gpu
@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_on_a_gpu_stay_there_and_are_the_same(align_corners):
    scores = torch.randn(2, 19, 65, 129)
    labels = upsample_argmax(scores.cuda(), (513, 1025), align_corners)
    assert labels.is_cuda
    assert_labels_of_full_logits(labels.cpu(), scores, (513, 1025), align_corners)
