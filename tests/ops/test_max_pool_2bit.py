import importlib
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.ops import max_pool_2bit, max_unpool_2bit

MODULE = importlib.import_module("atrous.ops.max_pool_2bit")  # the package has the function
LAYOUTS = (torch.contiguous_format, torch.channels_last)
VGG16_AT_512 = ((64, 512), (128, 256), (256, 128), (512, 64), (512, 32))  # what its pools see


@pytest.fixture(params=["kernel", "torch"])
def form(request, monkeypatch):
    """Send maps of any size through one of the two forms."""
    monkeypatch.setattr(MODULE, "LARGE", 0 if request.param == "kernel" else sys.maxsize)
    monkeypatch.setattr(MODULE, "KERNEL", "")
    return request.param


def drawn(shape, kind, seed, dtype=torch.float32, layout=torch.contiguous_format):
    """Return a map: any values, or such as make ties, -inf and NaN meet in every window."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "values":
        x = torch.randn(shape, generator=generator)
    else:
        choices = [0.0, -0.0, 1.0, -torch.inf] + [torch.nan] * (kind == "ties and nan")
        x = torch.tensor(choices)[torch.randint(len(choices), shape, generator=generator)]
    return x.to(dtype).contiguous(memory_format=layout)


def same(one, other):
    """Bit for bit, the sign of zero included; any NaN equals any."""
    equal = (one == other) & (one.signbit() == other.signbit()) | one.isnan() & other.isnan()
    return one.dtype == other.dtype and one.shape == other.shape and bool(equal.all())


def indices_of(codes, pooled_width, size):
    """Unpack codes byte by byte into torch's indices: y W + x of the plane before pooling."""
    count, channels, rows, _ = codes.shape
    indices = torch.empty(count, channels, rows, pooled_width, dtype=torch.int64)
    for i in range(rows):
        for j in range(pooled_width):
            code = codes[:, :, i, j // 4].long() >> 2 * (j % 4) & 3
            indices[:, :, i, j] = (2 * i + code // 2) * size[1] + 2 * j + code % 2
    return indices


def pool_by_torch(x, ceil_mode):
    return functional.max_pool2d(x, 2, 2, ceil_mode=ceil_mode, return_indices=True)


shapes = st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))


@settings(deadline=None, max_examples=100)
@given(
    shape=shapes,
    kind=st.sampled_from(["values", "ties", "ties and nan"]),
    ceil_mode=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    layout=st.sampled_from(LAYOUTS),
    has_kernel=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_both_forms_give_torchs_values_indices_and_gradients(
    shape, kind, ceil_mode, dtype, layout, has_kernel, seed
):
    if not ceil_mode and min(shape[2:]) < 2:
        return
    ours = drawn(shape, kind, seed, dtype, layout).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "LARGE", 0 if has_kernel else sys.maxsize)
        patch.setattr(MODULE, "KERNEL", "")

        pooled, codes = max_pool_2bit(ours, ceil_mode=ceil_mode)
        expected, indices = pool_by_torch(theirs, ceil_mode)

        assert same(pooled, expected)
        assert codes.dtype == torch.uint8
        assert codes.shape == (*pooled.shape[:3], -(-pooled.shape[3] // 4))
        size = tuple(shape[2:])
        assert torch.equal(indices_of(codes, pooled.shape[3], size), indices)

        back = max_unpool_2bit(pooled, codes, size)
        expected_back = functional.max_unpool2d(expected, indices, 2, 2, output_size=size)
        assert same(back, expected_back)

        gradient = drawn(shape, "values", seed + 1, dtype, layout)
        (found,) = torch.autograd.grad(back, ours, gradient)
        (wanted,) = torch.autograd.grad(expected_back, theirs, gradient)
        assert same(found, wanted)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 7, 11), (1, 17, 8, 64), (1, 2, 33, 5)])
def test_both_forms_give_the_same_bytes_in_the_layout_of_the_input(form, shape, ceil_mode):
    x = drawn(shape, "ties and nan", 0)
    across = x.contiguous(memory_format=torch.channels_last)
    one, codes = max_pool_2bit(x, ceil_mode=ceil_mode)
    other, other_codes = max_pool_2bit(across, ceil_mode=ceil_mode)
    assert same(one, other)
    assert torch.equal(codes, other_codes)
    assert one.is_contiguous()
    assert other.is_contiguous(memory_format=torch.channels_last)
    assert other_codes.is_contiguous(memory_format=torch.channels_last)
    restored = max_unpool_2bit(one, other_codes, shape[2:])  # codes of the other layout
    assert restored.is_contiguous()
    assert same(restored, max_unpool_2bit(other, codes, shape[2:]))


