"""The recipes: phases, and what options do to them; test_recipe_steps.py trains them."""

import pickle
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from atrous.errors import InputError
from atrous.models import MODELS, build_model
from atrous.training import TrainConfig
from atrous.training.preflight import preflight
from atrous.training.recipes import recipe_names, runs_of
from atrous.weights.blueprint import blueprint

DATA = Path("data")


def recipe(name: str, **fields: Any) -> tuple[TrainConfig, ...]:
    return runs_of(TrainConfig(data=DATA, recipe=name, **fields)).phases


def test_there_is_a_recipe_for_every_network() -> None:
    trained = {phase.model for name in recipe_names() for phase in recipe(name)}
    assert trained == set(MODELS)


@pytest.mark.parametrize("name", recipe_names())
def test_every_value_has_its_source_and_every_name_is_a_field(name: str) -> None:
    text = (files("atrous.training") / "recipes" / f"{name}.yaml").read_text()
    plain = re.compile(r"^(model|optimizer|schedule|rotation|scale_range|jitter|flip)\b")
    for line in text.splitlines():
        if re.match(r"\s*(- )?\{?\w+:\s*\S", line) and not plain.match(line):
            assert "#" in line, line
    for phase in recipe(name):
        preflight(replace(phase, recipe=None))  # the network has these options


def test_fcn_is_trained_in_stages_and_deeplab_v3_in_two_phases() -> None:
    assert [(p.model, p.lr) for p in recipe("fcn")] == [
        ("fcn32s", 1e-10), ("fcn16s", 1e-12), ("fcn8s", 1e-14),
    ]  # fmt: skip
    first, second = recipe("deeplab_v3")
    assert (first.options["output_stride"], first.norm, first.lr) == (16, "auto", 0.007)
    assert (second.options["output_stride"], second.norm, second.lr) == (8, "fixed", 0.001)


def test_the_adversarial_recipe_is_told_in_parts_and_can_be_told_to_be_plain() -> None:
    (run,) = recipe("adversarial", adversary="small_fov", adversary_options={"weight": 1})
    assert (run.adversary, run.adversary_options["weight"]) == ("small_fov", 1)
    assert run.adversary_options["encoding"] == "product"  # the recipe's stays
    assert (run.adversary_options["period"], run.adversary_options["pretrain_adversary"]) == (
        500, 500,
    )  # fmt: skip
    (plain,) = recipe("adversarial", adversary="none", given=frozenset({"adversary"}))
    assert (plain.adversary, plain.adversary_options) == ("none", {})
    with pytest.raises(InputError, match=r"20 iterations end within the 6000 \+ 500"):
        recipe("adversarial", iterations=20)


def test_what_is_given_wins_over_the_recipe_in_every_phase() -> None:
    for phase in recipe("deeplab_v3", crop=65, options={"multi_grid": "none"}):
        assert phase.crop == 65
        assert phase.options["multi_grid"] == "none"
        assert "output_stride" in phase.options  # the recipe's stays
        assert phase.batch_size == 16
    typed = TrainConfig(data=DATA, recipe="pspnet", rotation=10.0, flip=0.5, given=frozenset())
    assert runs_of(typed).phases[0].flip == 0.5
    default = TrainConfig(data=DATA, recipe="fcn", flip=0.5, given=frozenset({"flip"}))
    assert [phase.flip for phase in runs_of(default).phases] == [0.5] * 3  # typed, like the default


def test_a_length_that_is_given_replaces_the_recipes() -> None:
    assert recipe("segnet", minutes=5.0)[0].iterations is None
    assert [phase.iterations for phase in recipe("fcn", iterations=20)] == [20] * 3
    assert recipe("refinenet_light", iterations=20)[0].epochs is None
    (run,) = recipe("refinenet", iterations=20)
    assert (run.val_every, run.patience) == (None, None)


def test_the_rate_follows_the_batch_and_says_so() -> None:
    runs = runs_of(TrainConfig(data=DATA, recipe="segnet", batch_size=8))
    assert runs.phases[0].lr == pytest.approx(2e-3)
    assert runs.notes == ("Recipe   segnet: lr 0.002 = 0.001 x 8 / 4, in proportion to the batch",)
    assert recipe("segnet", batch_size=8, lr=0.5)[0].lr == 0.5
    assert not runs_of(TrainConfig(data=DATA, recipe="segnet")).notes


