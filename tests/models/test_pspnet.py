import math

import pytest
import torch
from torch import Tensor, nn

from atrous.encoders import create_encoder
from atrous.errors import InputError
from atrous.models import Option, build_model
from atrous.models.pspnet import PSPNet, PyramidPooling


def built(encoder: str, *, classes: int = 21, **options: Option) -> PSPNet:
    with torch.device("meta"):
        model = build_model("pspnet", encoder_name=encoder, classes=classes, options=options)
    assert isinstance(model, PSPNet)
    return model


def counts(model: PSPNet) -> tuple[int, int]:
    """Return the parameters that predict, and all that train."""
    assert model.auxiliary is not None
    auxiliary = sum(p.numel() for p in model.auxiliary.parameters())
    total = sum(p.numel() for p in model.parameters())
    return total - auxiliary, total


@pytest.mark.parametrize(
    ("encoder", "predicting", "training"),
    [
        ("resnet50s", 46_716_373, 49_081_578),
        ("resnet101s", 65_708_501, 68_073_706),
        ("resnet152s", 81_352_149, 83_717_354),
        ("resnet50", 46_592_597, 46_592_597 + 2_365_205),  # 7x7 stem
        ("resnet101", 65_584_725, 65_584_725 + 2_365_205),
    ],
)
def test_parameters_are_those_of_the_release(encoder: str, predicting: int, training: int) -> None:
    assert counts(built(encoder)) == (predicting, training)


def test_a_further_class_costs_513_and_257_parameters() -> None:
    few, more = (counts(built("resnet50s", classes=classes)) for classes in (21, 22))
    assert more[0] - few[0] == 513
    assert more[1] - few[1] == 513 + 257


def test_parts_of_the_pyramid_have_the_parameters_of_the_release() -> None:
    with torch.device("meta"):
        pyramid = PyramidPooling(2048, (1, 2, 3, 6))
    assert sum(p.numel() for p in pyramid.parameters()) == 4_198_400
    assert pyramid.channels == 4096


