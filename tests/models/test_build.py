import json
import math

import pytest
import torch

from atrous.errors import InputError
from atrous.models import MODELS, ModelSpec, Option, build_model, model_options
from atrous.ops import Normalization


@pytest.fixture(autouse=True)
def _without_memory() -> object:
    with torch.device("meta"):
        yield


def test_a_built_network_knows_its_recipe_classes_and_normalisation() -> None:
    model = build_model("deeplab_v3_plus", in_channels=4, classes=7, options={"aspp_channels": 16})
    assert model.spec.architecture == "deeplab_v3_plus"
    assert model.spec.encoder_name == "mobilenet_v2"
    assert (model.spec.in_channels, model.spec.classes) == (4, 7)
    assert model.spec.options == {**model_options("deeplab_v3_plus"), "aspp_channels": 16}
    assert len(model.label_set) == 7
    assert model.normalization == Normalization.for_channels(4)


def test_a_recipe_survives_json() -> None:
    spec = build_model("unet", in_channels=1, classes=2).spec
    assert ModelSpec(**json.loads(json.dumps(spec.to_json()))) == spec


def test_normalisation_follows_the_encoder() -> None:
    model = build_model("deeplab_v3_plus", encoder_name="xception41")
    assert model.normalization == Normalization((0.5,) * 3, (0.5,) * 3)
    assert build_model("unet").normalization == Normalization.imagenet()


def test_a_network_with_a_normalisation_of_its_own_keeps_it() -> None:
    model = build_model("segnet_basic", in_channels=2)
    assert model.normalization == Normalization((0.0, 0.0), (1 / 255, 1 / 255))


@pytest.mark.parametrize(
    ("name", "encoder", "options", "message"),
    [
        ("unett", None, {}, r"unknown model 'unett'; did you mean unet\b.*all: atrous models"),
        ("deeplabv3+", None, {}, r"unknown model 'deeplabv3\+'; did you mean .*deeplab_v3_plus"),
        ("fcn8s", "vgg11", {}, "unknown encoder of fcn8s 'vgg11'; did you mean vgg1"),
        ("unet", "resnet3", {}, "unknown encoder 'resnet3'; did you mean resnet34"),
        ("unet", None, {"base_chanels": 8}, "unknown option of unet .*did you mean base_channels"),
        ("unet", None, {"padding": "valit"}, "padding of unet is 'valit'; give 'valid' or 'same'"),
        ("unet", None, {"padding": "symmetric"}, "belong to an encoder"),
        ("unet", None, {"output_stride": 16}, "belong to an encoder"),
        ("unet", "resnet18", {"padding": "valid"}, "belongs to the paper's own path"),
        ("fcn8s", None, {"fc_channels": 0}, "fc_channels of fcn8s is 0; give a whole number above"),
        ("fcn8s", None, {"fc_channels": True}, "fc_channels of fcn8s is True"),
        ("fcn8s", None, {"padding": 3}, "padding of fcn8s is 3; give 'release' or 'same' or noth"),
        ("fcn32s", None, {"scaling": "staged"}, "unknown option of fcn32s 'scaling'"),
        ("refinenet", None, {"channels": 2.5}, "channels of refinenet is 2.5; give a whole number"),
        ("refinenet", None, {"enlargement": 0.0}, r"enlargement is 0\.0; give a number above 0"),
        ("pspnet", None, {"dropout": -0.1}, "dropout of pspnet is -0.1; give a finite number, not"),
        ("refinenet", None, {"enlargement": math.inf}, "is inf; give a finite number, not below"),
        ("refinenet", None, {"enlargement": True}, "is True; give a finite number, not below"),
        ("refinenet", None, {"enlargement": "1.2"}, "is '1.2'; give a finite number, not"),
        ("deeplab_v3_plus", None, {"separable": "yes"}, "is 'yes'; give true or false or nothing"),
        ("deeplab_v3_plus", None, {"output_stride": 4}, "output_stride is 4; choose 8, 16 or 32"),
    ],
)
def test_what_is_misspelt_is_answered_with_the_closest(
    name: str, encoder: str | None, options: dict[str, Option], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_model(name, encoder_name=encoder, options=options)


def test_a_whole_number_is_a_number() -> None:
    model = build_model("refinenet", encoder_name="resnet18", options={"enlargement": 1})
    assert model.score(torch.empty(1, 3, 64, 64)).main.shape[-2:] == (16, 16)


def test_counts_that_no_network_has_are_refused() -> None:
    with pytest.raises(InputError, match="in_channels is 0"):
        build_model("unet", in_channels=0)
    with pytest.raises(InputError, match=r"1 class\(es\) named"):
        build_model("unet", classes=1)


def test_every_entry_names_a_paper_and_builds_with_its_defaults() -> None:
    for name, entry in MODELS.items():
        assert entry.paper[-4:].isdigit()
        model = build_model(name)
        assert model.spec.encoder_name == entry.encoder
        assert model.spec.options == model_options(name)


@pytest.mark.parametrize("name", ["deeplab_v3", "deeplab_v3_plus", "pspnet"])
@pytest.mark.parametrize("none", [0.0, 0])
def test_no_dropout_is_a_choice(name: str, none: float) -> None:
    model = build_model(name, encoder_name="resnet18", options={"dropout": none})
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