def test_another_network_optimizer_or_schedule_takes_its_own_defaults() -> None:
    other = recipe("deeplab_v3", model="unet")[0]
    assert (other.encoder, other.options) == (None, {})
    adam = recipe("deeplab_v2", optimizer="adamw")[0]
    assert (adam.lr, adam.decay) == (None, 0.01)
    assert recipe("deeplab_v1", schedule="cosine")[0].schedule_options == {}


def test_minutes_are_those_of_all_phases_together() -> None:
    runs = runs_of(TrainConfig(data=DATA, recipe="fcn", minutes=30))
    assert [(run.minutes, run.iterations) for run in runs.phases] == [(10, None)] * 3
    assert runs.notes == ("Recipe   fcn: 30 minutes are 10 for each of 3 phases",)
    alone = runs_of(TrainConfig(data=DATA, recipe="segnet", minutes=30))
    assert (alone.phases[0].minutes, alone.notes) == (30, ())


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("fcn", {"lr": 1e-9}, ["--lr 1e-09 in all 3 phases, instead of 1e-10, 1e-12, 1e-14"]),
        ("deeplab_v3", {"options": {"output_stride": 8, "multi_grid": "none"}, "norm": "fixed"},
         ["--norm fixed in all 2 phases, instead of auto, fixed",
          "--options output_stride=8 in all 2 phases, instead of 16, 8"]),
        ("fcn", {"iterations": 20, "crop": 64}, []),  # the phases are as long as each other
    ],
)  # fmt: skip
def test_a_value_that_makes_phases_alike_is_told(
    name: str, fields: dict[str, Any], told: list[str]
) -> None:
    runs = runs_of(TrainConfig(data=DATA, recipe=name, **fields))
    assert runs.notes == tuple(f"Recipe   {name}: {line}" for line in told)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"loss": "dice"}, "--loss dice"),
        ({"loss": "cross_entropy + 0.5 dice"}, "--loss cross_entropy + 0.5 dice"),
        ({"loss_divisor": "pixels"}, "--loss-divisor pixels"),
    ],
)
def test_the_rate_of_a_summed_loss_is_not_that_of_a_mean(fields: dict[str, str], told: str) -> None:
    runs = runs_of(TrainConfig(data=DATA, recipe="fcn", **fields))  # type: ignore[arg-type]  # each has its type
    chosen = {(run.lr, run.momentum, run.loss_divisor) for run in runs.phases}
    assert chosen == {(None, 0.9, fields.get("loss_divisor", "weights"))}
    left_out = "lr, momentum" if "loss_divisor" in fields else "lr, momentum, loss_divisor"
    assert runs.notes == (
        f"Recipe   fcn: {left_out} left out, which suit a sum over pixels; "
        f"with {told} the loss is a mean",
    )
    typed = recipe("fcn", lr=0.25, momentum=0.5, **fields)[0]
    assert (typed.lr, typed.momentum) == (0.25, 0.5)


def test_a_loss_of_the_same_magnitude_keeps_the_rate() -> None:
    for loss in ("focal", "cross_entropy(label_smoothing=0.1)"):
        runs = runs_of(TrainConfig(data=DATA, recipe="fcn", loss=loss))
        assert [run.lr for run in runs.phases] == [1e-10, 1e-12, 1e-14]
        assert not runs.notes
    assert recipe("deeplab_v3_plus", loss="dice")[0].lr == 0.007
    assert recipe("segnet", loss_divisor="weights")[0].lr == 1e-3


def test_a_mean_that_is_made_a_sum_needs_a_rate() -> None:
    (run,) = recipe("deeplab_v3_plus", loss_divisor="images")
    assert run.lr is None
    with pytest.raises(InputError, match="no default rate suits a sum; give --lr, such as 1e-10"):
        preflight(run)
    for fields in ({"lr": 1e-9}, {"optimizer": "adamw"}, {"loss": "dice"}):
        preflight(replace(run, recipe=None, **fields))  # type: ignore[arg-type]  # each has its type