def test_views_without_a_layout_are_taken(form):
    x = torch.randn(3, 4, 12, 14).transpose(0, 1)[:, :, 1:, ::2]
    pooled, codes = max_pool_2bit(x)
    assert same(pooled, pool_by_torch(x, True)[0])
    values = pooled.transpose(0, 1)
    back = max_unpool_2bit(values, codes.transpose(0, 1), (11, 7))
    assert same(back, max_unpool_2bit(values.contiguous(), codes.transpose(0, 1), (11, 7)))


def test_zeros_at_the_end_of_a_row_of_codes(form):
    codes = max_pool_2bit(torch.arange(100.0).reshape(1, 1, 10, 10))[1]
    assert codes.shape == (1, 1, 5, 2)
    assert codes[0, 0].tolist() == [[0b11111111, 0b00000011]] * 5


@pytest.mark.parametrize("size", [(5, 7), (6, 8), (7, 9)])
def test_what_a_foreign_code_puts_outside_is_lost(form, size):
    values = torch.ones(1, 2, 3, 4)
    codes = torch.full((1, 2, 3, 1), 0b11111111, dtype=torch.uint8)  # lower right, all of them
    for layout in LAYOUTS:
        back = max_unpool_2bit(values.contiguous(memory_format=layout), codes, size)
        expected = torch.zeros(1, 2, 8, 10)
        expected[:, :, 1:6:2, 1:8:2] = 1
        assert torch.equal(back, expected[:, :, : size[0], : size[1]])


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
def test_first_and_second_derivatives_are_right(form, height, width):
    torch.manual_seed(0)
    x = torch.randperm(2 * height * width).double().reshape(1, 2, height, width).requires_grad_()
    codes = max_pool_2bit(x)[1]
    assert torch.autograd.gradcheck(lambda x: max_pool_2bit(x)[0], x)
    assert torch.autograd.gradgradcheck(lambda x: max_pool_2bit(x)[0], x)
    values = torch.randn(1, 2, (height + 1) // 2, (width + 1) // 2, dtype=torch.float64)
    values.requires_grad_()

    def unpool(values):
        return max_unpool_2bit(values, codes, (height, width))

    assert torch.autograd.gradcheck(unpool, values)
    assert torch.autograd.gradgradcheck(unpool, values)


def test_only_the_codes_are_kept_for_the_backward_pass():
    kept = []
    x = torch.randn(1, 4, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes), lambda t: t):
        pooled, codes = max_pool_2bit(x)
        max_unpool_2bit(pooled, codes, (16, 16))
    assert kept == [codes.nbytes] * 2 == [64, 64]


def test_the_codes_of_vgg16_take_a_32nd_of_torchs_indices():
    ours = theirs = 0
    for channels, side in VGG16_AT_512:
        x = torch.zeros(1, channels, side, side)
        ours += max_pool_2bit(x)[1].nbytes
        theirs += pool_by_torch(x, True)[1].nbytes
    assert round(ours / 2**20, 1) == 1.9  # MiB
    assert round(theirs / 2**20) == 61


def test_results_do_not_depend_on_the_number_of_threads():
    x = torch.randn(1, 5, 301, 299)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            pooled, codes = max_pool_2bit(x)
            results.append((pooled, codes, max_unpool_2bit(pooled, codes, (301, 299))))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_a_small_map_from_a_cold_start_does_not_wait_for_numba(monkeypatch):
    monkeypatch.setattr(MODULE, "KERNEL", "")
    x = torch.empty(1)
    assert not MODULE._has_kernel(x, 64 * 64 * 64)
    assert MODULE._has_kernel(x, 64 * 256 * 256)
    monkeypatch.setattr(MODULE, "KERNEL", "torch")  # loaded: now it serves all
    assert MODULE._has_kernel(x, 4)
    assert not MODULE._has_kernel(x.to("meta"), 4)


