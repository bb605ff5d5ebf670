import copy

import pytest
import timm
import torch
from torch import nn

from atrous.encoders import create_encoder
from atrous.encoders.timm_pyramid import PaddedPyramid
from atrous.errors import InputError
from atrous.ops import Normalization


@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(output_stride: int) -> None:
    torch.manual_seed(0)
    coarse, dense = (
        create_encoder("resnet26", output_stride=s).eval() for s in (32, output_stride)
    )
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 65, 97), 32 // output_stride
    found, expected = dense(images)[-1][..., ::step, ::step], coarse(images)[-1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert dense.strides == tuple(min(stride, output_stride) for stride in (2, 4, 8, 16, 32))


@pytest.mark.parametrize("name", ["xception41", "xception65", "xception71"])
def test_the_output_stride_changes_no_parameter_of_xception(name: str) -> None:
    with torch.device("meta"):
        strided, *dilated = (
            {k: v.shape for k, v in create_encoder(name, output_stride=s).state_dict().items()}
            for s in (32, 16, 8)
        )
        theirs = timm.create_model(name).state_dict()
    assert dilated == [strided, strided]
    projected = {k.split(".")[1] for k in theirs if ".shortcut." in k}  # as ImageNet's weights are
    assert {k.split(".")[0].removeprefix("blocks_") for k in strided if ".shortcut." in k} == (
        projected
    )


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("name", ["xception41", "xception65", "xception71"])
def test_the_dilated_map_of_xception_holds_the_strided_one_on_a_lattice(
    name: str, output_stride: int
) -> None:
    torch.manual_seed(0)
    coarse, dense = (create_encoder(name, output_stride=s).eval() for s in (32, output_stride))
    for norm in (m for m in coarse.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.1, 0.1)
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 65, 97), 32 // output_stride
    with torch.no_grad():
        found, expected = dense(images)[-1][..., ::step, ::step], coarse(images)[-1]
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_pyramid_that_begins_at_stride_4_is_completed_by_the_image() -> None:
    encoder = create_encoder("convnext_atto", in_channels=4)
    assert isinstance(encoder, PaddedPyramid)
    images = torch.randn(1, 4, 64, 96)
    stages = encoder(images)
    assert [stage.shape[1] for stage in stages] == list(encoder.channels)
    assert [64 // stage.shape[-2] for stage in stages] == list(encoder.strides)
    torch.testing.assert_close(stages[0][0, 2, 0, 0], images[0, 2, :2, :2].mean())


FLOORED = ["convnext_atto", "vgg11", "densenet121", "hrnet_w18_small", "dla34", "tresnet_m"]
FLOORED += ["mobilevitv2_050", "haloregnetz_b", "halonet26t"]  # multiples of 64, 224, 256


@pytest.mark.parametrize("name", FLOORED)
@pytest.mark.parametrize("size", [(95, 33), (20, 3), (64, 96)])
def test_maps_of_any_size_cover_the_whole_image(name: str, size: tuple[int, int]) -> None:
    """By themselves these round down (95 pixels, 2 cells of 32), or fail on such sizes."""
    with torch.device("meta"):
        encoder = create_encoder(name).eval()
        stages = encoder(torch.empty(1, 3, *size))
    assert [tuple(x.shape[-2:]) for x in stages] == [
        tuple(-(-side // stride) for side in size) for stride in encoder.strides
    ]


def test_the_last_column_and_row_of_an_image_are_seen() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("convnext_atto").eval()
    images = torch.randn(1, 3, 95, 95)
    with torch.no_grad():
        before = encoder(images)[-1]
        changed = images.clone()
        changed[..., 94:, 94:] = 9.0
        assert not torch.allclose(encoder(changed)[-1][..., -1, -1], before[..., -1, -1])
        fitting = torch.randn(1, 3, 64, 96)
        theirs = encoder.pyramid(fitting)
    for found, expected in zip(encoder(fitting)[1:], theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_network_whose_maps_leave_the_border_out_is_refused() -> None:
    with torch.device("meta"), pytest.raises(InputError, match=r"inception_v4 .*cover an image"):
        create_encoder("inception_v4")


@pytest.mark.parametrize("name", ["densenet121", "vgg11"])
def test_keys_of_a_padded_pyramid_are_timms(name: str) -> None:
    cut = {"out_indices": (1, 2, 3, 4, 5)} if name == "vgg11" else {}
    theirs = timm.create_model(name, features_only=True, **cut).state_dict()
    encoder = create_encoder(name)
    assert isinstance(encoder, PaddedPyramid)
    assert encoder.state_dict().keys() == theirs.keys()
    encoder.load_state_dict(theirs)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, theirs[key])
    beside = nn.ModuleDict({"encoder": encoder, "head": nn.Conv2d(1, 1, 1)})
    copied = copy.deepcopy(beside)
    copied.load_state_dict(beside.state_dict())
    assert all(key.startswith(("encoder.features", "head.")) for key in beside.state_dict())


@pytest.mark.parametrize("name", ["test_convnext", "vgg11"])
def test_an_exported_padded_pyramid_takes_any_size(name: str) -> None:
    encoder = create_encoder(name).eval()
    any_size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.export.export(
        encoder, (torch.randn(1, 3, 70, 90),), dynamic_shapes=(any_size,), strict=False
    ).module()
    for size in ((97, 131), (64, 96)):
        images = torch.randn(1, 3, *size)
        torch.testing.assert_close(program(images), encoder(images))


def test_a_pyramid_that_begins_at_stride_1_is_cut() -> None:
    with torch.device("meta"):
        encoder = create_encoder("vgg11")
    assert encoder.strides == (2, 4, 8, 16, 32)
    assert encoder.channels == (128, 256, 512, 512, 512)


def test_normalisation_is_that_of_timms_weights() -> None:
    with torch.device("meta"):
        assert create_encoder("resnet26").normalization == Normalization.imagenet()
        inception = create_encoder("xception41").normalization
        grey = create_encoder("xception41", in_channels=1).normalization
    assert inception == Normalization((0.5,) * 3, (0.5,) * 3)
    assert grey == Normalization.for_channels(1)


@pytest.mark.parametrize(
    ("name", "output_stride", "remedy"),
    [
        ("vit_tiny_patch16_224", 32, "one size only"),
        ("swin_tiny_patch4_window7_224", 32, "one size only"),
        ("csatv2", 32, r"yields strides \(8, 16, 32, 64\)"),
        ("pvt_v2_b0", 8, "use output_stride=32"),
    ],
)
def test_a_network_that_is_no_such_pyramid_is_refused(
    name: str, output_stride: int, remedy: str
) -> None:
    assert timm.is_model(name)
    with torch.device("meta"), pytest.raises(InputError, match=f"encoder {name}.*{remedy}"):
        create_encoder(name, output_stride=output_stride)
