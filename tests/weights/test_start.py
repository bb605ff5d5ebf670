from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.models import SegmentationModel
from atrous.weights import check_start, create_model, save, start_from

OPTIONS = {"aspp_channels": 8, "decoder_channels": 8, "skip_channels": 8}


def model(seed: int, names: tuple[str, ...], **options: int | str) -> SegmentationModel:
    torch.manual_seed(seed)
    made = create_model(
        "deeplab_v3_plus",
        encoder_name="mobilenet_v2_035",
        classes=len(names),
        **{**OPTIONS, **options},
    )
    colours = LabelSet.numbered(len(names)).colours
    made.label_set = LabelSet(names=names, colours=colours)
    return made.eval()


def test_the_same_classes_take_everything_over(tmp_path: Path) -> None:
    trained, fresh = model(0, ("a", "b", "c")), model(1, ("a", "b", "c"))
    save(trained, tmp_path)
    assert start_from(fresh, tmp_path)
    images = torch.randn(1, 3, 40, 40)
    torch.testing.assert_close(fresh(images), trained(images), rtol=0, atol=0)


@pytest.mark.parametrize("names", [("a", "b", "x"), ("a", "b", "c", "d")])
def test_other_classes_begin_with_fresh_scores(tmp_path: Path, names: tuple[str, ...]) -> None:
    trained, fresh = model(0, ("a", "b", "c")), model(1, names)
    head = fresh.get_parameter("head.weight").clone()
    save(trained, tmp_path)
    assert not start_from(fresh, tmp_path)
    assert torch.equal(fresh.get_parameter("head.weight"), head)
    for name, tensor in trained.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(fresh.state_dict()[name], tensor), name


def test_another_make_is_refused_with_the_flags_that_fit(tmp_path: Path) -> None:
    save(model(0, ("a", "b"), aspp_channels=16), tmp_path)
    with pytest.raises(InputError, match="--model deeplab_v3_plus --encoder mobilenet_v2_035") as e:
        check_start(model(1, ("a", "b")).spec, tmp_path)
    assert "aspp_channels=16" in str(e.value)


def test_options_that_came_later_count_as_their_defaults(tmp_path: Path) -> None:
    trained = model(0, ("a", "b"))
    recipe = dict(trained.spec.options)
    del recipe["multi_grid"], recipe["rates"]
    trained.spec = replace(trained.spec, options=recipe)
    save(trained, tmp_path)
    check_start(model(1, ("a", "b")).spec, tmp_path)
    with pytest.raises(InputError, match="another make"):
        check_start(model(1, ("a", "b"), rates="12,24,36").spec, tmp_path)


def test_other_channels_are_refused(tmp_path: Path) -> None:
    save(model(0, ("a", "b")), tmp_path)
    grey = create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", in_channels=1, classes=2, **OPTIONS
    )
    grey.label_set = LabelSet.numbered(2)
    with pytest.raises(InputError, match=r"takes images of 3 channel\(s\), the data have 1"):
        start_from(grey, tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        check_start(model(1, ("a", "b")).spec, tmp_path)


def test_another_output_stride_takes_every_weight_over(tmp_path: Path) -> None:
    trained, fresh = model(0, ("a", "b"), output_stride=16), model(1, ("a", "b"), output_stride=8)
    save(trained, tmp_path)
    assert start_from(fresh, tmp_path)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


def fcn(architecture: str, seed: int, names: tuple[str, ...]) -> SegmentationModel:
    torch.manual_seed(seed)
    made = create_model(architecture, encoder_name="resnet18", classes=len(names))
    made.label_set = LabelSet(names=names, colours=LabelSet.numbered(len(names)).colours)
    return made.eval()


def test_a_finer_fcn_begins_with_a_coarser_one(tmp_path: Path) -> None:
    trained, fresh = fcn("fcn32s", 0, ("a", "b")), fcn("fcn16s", 1, ("a", "b"))
    torch.nn.init.normal_(trained.get_parameter("scores.0.weight"))
    save(trained, tmp_path)
    assert start_from(fresh, tmp_path)
    images = torch.randn(1, 3, 64, 96)
    torch.testing.assert_close(fresh(images), trained(images), rtol=1e-4, atol=1e-4)


def test_a_finer_fcn_needs_the_same_classes_and_a_coarser_one(tmp_path: Path) -> None:
    save(fcn("fcn16s", 0, ("a", "b")), tmp_path)
    with pytest.raises(InputError, match="names other classes than the data: a finer FCN"):
        start_from(fcn("fcn8s", 1, ("a", "c")), tmp_path)
    with pytest.raises(InputError, match="to begin with it: --model fcn16s --encoder resnet18"):
        check_start(fcn("fcn32s", 1, ("a", "b")).spec, tmp_path)