class PooledAndBack(nn.Module):
    """An encoder and a decoder of one stage."""

    def forward(self, x):
        pooled, codes = max_pool_2bit(2 * x)
        return max_unpool_2bit(pooled + 1, codes, x.shape[2:])


def test_operators_keep_what_torch_asks_of_them():
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    for layout in LAYOUTS:
        x = torch.randn(2, 3, 7, 6).contiguous(memory_format=layout).requires_grad_()
        pooled, codes = max_pool_2bit(x.detach())
        pooled.requires_grad_()
        for operator, given_arguments in (
            (MODULE._pool, (x, True)),
            (MODULE._spread, (pooled, codes, 7, 6)),
            (MODULE._pick, (x, codes, 3)),
        ):
            torch.library.opcheck(operator, given_arguments, test_utils=tests)


@pytest.mark.parametrize("shape", [(1, 3, 8, 10), (2, 3, 9, 7)])
def test_it_compiles_as_one_graph_with_its_gradient(shape):
    x = torch.randn(shape, requires_grad=True)
    compiled = torch.compile(PooledAndBack(), fullgraph=True, backend="aot_eager", dynamic=True)
    found, expected = compiled(x), PooledAndBack()(x)
    assert torch.equal(found, expected)
    weight = torch.randn(shape)
    gradients = [torch.autograd.grad(y, x, weight)[0] for y in (found, expected)]
    assert torch.equal(*gradients)


def test_an_exported_program_needs_no_operator_of_ours_and_takes_other_sizes():
    sides = {2: torch.export.Dim("height", min=3), 3: torch.export.Dim("width", min=9)}
    program = torch.export.export(
        PooledAndBack(), (torch.randn(1, 3, 9, 35),), dynamic_shapes={"x": sides}
    )
    used = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in used if "atrous" in name]
    for shape in ((1, 3, 9, 35), (1, 3, 12, 10), (1, 3, 11, 16)):
        x = torch.randn(shape)
        assert torch.equal(program.module()(x), PooledAndBack()(x))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4, 4), r"cannot pool torch.float32 of shape \(3, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "cannot pool torch.uint8"),
        (torch.zeros(1, 3, 0, 4), "at least one pixel"),
    ],
)
def test_what_cannot_be_pooled_is_refused(x, message):
    with pytest.raises(InputError, match=message):
        max_pool_2bit(x)


def test_without_rounding_up_a_single_row_has_no_window():
    with pytest.raises(InputError, match="at least two rows and columns"):
        max_pool_2bit(torch.zeros(1, 1, 1, 8), ceil_mode=False)


@pytest.mark.parametrize(
    ("values", "codes", "size", "message"),
    [
        ((1, 3, 4), (1, 3, 1), (8, 8), "cannot unpool torch.float32"),
        ((1, 3, 4, 4), (1, 3, 4, 4), (8, 8), r"need uint8 of \(1, 3, 4, 1\), as max_pool_2bit"),
        ((1, 3, 4, 4), (1, 3, 4, 1), (8, 6), r"size is \(8, 6\), but nothing of that size"),
        ((1, 3, 4, 4), (1, 3, 4, 1), (10, 8), "give the size before pooling"),
    ],
)
def test_what_cannot_be_unpooled_is_refused(values, codes, size, message):
    with pytest.raises(InputError, match=message):
        max_unpool_2bit(torch.zeros(values), torch.zeros(codes, dtype=torch.uint8), size)


def test_codes_must_be_bytes():
    with pytest.raises(InputError, match=r"codes are torch\.int64"):
        max_unpool_2bit(torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 1, dtype=torch.int64), (4, 8))


@pytest.mark.gpu
def test_on_a_gpu_everything_stays_there_and_is_the_same():
    x = drawn((2, 5, 33, 47), "ties and nan", 0)
    pooled, codes = max_pool_2bit(x.cuda())
    assert pooled.is_cuda
    assert codes.is_cuda
    assert torch.equal(codes.cpu(), max_pool_2bit(x)[1])
    assert same(pooled.cpu(), max_pool_2bit(x)[0])
    back = max_unpool_2bit(pooled, codes, (33, 47))
    assert same(back.cpu(), max_unpool_2bit(pooled.cpu(), codes.cpu(), (33, 47)))
