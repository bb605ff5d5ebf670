import pytest
import torch
from torch import Tensor
from torch.nn import functional

from atrous.errors import InputError
from atrous.ops.conv_depthwise import conv_depthwise, conv_depthwise_pays

Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
PLAIN: Geometry = (1, 1), (1, 1), (1, 1)

SHAPES = [  # (N, C, H, W), (stride, padding, dilation)
    ((2, 16, 7, 9), PLAIN),
    ((4, 96, 12, 10), ((2, 2), (1, 1), (1, 1))),
    ((1, 24, 11, 13), ((2, 2), (1, 1), (1, 1))),
    ((2, 5, 9, 8), ((2, 2), (0, 0), (1, 1))),  # the last row and column meet no tap
    ((2, 40, 10, 7), ((1, 1), (2, 2), (2, 2))),
    ((1, 3, 5, 4), ((1, 1), (6, 6), (6, 6))),  # only the middle tap meets anything
    ((2, 17, 9, 14), ((2, 1), (0, 3), (1, 2))),
    ((3, 8, 8, 8), ((3, 2), (4, 0), (2, 3))),
    ((1, 16, 6, 5), ((1, 1), (5, 4), (1, 1))),  # whole lines of padding
    ((1, 2, 1, 1), ((2, 2), (1, 1), (1, 1))),
    ((20, 33, 3, 2), PLAIN),
]


def with_gradients(
    x: Tensor, weight: Tensor, upstream: Tensor, geometry: Geometry, *, plain: bool
) -> list[Tensor]:
    x, weight = (t.detach().clone().requires_grad_() for t in (x, weight))
    if plain:
        y = functional.conv2d(x, weight.to(x.dtype), None, *geometry, groups=x.shape[1])
    else:
        y = conv_depthwise(x, weight, *geometry)
    y.backward(upstream.to(y.dtype))
    assert x.grad is not None
    assert weight.grad is not None
    return [y.detach(), x.grad, weight.grad]


def made(shape: tuple[int, ...], geometry: Geometry) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    x, weight = torch.randn(shape), torch.randn(shape[1], 1, 3, 3)
    y = functional.conv2d(x, weight, None, *geometry, groups=shape[1])
    return x.bfloat16().float(), weight.bfloat16().float(), torch.randn_like(y).bfloat16().float()


@pytest.mark.parametrize(("shape", "geometry"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_the_convolution_in_float64_and_its_gradients(
    shape: tuple[int, ...],
    geometry: Geometry,
    dtype: torch.dtype,
    layout: torch.memory_format,
    threads: int,
) -> None:
    given = [t.contiguous(memory_format=layout) for t in made(shape, geometry)]
    x, weight, upstream = given
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        junk = [torch.full((1 << 18,), 1e30) for _ in range(4)]  # for memory that nobody writes
        del junk
        found = with_gradients(x.to(dtype), weight, upstream, geometry, plain=False)
    finally:
        torch.set_num_threads(before)
    expected = with_gradients(*(t.double() for t in given), geometry, plain=True)
    assert [t.dtype for t in found] == [dtype, dtype, torch.float32]
    for one, other, rounding in zip(found, expected, (dtype, dtype, torch.float32), strict=True):
        error = (one.double() - other).abs()
        allowed = 4e-3 if rounding == torch.bfloat16 else 1e-6  # of each number, and of their sum
        assert (error <= allowed * other.abs() + 1e-5).all()


def test_no_bit_depends_on_the_threads() -> None:
    x, weight, upstream = made((3, 40, 20, 20), PLAIN)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(with_gradients(x, weight, upstream, PLAIN, plain=False))
    torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


def test_it_pays_where_torch_is_wrong_or_slow() -> None:
    x, weight = torch.zeros(1, 4, 8, 8), torch.zeros(4, 1, 3, 3)
    half = x.bfloat16()
    assert conv_depthwise_pays(half, weight, (2, 2), (1, 1), 4)
    assert conv_depthwise_pays(half, weight, (1, 1), (2, 2), 4)
    assert conv_depthwise_pays(x, weight, (1, 1), (2, 2), 4)
    assert not conv_depthwise_pays(x, weight, (2, 2), (1, 1), 4)
    assert not conv_depthwise_pays(half, weight, (1, 1), (1, 1), 4)
    assert not conv_depthwise_pays(x.double(), weight, (1, 1), (2, 2), 4)
    assert not conv_depthwise_pays(half, torch.zeros(4, 1, 5, 5), (2, 2), (1, 1), 4)
    assert not conv_depthwise_pays(half, torch.zeros(8, 1, 3, 3), (2, 2), (1, 1), 4)
    assert not conv_depthwise_pays(half, torch.zeros(4, 2, 3, 3), (2, 2), (1, 1), 2)
    assert not conv_depthwise_pays(half.to("meta"), weight, (2, 2), (1, 1), 4)


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.zeros(1, 4, 8, 8, dtype=torch.float64), torch.zeros(4, 1, 3, 3)),
        (torch.zeros(4, 8, 8), torch.zeros(4, 1, 3, 3)),
        (torch.zeros(1, 4, 8, 8), torch.zeros(8, 1, 3, 3)),
        (torch.zeros(1, 4, 8, 8), torch.zeros(4, 1, 5, 5)),
        (torch.zeros(1, 4, 8, 8, device="meta"), torch.zeros(4, 1, 3, 3)),
    ],
)
def test_what_it_does_not_take_is_refused_with_what_it_does(x: Tensor, weight: Tensor) -> None:
    with pytest.raises(InputError, match=r"weights \(C, 1, 3, 3\), or take torch's conv2d"):
        conv_depthwise(x, weight)