def test_options_of_the_recipes_schedule_may_be_given_alone() -> None:
    (run,) = recipe("deeplab_v1", schedule_options={"parts": 4})
    assert (run.schedule, run.schedule_options) == ("step", {"parts": 4, "factor": 0.1})
    for schedule_options, told in (
        ({"power": 4}, "unknown option of the schedule step 'power'"),
        ({"parts": 0}, "parts=0 must lie at 1 or above"),
    ):
        with pytest.raises(InputError, match=told):
            recipe("deeplab_v1", schedule_options=schedule_options)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("pspnet", {"model": "unet"}),
        ("pspnet", {"model": "deeplab_v3_plus"}),
        ("attention_to_scale", {"model": "pspnet"}),
        ("attention_to_scale", {"options": {"extra_supervision": False}}),
    ],
)
def test_a_network_without_the_recipes_auxiliary_losses_takes_the_rest_of_it(
    name: str, fields: dict[str, Any]
) -> None:
    typed = {**fields, "given": frozenset(fields)}
    (run,) = recipe(name, **typed)
    assert (run.auxiliary_weight, run.lr) == (None, recipe(name)[0].lr)
    preflight(TrainConfig(data=DATA, recipe=name, weights="none", **typed))
    with pytest.raises(InputError, match="has no auxiliary scores; leave it out"):
        preflight(TrainConfig(data=DATA, model="unet", auxiliary_weight=0.4))


@pytest.mark.parametrize("name", ["pspnet", "attention_to_scale"])
def test_a_recipes_weight_of_auxiliary_losses_is_its_networks_own(name: str) -> None:
    (run,) = recipe(name)  # so that one that is left out, for an option's sake, stays the same
    with blueprint():
        network = build_model(
            name, encoder_name=run.encoder, in_channels=3, classes=2, options=run.options
        )
    assert set(network.auxiliary_weights(2)) == {run.auxiliary_weight}


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_takes_every_network(name: str) -> None:
    for model in MODELS:
        typed = frozenset({"model"})
        preflight(TrainConfig(data=DATA, recipe=name, model=model, weights="none", given=typed))


@pytest.mark.parametrize(
    ("model", "lr", "told"),
    [
        ("fcn32s", 1e-10, "phase 1 alone, with fcn32s"),
        ("fcn16s", 1e-12, "phase 2 alone, with fcn16s; it begins with fcn32s's model: --weights"),
        ("unet", 1e-10, "phase 1 alone, with unet"),
    ],
)
def test_a_network_that_is_given_is_trained_once_where_phases_train_a_network_each(
    model: str, lr: float, told: str
) -> None:
    runs = runs_of(TrainConfig(data=DATA, recipe="fcn", model=model))
    assert [(phase.model, phase.lr) for phase in runs.phases] == [(model, lr)]
    assert len([note for note in runs.notes if "of the phases for" in note]) == 1
    assert told in runs.notes[0]
    assert len(recipe("fcn", model="fcn8s")) == 3  # the recipe's own
    assert len(recipe("deeplab_v3", model="unet")) == 2  # phases of rate and stride


def test_what_python_names_wins_though_it_is_a_default() -> None:
    """A caller's `model="deeplab_v3_plus"` is a wish, whatever the default is."""
    for run in runs_of(TrainConfig(data=DATA, recipe="deeplab_v3", model="deeplab_v3_plus")).phases:
        assert run.model == "deeplab_v3_plus"
    (run,) = runs_of(TrainConfig(data=DATA, recipe="refinenet", batch_size=16)).phases
    assert run.batch_size == 16
    copied = pickle.loads(pickle.dumps(replace(TrainConfig(data=DATA, recipe="segnet", lr=1.0))))
    assert copied.given == {"data", "recipe", "lr"}
    assert not TrainConfig(data=DATA, lr=1.0).given


def test_what_another_network_leaves_out_is_told_of_each_phase() -> None:
    runs = runs_of(TrainConfig(data=DATA, recipe="deeplab_v3", model="deeplab_v3_plus"))
    assert [note for note in runs.notes if "output_stride=8" in note]
    assert all("left out with its model deeplab_v3: " in note for note in runs.notes)
    assert not runs_of(TrainConfig(data=DATA, recipe="deeplab_v3")).notes


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_takes_an_adversary_whose_turns_gain_nothing(name: str) -> None:
    config = TrainConfig(data=DATA, recipe=name, adversary="small_fov", iterations=30_000)
    runs = runs_of(config)
    for run in runs.phases:
        assert (run.adversary, run.patience) == ("small_fov", None)
        assert run.schedule != "plateau"
    told = [note for note in runs.notes if "schedule plateau" in note]
    assert bool(told) == (name == "refinenet")


def test_options_of_a_schedule_may_be_given_where_an_adversary_takes_the_recipes() -> None:
    power = {"power": 0.5}
    (run,) = recipe("refinenet", adversary="small_fov", iterations=3000, schedule_options=power)
    assert (run.schedule, run.schedule_options) == ("poly", power)


def test_a_recipe_that_there_is_not_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown recipe 'deeplabv3'; did you mean deeplab_v3"):
        recipe("deeplabv3")
