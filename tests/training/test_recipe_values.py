"""Every value of every recipe, next to where it was printed; read off the sources, not our files.

Sources: sections of the papers, "release" for the authors' code and configurations, "semseg" for
PSPNet's authors' later code. What no source states is listed in OURS.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from atrous.models import build_model
from atrous.models.unet import UNet
from atrous.training import TrainConfig
from atrous.training.losses import Border, parse_loss
from atrous.training.recipes import recipe_names, runs_of
from atrous.training.schedules import lr_factor

Row = tuple[str, dict[str, Any]]
UNSCALED = {"scale_range": (1.0, 1.0), "rotation": 0.0, "jitter": 0.0}

CAFFE: Row = (
    "releases of FCN, DeepLab v1, v2: lr_mult 1 and 2, decay_mult 1 and 0",
    {"optimizer": "sgd", "decayed": "weights", "weight_decay": 5e-4},
)
LARGE_FOV: list[Row] = [
    CAFFE,
    ("ICLR 2015, Sec. 3: VGG-16", {"encoder": "vgg16"}),
    ("Sec. 5: rates and steps", {"lr": 1e-3, "momentum": 0.9, "schedule": "step"}),
    ("Sec. 5: x0.1 every 2000 of 6000", {"schedule_options": {"parts": 3, "factor": 0.1}}),
    ("release: fc8 has lr_mult 10 and 20", {"lr_factors": {"classifier": 10.0, "biases": 2.0}}),
    ("release: crop 321, mirror, no rescaling", {"crop": 321, "flip": 0.5, **UNSCALED}),
    ("Sec. 3.1: labels subsampled by 8", {"supervision": "scores"}),
    ("release: the mean over labelled positions", {"loss_divisor": "weights"}),
    ("v2, Table 2: 6K", {"iterations": 6000}),
]
FCN: list[Row] = [
    CAFFE,
    ("CVPR, Table 1", {"encoder": "vgg16"}),
    ("release: batch 1, no crop, no flip", {"batch_size": 1, "crop": "whole", "flip": 0.0}),
    ("release: no resizing, no jitter", UNSCALED),
    ("release: momentum, fixed rate", {"momentum": 0.99, "schedule": "constant"}),
    ("release: bias lr x2", {"lr_factors": {"biases": 2.0}}),
    ("release: normalize false, a sum over pixels", {"loss_divisor": "images"}),
    ("release: labels at full size", {"supervision": "image", "class_weights": "none"}),
]
SEGNET: list[Row] = [
    ("release: solvers", {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4}),
    ("release: fixed rate", {"schedule": "constant"}),
    ("release: biases lr_mult 2; scales of norms decayed, shifts not",
     {"lr_factors": {"biases": 2.0}, "decayed": "scales"}),
    ("release: 360x480, whole, nothing random", {"crop": "whole", "flip": 0.0, **UNSCALED}),
    ("TPAMI, Sec. 3.2: median frequency", {"class_weights": "median_frequency"}),
    ("caffe-segnet: the number of labelled pixels", {"loss_divisor": "pixels"}),
    ("Sec. 3: norms with the batch's statistics", {"norm": "train"}),
]  # fmt: skip
DEEPLAB_V3: list[Row] = [
    ("v3, Sec. 4.1", {"schedule": "poly", "schedule_options": {"power": 0.9}, "batch_size": 16}),
    ("v3, Sec. 4.1", {"crop": 513, "scale_range": (0.5, 2.0), "iterations": 30_000}),
    ("v3, Sec. 4.1: batch norm's decay 0.9997", {"norm_momentum": 3e-4}),
    ("v3, Sec. 4.1: scores enlarged, labels never made smaller", {"supervision": "image"}),
    ("v3, Sec. 4.1: flipped at random; release: half of them", {"flip": 0.5}),
    ("release: discrete steps", {"scale_step": 0.25, "rotation": 0.0, "jitter": 0.0}),
    ("release: train.py", {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4}),
    ("release: biases' gradients x2, last layer x1", {"lr_factors": {"biases": 2.0}}),
    ("release: the mean over labelled pixels", {"loss_divisor": "weights"}),
    ("v3, Sec. 4.3", {"encoder": "resnet101"}),
]

VALUES: dict[str, list[Row]] = {
    "adversarial": [
        ("NIPS workshop, notes", {"batch_size": 14, "supervision": "scores"}),
        ("notes: the best on VOC's test set", {"adversary": "large_fov"}),
    ],
    "attention_to_scale": [
        *(row for row in LARGE_FOV if "6K" not in row[0]),
        ("CVPR 2016, Sec. 4", {"batch_size": 30}),
        ("Sec. 3.3: 1 + S losses, all of weight 1", {"auxiliary_weight": 1.0}),
        ("Sec. 3.2, 3.3",
         {"options": {"scales": "1+0.75+0.5", "merge": "attention", "extra_supervision": True}}),
    ],
    "deeplab_v1": [
        *LARGE_FOV,
        ("Sec. 5 (release of LargeFOV: 30)", {"batch_size": 20}),
        ("Sec. 4.2, Table 2", {"options": {"fc6": "large_fov"}}),
    ],
    "deeplab_v2": [
        CAFFE,
        ("Sec. 4.1.2, Table 4", {"encoder": "resnet101", "options": {"head": "aspp_l"}}),
        ("release: ResNet-101", {"lr": 2.5e-4}),
        ("Sec. 4.1", {"momentum": 0.9, "schedule": "poly", "schedule_options": {"power": 0.9}}),
        ("Table 2; release: iter_size 10", {"batch_size": 10, "iterations": 20_000}),
        ("release: lr_mult 10 and 20", {"lr_factors": {"classifier": 10.0, "biases": 2.0}}),
        ("release: 0.5, 0.75, 1, 1.25, 1.5", {"scale_range": (0.5, 1.5), "scale_step": 0.25}),
        ("release: crop, mirror", {"crop": 321, "flip": 0.5, "rotation": 0.0, "jitter": 0.0}),
        ("release: labels by 8, mean", {"supervision": "scores", "loss_divisor": "weights"}),
        ("release: global statistics, scale and shift lr 0", {"norm": "frozen"}),
    ],
    "deeplab_v3": [
        *DEEPLAB_V3,
        ("release: slim decays the weights of convolutions", {"decayed": "weights"}),
    ],
    "deeplab_v3_plus": [
        *DEEPLAB_V3,
        ("ECCV 2018, Sec. 4: trained norms", {"lr": 0.007, "norm": "auto"}),
        ("Table 3: trained at 16", {"options": {"output_stride": 16}}),
        ("release: depthwise kernels are not decayed", {"decayed": "dense"}),
    ],
    "fcn": FCN,
    "fcn_at_once": [
        *FCN,
        ("release: voc-fcn8s-atonce", {"model": "fcn8s", "lr": 1e-10, "iterations": 300_000}),
        ("release: Scale layers 0.01 and 0.0001", {"options": {"scaling": "at_once"}}),
    ],
    "pspnet": [
        ("CVPR 2017, Sec. 5.1", {"lr": 0.01, "schedule": "poly", "iterations": 30_000}),
        ("Sec. 5.1", {"schedule_options": {"power": 0.9}, "optimizer": "sgd", "momentum": 0.9}),
        ("Sec. 5.1; semseg: of biases and norms too", {"weight_decay": 1e-4, "decayed": "all"}),
        ("Sec. 5.1: 16, norms synchronised", {"batch_size": 16, "norm": "auto"}),
        ("release: VOC", {"crop": 473}),
        ("Sec. 5.1: continuous", {"scale_range": (0.5, 2.0), "scale_step": None}),
        ("Sec. 5.1; semseg: half of them", {"rotation": 10.0, "flip": 0.5, "blur": 0.5}),
        ("semseg: new layers x10", {"lr_factors": {"decoder": 10.0, "classifier": 10.0}}),
        ("Table 2", {"auxiliary_weight": 0.4}),
        ("release: decay 0.95", {"norm_momentum": 0.05}),
        ("semseg: labels at full size, mean", {"supervision": "image", "loss_divisor": "weights"}),
        ("release: a stem of three convolutions", {"encoder": "resnet50s", "jitter": 0.0}),
    ],
    "refinenet": [
        ("release", {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4, "lr": 5e-4}),
        ("release: encoder x0.1", {"lr_factors": {"encoder": 0.1}}),
        ("release: x0.1 on a plateau", {"schedule": "plateau"}),
        ("release: 600 epochs of 1500 images, one at a time",
         {"iterations": 600 * 1500, "batch_size": 1}),
        ("release: crop 400, scales 0.7, 0.8, ... 1.3",
         {"crop": 400, "scale_range": (0.7, 1.3), "scale_step": 0.1, "flip": 0.5}),
        ("release: nothing else", {"rotation": 0.0, "jitter": 0.0}),
        ("release: labels at a quarter, mean",
         {"supervision": "scores", "loss_divisor": "weights"}),
        ("release: moments frozen, scale and shift trained", {"norm": "fixed"}),
        ("CVPR 2017, Table 5", {"encoder": "resnet101"}),
    ],
    "refinenet_light": [
        ("release: NYUDv2", {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-5}),
        ("release: NYUDv2", {"batch_size": 6, "epochs": 100}),
        ("release: NYUDv2", {"crop": 500, "scale_range": (0.5, 2.0)}),
        ("release: rates change between stages only", {"schedule": "constant"}),
        ("release: encoder 5e-4, decoder 5e-3", {"lr_factors": {"encoder": 0.1}}),
        ("release: frozen, in evaluation mode", {"norm": "fixed"}),
        ("release: mirror", {"flip": 0.5, "rotation": 0.0, "jitter": 0.0}),
        ("BMVC 2018, Table 1", {"encoder": "resnet50"}),
    ],
    "segnet": [
        *SEGNET,
        ("release: segnet_solver", {"lr": 1e-3, "batch_size": 4, "iterations": 40_000}),
        ("Sec. 3", {"encoder": "vgg16"}),
    ],
    "segnet_basic": [
        *SEGNET,
        ("Sec. 3.2 (release: batch 4)", {"lr": 0.1, "batch_size": 12}),
        ("release: segnet_basic_solver", {"iterations": 10_000}),
    ],
    "unet": [
        ("MICCAI 2015, Sec. 2", {"options": {"padding": "valid"}}),
        ("Sec. 3: one large tile, high momentum",
         {"optimizer": "sgd", "batch_size": 1, "momentum": 0.99}),
        ("Fig. 1: out of 572", {"crop": 388}),
        ("Sec. 3.1: 10 pixels at 3x3 nodes; shift and rotation", {"elastic": 10.0}),
        ("Sec. 3.1: no zoom", {"scale_range": (1.0, 1.0)}),
        ("Eq. 2", {"loss": "border"}),
    ],
}  # fmt: skip

OURS: dict[str, set[str]] = {
    "adversarial": {
        "encoder", "options", "iterations", "crop", "scale_range", "rotation", "flip", "jitter",
        "optimizer", "lr", "momentum", "schedule", "schedule_options", "weight_decay", "decayed",
        "lr_factors", "adversary_options",
    },
    "attention_to_scale": {"iterations"},
    "refinenet": {"schedule_options", "val_every", "patience", "decayed"},
    "unet": {
        "iterations", "rotation", "flip", "jitter", "lr", "schedule", "weight_decay",
        "class_weights", "loss_divisor",
    },
}  # fmt: skip

PHASES: dict[str, list[dict[str, Any]]] = {
    "deeplab_v3": [  # Sec. 4.1; release: statistics fixed
        {"lr": 0.007, "options": {"output_stride": 16}, "norm": "auto"},
        {"lr": 0.001, "options": {"output_stride": 8}, "norm": "fixed"},
    ],
    "fcn": [  # release: solvers
        {"model": "fcn32s", "lr": 1e-10, "iterations": 100_000},
        {"model": "fcn16s", "lr": 1e-12, "iterations": 100_000},
        {"model": "fcn8s", "lr": 1e-14, "iterations": 100_000},
    ],
    "refinenet_light": [{"lr": 5e-3}, {"lr": 2.5e-3}, {"lr": 1e-3}],  # release
}


def phases(name: str) -> tuple[TrainConfig, ...]:
    return runs_of(TrainConfig(data=Path("data"), recipe=name)).phases


def test_every_recipe_has_its_rows() -> None:
    assert sorted(VALUES) == recipe_names()


@pytest.mark.parametrize(
    ("name", "source", "fields"),
    [(name, source, fields) for name, rows in VALUES.items() for source, fields in rows],
)
def test_a_value_is_the_one_that_was_printed(
    name: str, source: str, fields: dict[str, Any]
) -> None:
    for phase in phases(name):
        assert {field: getattr(phase, field) for field in fields} == fields, source


@pytest.mark.parametrize("name", PHASES)
def test_phases_have_the_values_that_were_printed(name: str) -> None:
    found = [
        {field: getattr(phase, field) for field in fields}
        for phase, fields in zip(phases(name), PHASES[name], strict=True)
    ]
    assert found == PHASES[name]


@pytest.mark.parametrize("name", VALUES)
def test_no_value_of_a_recipe_is_left_unchecked(name: str) -> None:
    content = yaml.safe_load((files("atrous.training") / "recipes" / f"{name}.yaml").read_text())
    told = {field for entry in (content, *content.get("phases", ())) for field in entry}
    checked = {field for _, fields in VALUES[name] for field in fields}
    checked |= {field for entry in PHASES.get(name, ()) for field in entry}
    assert told - {"model", "phases"} - checked == OURS.get(name, set())
    assert len(phases(name)) == len(PHASES.get(name, [{}]))


@pytest.mark.parametrize(
    ("name", "step", "rate"),
    [
        ("deeplab_v1", 1999, 1e-3), ("deeplab_v1", 2000, 1e-4), ("deeplab_v1", 4000, 1e-5),
        ("deeplab_v2", 0, 2.5e-4), ("deeplab_v2", 5000, 1.9297e-4),
        ("deeplab_v2", 10_000, 1.3397e-4), ("deeplab_v2", 15_000, 7.179e-5),
        ("deeplab_v2", 19_999, 3.365e-8),
        ("fcn_at_once", 299_999, 1e-10), ("segnet", 39_999, 1e-3),
    ],
)  # fmt: skip
def test_rates_follow_the_printed_schedule(name: str, step: int, rate: float) -> None:
    """Poly's figures are (1 - step / 20000)^0.9 by hand, to their four digits."""
    (run,) = phases(name)
    assert run.iterations is not None
    assert run.lr is not None
    factor = lr_factor(
        run.schedule, step, run.iterations, options=run.schedule_options, warmup=0, scores=()
    )
    assert run.lr * factor == pytest.approx(rate, rel=2e-4)


def test_u_nets_crop_is_what_the_paper_scores_and_the_network_sees_its_tile() -> None:
    """Fig. 1: 572 pixels in, 388 out."""
    config = runs_of(TrainConfig(data=Path("data"), recipe="unet")).phases[0]
    model = build_model(config.model, classes=2, in_channels=1, options=dict(config.options))
    assert config.crop_size is not None
    images = torch.zeros(1, 1, *config.crop_size)
    assert isinstance(model, UNet)
    assert model._framed(images).shape[-2:] == (572, 572)


def test_u_nets_border_weight_is_equation_2s() -> None:
    ((_, loss),) = parse_loss(phases("unet")[0].loss).terms
    assert isinstance(loss, Border)
    assert (loss.w0, loss.sigma) == (10, 5)


def test_the_adversary_takes_turns_as_the_notes_say() -> None:
    (run,) = phases("adversarial")
    assert (run.adversary_options["encoding"], run.adversary_options["period"]) == ("product", 500)
