import importlib
import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from atrous.errors import InputError
from atrous.ops import upsample_cross_entropy
from atrous.ops.upsample_cross_entropy_bands import sum_in_bands
from atrous.ops.upsample_cross_entropy_pixels import sum_in_pixels
from atrous.ops.upsample_cross_entropy_torch import sum_in_lines

MODULE = importlib.import_module(
    "atrous.ops.upsample_cross_entropy"
)  # the package has the function
FORMS = {"bands": sum_in_bands, "lines": sum_in_lines, "pixels": sum_in_pixels}
VOID = 255


@pytest.fixture(params=list(FORMS))
def form(request, monkeypatch):
    """Send everything through one of the forms."""
    monkeypatch.setattr(MODULE, "_form_for", lambda scores, labels: FORMS[request.param])
    return request.param


@pytest.fixture
def draw(form):
    """Return what draws scores and labels: at full size for the form that does not resize."""
    if form != "pixels":
        return drawn
    return lambda count, classes, shape, size, *others: drawn(count, classes, size, size, *others)


def by_torch(scores, labels, weight=None, **options):
    """Return torch's own loss and gradient, in float64."""
    align_corners = options.pop("align_corners", False)
    options = {"ignore_index": VOID, "reduction": "mean"} | options
    scores = scores.detach().double().requires_grad_()
    full = functional.interpolate(
        scores, labels.shape[1:], mode="bilinear", align_corners=align_corners
    )
    weight = None if weight is None else weight.double()
    loss = functional.cross_entropy(full, labels.long(), weight, **options)
    (gradient,) = torch.autograd.grad(loss, scores)
    return loss.detach(), gradient


def by_us(scores, labels, weight=None, **options):
    scores = scores.detach().requires_grad_()
    loss = upsample_cross_entropy(scores, labels, weight, **options)
    (gradient,) = torch.autograd.grad(loss, scores)
    return loss.detach(), gradient


def assert_same(ours, torchs, tolerance=1e-5, pixels=1, per_cell=4.0):
    """Values to `tolerance` of themselves, gradients of the largest gradient.

    Beside that the rounding of a float32 near 1 for each of `pixels` that are summed. In a cell's
    gradient the roundings of the `per_cell` pixels that it reaches add up, at random, to the root
    of their number.
    """
    (loss, gradient), (expected, slope) = ours, torchs
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance, abs=tolerance / 10 * pixels)
    assert gradient.shape == slope.shape
    rounding = torch.finfo(torch.float32).eps * pixels * per_cell**0.5
    assert (gradient.double() - slope).abs().max() <= tolerance * slope.abs().max() + rounding


def drawn(count, classes, shape, size, seed=0, scale=3.0):
    """Return scores and labels in regions of any size, a fifth of them void."""
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(count, classes, *shape, generator=generator)
    cells = [1 + seed % side for side in size]
    labels = torch.randint(0, classes, (count, 1, *cells), generator=generator).float()
    labels = functional.interpolate(labels, size)[:, 0].to(torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = VOID
    labels[0, 0, 0] = 0  # one at least
    return scores, labels


@settings(deadline=None, max_examples=60)
@given(
    form=st.sampled_from(list(FORMS)),
    count=st.integers(1, 3),
    classes=st.integers(1, 30),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 90)),
    align_corners=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    weighed=st.booleans(),
    reduction=st.sampled_from(["mean", "sum"]),
    seed=st.integers(0, 2**31),
)
def test_loss_and_gradient_are_those_of_resized_scores(  # noqa: PLR0913  # what hypothesis draws
    form, count, classes, shape, size, align_corners, smoothing, weighed, reduction, seed
):
    shape = size if form == "pixels" else shape
    scores, labels = drawn(count, classes, shape, size, seed)
    weight = 0.2 + torch.rand(classes) if weighed else None
    options = {
        "align_corners": align_corners, "label_smoothing": smoothing, "reduction": reduction,
    }  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_form_for", lambda *_: FORMS[form])
        ours = by_us(scores, labels, weight, **options)

    pixels = labels.numel() if reduction == "sum" else 1
    per_cell = max(4.0, size[0] * size[1] / (shape[0] * shape[1]))
    expected = by_torch(scores, labels, weight, **options)
    assert_same(ours, expected, pixels=pixels, per_cell=per_cell)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("classes", "shape", "size"),
    [
        (150, (16, 16), (128, 128)),
        (21, (17, 17), (129, 129)),
        (11, (10, 12), (40, 48)),
        (2, (3, 2), (96, 64)),
        (300, (5, 5), (33, 40)),
        (5, (1, 9), (1, 70)),
        (5, (9, 1), (70, 1)),
        (5, (33, 20), (7, 6)),
        (7, (12, 10), (12, 10)),
        (7, (12, 10), (25, 10)),
    ],
)
def test_strides_that_networks_have_and_some_that_none_has(
    draw, classes, shape, size, align_corners
):
    scores, labels = draw(2, classes, shape, size, 5)
    ours = by_us(scores, labels, align_corners=align_corners)
    assert_same(ours, by_torch(scores, labels, align_corners=align_corners))