@pytest.mark.parametrize(("size", "cells"), [(473, 60), (713, 90)])
def test_sizes_are_those_of_the_release(size: int, cells: int) -> None:
    model = built("resnet50s")
    images = torch.empty(2, 3, size, size, device="meta")
    found: list[int] = []
    model.encoder.register_forward_hook(lambda _, __, y: found.extend(s.shape[-1] for s in y))
    scores = model.score(images)
    assert found == [size // 2 + 1, size // 4 + 1, cells, cells, cells]
    assert [s.shape for s in (scores.main, *scores.auxiliary)] == [(2, 21, cells, cells)] * 2
    assert model(images).shape == (2, 21, size, size)


@pytest.mark.parametrize(("encoder", "units"), [("resnet50s", 6), ("resnet101s", 23)])
def test_every_3x3_of_a_dilated_stage_is_dilated(encoder: str, units: int) -> None:
    stages = dict(built(encoder).encoder.named_children())
    for name, dilation, expected in (("layer3", 2, units), ("layer4", 4, 3)):
        convs = [m for m in stages[name].modules() if isinstance(m, nn.Conv2d)]
        wide = [conv for conv in convs if conv.kernel_size == (3, 3)]
        assert [conv.dilation for conv in wide] == [(dilation, dilation)] * expected
        assert [conv.padding for conv in wide] == [(dilation, dilation)] * expected
        assert {conv.stride for conv in convs} == {(1, 1)}
    unit = stages["layer2"][0]
    strides = [unit.conv1.stride, unit.conv2.stride, unit.conv3.stride]
    assert strides == [(1, 1), (2, 2), (1, 1)]  # in the 3x3, not in the 1x1 before it


def test_even_dilation_is_an_option_and_the_default_on_resnets_only() -> None:
    def first_of_last_stage(encoder: str, **options: Option) -> int:
        return int(
            dict(built(encoder, **options).encoder.named_children())["layer4"][0].conv2.dilation[0]
        )

    assert first_of_last_stage("resnet50") == 4
    assert first_of_last_stage("resnet50s") == 4
    assert first_of_last_stage("resnet101_caffe") == 4
    assert first_of_last_stage("resnet50", even_dilation=False) == 2
    assert first_of_last_stage("resnext50_32x4d") == 2
    assert first_of_last_stage("resnet50", output_stride=16) == 2
    assert built("mobilenet_v2_035", output_stride=16).encoder.output_stride == 16


def test_the_auxiliary_scores_are_there_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("test_resnet", output_stride=8)
    model = PSPNet(encoder, PyramidPooling(encoder.channels[-1], (1, 2)), 5, channels=8)
    images = torch.randn(1, 3, 33, 47)
    scores = model.train().score(images)
    assert [auxiliary.shape for auxiliary in scores.auxiliary] == [scores.main.shape]
    assert model(images).shape == (1, 5, 33, 47)
    assert model.eval().score(images).auxiliary == ()
    assert model.auxiliary_weight == 0.4


def slow_pool(x: Tensor, parts: int, kind: str) -> Tensor:
    """Average or greatest value of each part; parts overlap where the size is no multiple."""
    y = torch.empty(*x.shape[:2], parts, parts)
    edges = [
        [(i * n // parts, math.ceil((i + 1) * n / parts)) for i in range(parts)]
        for n in x.shape[-2:]
    ]
    for row, (top, bottom) in enumerate(edges[0]):
        for column, (left, right) in enumerate(edges[1]):
            part = x[..., top:bottom, left:right]
            y[..., row, column] = part.amax((2, 3)) if kind == "max" else part.mean((2, 3))
    return y


@pytest.mark.parametrize("pool", ["average", "max"])
def test_the_pyramid_equals_a_loop_over_its_parts(pool: str) -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling(3, (1, 2, 6), pool=pool, reduce=False)  # type: ignore[arg-type]
    x = torch.randn(2, 3, 9, 13)
    levels = [slow_pool(x, parts, pool) for parts in (1, 2, 6)]
    up = [nn.functional.interpolate(y, (9, 13), mode="bilinear") for y in levels]
    torch.testing.assert_close(pyramid(x), torch.cat([x, *up], 1))


def test_levels_are_reduced_before_they_are_upsampled() -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling(8, (2, 3), align_corners=True).eval()
    assert pyramid.channels == 8 + 4 + 4
    x = torch.randn(1, 8, 7, 6)
    expected = [x]
    for (_, reduce), parts in zip(pyramid.levels, (2, 3), strict=True):
        y = reduce.norm(nn.functional.conv2d(slow_pool(x, parts, "average"), reduce.conv.weight))
        expected.append(
            nn.functional.interpolate(y.relu(), (7, 6), mode="bilinear", align_corners=True)
        )
    torch.testing.assert_close(pyramid(x), torch.cat(expected, 1))


def test_a_constant_map_stays_constant_and_one_part_is_the_same_everywhere() -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling(4, (1, 2, 3, 6)).eval()
    constant = pyramid(torch.randn(1, 4, 1, 1).expand(1, 4, 10, 7))
    torch.testing.assert_close(constant, constant[..., :1, :1].expand_as(constant))
    level = pyramid(torch.randn(1, 4, 10, 7))[:, 4]
    torch.testing.assert_close(level, level[:, :1, :1].expand_as(level))


def test_every_pixel_decides_about_every_other() -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling(2, (1,), reduce=False)
    x = torch.randn(1, 2, 12, 15, requires_grad=True)
    pyramid(x)[0, 2:, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad.all()


def test_a_map_of_fewer_cells_than_parts_is_pooled_too() -> None:
    pyramid = PyramidPooling(4, (1, 2, 3, 6)).eval()
    assert pyramid(torch.randn(1, 4, 5, 4)).shape == (1, 8, 5, 4)


def test_the_rows_of_table_1_are_options() -> None:
    none = built("resnet50s", bins="none")  # "R50 baseline", dilated as all the others are
    assert none.pyramid.channels == 2048
    assert counts(none)[0] == 23_631_808 + 2048 * 512 * 9 + 2 * 512 + 512 * 21 + 21
    plain = built("resnet50s", bins="B1", pool="max", reduce=False)
    assert plain.pyramid.channels == 2 * 2048
    assert len(plain.pyramid.levels) == 1
    reduced = built("resnet50s", bins="B1")
    assert reduced.pyramid.channels == 2 * 2048
    full = built("resnet50s", reduce=False)
    assert full.head.conv.conv.in_channels == 5 * 2048


@pytest.mark.parametrize(
    ("encoder", "published"), [("resnet50", 35_322_218), ("resnet101", 54_314_346)]
)
def test_the_baseline_without_pyramid_is_torchvisions_fcn(encoder: str, published: int) -> None:
    model = built(encoder, bins="none", even_dilation=False)
    assert len(model.pyramid.levels) == 0
    assert counts(model)[1] == published  # of fcn_resnet50 and fcn_resnet101


def test_without_a_pyramid_there_is_nothing_to_pool() -> None:
    for options, said in (({"pool": "max"}, "pool='max'"), ({"reduce": False}, "reduce=False")):
        with pytest.raises(InputError, match=f"pspnet without a pyramid has no {said}; leave it"):
            built("resnet18", bins="none", **options)


def test_the_form_of_smp_pools_the_third_stage() -> None:
    options: dict[str, Option] = {"stages": 3, "output_stride": 32, "auxiliary": False}
    model = built("resnet34", head="smp", **options)
    assert model.encoder.channels == (64, 64, 128)
    assert [name for name, _ in model.encoder.named_children()][-1] == "layer2"
    assert (model.head.conv.conv.kernel_size, model.head.score.kernel_size) == ((1, 1), (3, 3))
    assert model(torch.empty(2, 3, 33, 47, device="meta")).shape == (2, 21, 33, 47)


def test_dropout_is_an_option_of_both_classifiers() -> None:
    model = built("resnet18", dropout=0.25)
    assert model.auxiliary is not None
    assert [head.dropout.p for head in (model.head, model.auxiliary)] == [0.25, 0.25]
    with pytest.raises(InputError, match=r"dropout is 1\.5; give a fraction from 0 to below 1"):
        built("resnet18", dropout=1.5)


def test_aligned_corners_keep_the_corner_scores_as_in_the_release() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("test_resnet", output_stride=8)
    pyramid = PyramidPooling(encoder.channels[-1], (1, 2), align_corners=True)
    model = PSPNet(encoder, pyramid, 5, channels=8, align_corners=True).eval()
    images = torch.randn(1, 3, 33, 49)
    with torch.no_grad():
        corners, coarse = model(images)[..., ::32, ::48], model.score(images).main
    torch.testing.assert_close(corners, coarse[..., ::4, ::6])