@pytest.mark.parametrize("scale", [20.0, 100.0, 3000.0])
def test_scores_that_are_far_apart(draw, scale):
    scores, labels = draw(1, 19, (6, 7), (48, 56), 3, scale)
    assert_same(by_us(scores, labels), by_torch(scores, labels))


def test_a_score_that_all_classes_share_does_not_matter(draw):
    scores, labels = draw(1, 5, (6, 7), (48, 56))
    moved = scores + 1000 * torch.randn(1, 1, *scores.shape[2:])
    assert_same(by_us(moved, labels), by_torch(moved, labels))


def test_a_single_class_costs_nothing(draw):
    loss, gradient = by_us(*draw(1, 1, (4, 4), (16, 16)))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_computed_in_float32_and_get_gradients_of_their_kind(draw, dtype):
    scores, labels = draw(2, 9, (8, 8), (64, 64))
    halves = scores.to(dtype)
    loss, gradient = by_us(halves, labels)
    expected, slope = by_us(halves.float(), labels)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    assert torch.equal(loss, expected)
    assert torch.equal(gradient, slope.to(dtype))


def test_float64_stays_float64_to_its_last_digits():
    scores, labels = drawn(2, 9, (8, 8), (60, 61))
    loss, gradient = by_us(scores.double(), labels)
    assert loss.dtype == gradient.dtype == torch.float64
    assert_same((loss, gradient), by_torch(scores, labels), 1e-12)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_are_those_of_finite_differences(align_corners, reduction):
    scores, labels = drawn(2, 4, (3, 4), (10, 9))
    weight = torch.tensor([1.0, 0.5, 2.0, 3.0])

    def loss_of(scores):
        return upsample_cross_entropy(
            scores, labels, weight, VOID, 0.1, align_corners, reduction=reduction
        )

    assert torch.autograd.gradcheck(loss_of, scores.double().requires_grad_())


def test_any_memory_layout_gives_the_same_bits(form, draw):
    scores, labels = draw(2, 21, (9, 9), (65, 65))
    plain = by_us(scores, labels)
    height, width = scores.shape[2:]
    strided = torch.randn(2, 42, height, 2 * width)
    strided[:, ::2, :, 1::2] = scores
    last = scores.contiguous(memory_format=torch.channels_last)
    for other in (last, strided[:, ::2, :, 1::2], scores.transpose(2, 3).contiguous().mT):
        loss, gradient = by_us(other, labels)
        if form != "lines":
            assert torch.equal(loss, plain[0])
            assert torch.equal(gradient, plain[1])
        assert_same((loss, gradient), [part.double() for part in plain])
    assert by_us(last, labels)[1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
def test_labels_of_any_integer_kind_give_the_same_bits(draw, dtype):
    scores, labels = draw(2, 21, (9, 9), (65, 65))
    expected = by_us(scores, labels)
    for other in (labels.to(dtype), labels.to(dtype).mT.contiguous().mT):
        assert all(map(torch.equal, by_us(scores, other), expected))


@pytest.mark.parametrize("ignore_index", [-100, 0, 3, 1000])
def test_void_may_be_any_label(draw, ignore_index):
    scores, labels = draw(2, 5, (6, 6), (40, 40))
    labels = labels.long()
    labels[labels == VOID] = ignore_index
    if (labels != ignore_index).any():
        ours = by_us(scores, labels, ignore_index=ignore_index)
        assert_same(ours, by_torch(scores, labels, ignore_index=ignore_index))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_without_labels_costs_nothing(form, draw, dtype, reduction):
    if dtype == torch.float64 and form != "lines":
        pytest.skip("float64 has no kernel")
    scores, labels = draw(2, 5, (6, 6), (48, 48))
    labels[:] = VOID
    loss, gradient = by_us(scores.to(dtype), labels, label_smoothing=0.1, reduction=reduction)
    assert loss.item() == 0
    assert not gradient.any()


def test_classes_without_weight_cost_nothing_and_do_not_count(draw):
    scores, labels = draw(2, 3, (6, 6), (48, 48), 20)
    weight = torch.tensor([0.0, 1.0, 2.0])
    assert_same(by_us(scores, labels, weight), by_torch(scores, labels, weight))
    nothing = by_us(scores, labels.where(labels == VOID, 0), weight)
    assert nothing[0] == 0
    assert not nothing[1].any()


def test_void_pixels_change_neither_loss_nor_gradient(draw):
    scores, labels = draw(1, 4, (8, 8), (64, 64))
    labels[..., 32:] = VOID
    moved = scores.clone()
    far = scores.shape[-1] * 5 // 8
    moved[..., far:] += torch.randn(moved[..., far:].shape)
    (loss, gradient), (other, slope) = by_us(scores, labels), by_us(moved, labels)
    assert torch.equal(loss, other)
    assert torch.equal(gradient[..., :far], slope[..., :far])
    assert not gradient[..., far:].any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_make_the_loss_nan(draw, value):
    scores, labels = draw(2, 5, (6, 6), (48, 48))
    scores[1, 2, 3, 3] = value
    labels[1, 3, 3] = 0
    loss, gradient = by_us(scores, labels)
    assert loss.isnan()
    assert gradient[1, :, 3, 3].isnan().any()
    assert gradient[0].isfinite().all()


def test_the_gradient_is_multiplied_by_what_arrives(draw):
    scores, labels = draw(2, 5, (6, 6), (48, 48))
    scores.requires_grad_()
    loss = upsample_cross_entropy(scores, labels)
    (once,) = torch.autograd.grad(loss, scores, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, scores)
    torch.testing.assert_close(thrice, 3 * once)


def test_second_derivatives_are_refused(draw):
    scores, labels = draw(1, 3, (4, 4), (16, 16))
    scores.requires_grad_()
    for loss, message in (
        (upsample_cross_entropy(scores, labels), "does not require grad"),
        (upsample_cross_entropy(scores, labels) ** 2, "once_differentiable"),
    ):
        (gradient,) = torch.autograd.grad(loss, scores, create_graph=True)
        with pytest.raises(RuntimeError, match=message):
            gradient.sum().backward()


def test_without_gradients_the_loss_is_the_same(draw):
    scores, labels = draw(2, 21, (9, 9), (65, 65))
    expected, _ = by_us(scores, labels)
    assert torch.equal(upsample_cross_entropy(scores, labels), expected)
    with torch.no_grad():
        assert torch.equal(upsample_cross_entropy(scores.requires_grad_(), labels), expected)


def test_autocast_changes_nothing(draw):
    scores, labels = draw(2, 9, (8, 8), (64, 64))
    expected = by_us(scores, labels)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(map(torch.equal, by_us(scores, labels), expected))


@pytest.mark.parametrize("shape", [(17, 17), (129, 129)])
def test_no_bit_depends_on_the_run_or_the_number_of_threads(shape):
    scores, labels = drawn(3, 21, shape, (129, 129))
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 2, 3, 7, 60):
            torch.set_num_threads(number)
            results.append(by_us(scores, labels, label_smoothing=0.1))
    finally:
        torch.set_num_threads(threads)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_many_lines_in_parts_give_the_same(monkeypatch):
    scores, labels = drawn(2, 5, (6, 6), (48, 48))
    expected = by_torch(scores, labels)
    monkeypatch.setattr(sys.modules[sum_in_lines.__module__], "ELEMENTS_AT_ONCE", 1)
    assert_same(by_us(scores, labels), expected)
    same_size = torch.randn(2, 5, 48, 48)
    assert_same(by_us(same_size, labels), by_torch(same_size, labels))


@pytest.mark.gpu
@pytest.mark.parametrize("align_corners", [False, True])
def test_on_a_gpu_everything_stays_there_and_is_the_same(align_corners):
    scores, labels = drawn(2, 21, (33, 65), (257, 513))
    options = {"align_corners": align_corners, "label_smoothing": 0.1}
    loss, gradient = by_us(scores.cuda(), labels.cuda(), **options)
    again = by_us(scores.cuda(), labels.cuda(), **options)
    assert loss.is_cuda
    assert gradient.is_cuda
    assert torch.equal(gradient, again[1])
    assert_same((loss.cpu(), gradient.cpu()), by_torch(scores, labels, **options))


@pytest.mark.parametrize("label", [7, 200, -1])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_a_label_that_no_class_has_is_named(draw, label, dtype):
    if label < 0 and dtype == torch.uint8:
        pytest.skip("bytes are not negative")
    scores, labels = draw(2, 7, (6, 6), (48, 48))
    labels = labels.to(dtype)
    labels[1, 40, 3] = label
    with pytest.raises(
        InputError, match=rf"a label is {label}, but the scores have 7 classes; .* 0 to 6, or 255"
    ):
        upsample_cross_entropy(scores, labels)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(3, 8, 8, dtype=torch.uint8)),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)),
        (torch.zeros(2, 3, 4, 4), torch.zeros(1, 8, 8, dtype=torch.uint8)),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 0, 8, dtype=torch.uint8)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.int64), torch.zeros(2, 8, 8, dtype=torch.uint8)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(scores, labels):
    with pytest.raises(InputError, match=r"do not go together; give floating \(N, K, h, w\) and"):
        upsample_cross_entropy(scores, labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_labels_that_are_no_integers_are_refused(dtype):
    with pytest.raises(InputError, match=f"labels are {dtype}; give integers"):
        upsample_cross_entropy(torch.zeros(1, 3, 4, 4), torch.zeros(1, 8, 8, dtype=dtype))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": torch.ones(4)}, r"weight has shape \(4,\); give one number for each of the 3"),
        ({"label_smoothing": 1.5}, r"label_smoothing is 1.5; give a fraction in \[0, 1\]"),
        ({"label_smoothing": math.nan}, "label_smoothing is nan"),
        ({"reduction": "none"}, "unknown reduction 'none'; known: mean, sum"),
    ],
)
def test_impossible_options_are_refused(options, message):
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match=message):
        upsample_cross_entropy(torch.zeros(1, 3, 4, 4), labels, **options)
