"""A paper's protocol as a file of `TrainConfig` fields, and what is left of it under options.

`recipes/NAME.yaml` holds one paper's choices, each with the section or table it comes from. The
layers, later ones first: flags, the file of --config, the recipe, the defaults. A recipe may name
`phases`, a list of fields that differ from phase to phase; each phase is a run of its own that
begins with the model of the one before.

What an option changes may not fit the rest of a recipe any more. So a length that is given replaces
the recipe's, another network drops its encoder and options, another optimizer its rates, another
schedule its options, and a loss that is a mean the rate of one that was summed over pixels; another
batch size changes the learning rate in proportion (Goyal et al., 2017, Sec. 2.1), unless that is
given too. Phases that train a network each become the one of the network that is given.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from atrous.errors import unknown
from atrous.training.config import TrainConfig
from atrous.training.losses import parse_loss
from atrous.training.losses.loss import PixelLoss
from atrous.training.run_folder import MERGED, from_yaml, given_fields, shown
from atrous.training.schedules import check_schedule

__all__ = ["Runs", "recipe_names", "runs_of"]

EXCLUSIVE = (("iterations", "epochs", "minutes"), ("freeze_encoder", "freeze_epochs"))
"""Of these a recipe's is left out where another is given."""

BELONGS_TO_LENGTH = ("val_every", "patience")
"""What of a recipe makes no sense for another length."""

BELONGS = {
    "model": ("encoder", "options", "auxiliary_weight"),
    "options": ("auxiliary_weight",),  # they may leave no auxiliary losses; else the network's own
    "optimizer": ("lr", "momentum", "weight_decay"),
    "schedule": ("schedule_options",),
}
"""What of a recipe makes no sense once this is another."""

BELONGS_TO_SUM = ("lr", "momentum", "loss_divisor")
"""What of a recipe makes no sense once a loss summed over pixels is a mean, or a mean a sum."""


class Runs(NamedTuple):
    """What a configuration asks for.

    Attributes:
        phases: The runs, one after the other; most often one.
        notes: Lines about what follows from the recipe and the options together.
    """

    phases: tuple[TrainConfig, ...]
    notes: tuple[str, ...] = ()


def runs_of(config: TrainConfig) -> Runs:
    """Return the runs that `config` asks for, its recipe filled in where nothing is given.

    Raises:
        InputError: No recipe of that name.
    """
    if config.recipe is None:
        return Runs((config,))
    recipe = dict(_content(config.recipe))
    given = given_fields(config) - {"recipe"}
    given -= {name for name in ("model", "encoder") if getattr(config, name) == recipe.get(name)}
    phases: list[Mapping[str, Any]] = recipe.pop("phases", [{}])
    notes: list[str] = []
    if "model" in given and any("model" in phase for phase in phases):
        phases = [_only_phase(config, phases, notes)]
    notes += _made_alike(config, given, phases)
    if config.minutes is not None and len(phases) > 1:
        each = config.minutes / len(phases)
        notes.append(
            f"Recipe   {config.recipe}: {config.minutes:g} minutes are {each:g} for each of "
            f"{len(phases)} phases"
        )
        config = replace(config, minutes=each)
    runs = [_filled(config, given, {**recipe, **phase}, notes) for phase in phases]
    return Runs(tuple(runs), tuple(dict.fromkeys(notes)))


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    entries = (files("atrous.training") / "recipes").iterdir()
    return sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml"))


def _only_phase(
    config: TrainConfig, phases: list[Mapping[str, Any]], notes: list[str]
) -> Mapping[str, Any]:
    """Return the phase of the network that is given, or the first, which needs none before it."""
    names = [str(phase.get("model")) for phase in phases]
    number = names.index(config.model) if config.model in names else 0
    notes.append(
        f"Recipe   {config.recipe}: of the phases for {', '.join(names)} "
        f"phase {number + 1} alone, with {config.model}"
        + (f"; it begins with {names[number - 1]}'s model: --weights RUN/model" if number else "")
    )
    return phases[number]


def _made_alike(config: TrainConfig, given: set[str], phases: list[Mapping[str, Any]]) -> list[str]:
    """Return a line for each value that is given once for phases that differ in it."""
    told = []
    for name in sorted(given & {name for phase in phases for name in phase}):
        value = getattr(config, name)
        for key, new in value.items() if name in MERGED else [("", value)]:
            before = [phase.get(name, {}).get(key) if key else phase.get(name) for phase in phases]
            if len(set(before)) > 1:
                flag = f"--{name.replace('_', '-')} {key}{'=' if key else ''}{new}"
                told.append(
                    f"Recipe   {config.recipe}: {flag} in all {len(phases)} phases, instead of "
                    f"{', '.join(map(str, before))}"
                )
    return told


def _filled(
    config: TrainConfig, given: set[str], recipe: dict[str, Any], notes: list[str]
) -> TrainConfig:
    """Return `config` with the recipe's fields where nothing is given."""
    for group in EXCLUSIVE:
        if given & set(group):
            recipe = {name: value for name, value in recipe.items() if name not in group}
    if given & set(EXCLUSIVE[0]):
        recipe = {name: value for name, value in recipe.items() if name not in BELONGS_TO_LENGTH}
    recipe = _for_these_choices(config, given, recipe, notes)
    recipe = _for_this_adversary(config, given, recipe, notes)
    recipe = _for_this_loss(config, given, recipe, notes)
    fields = {name: value for name, value in recipe.items() if name not in given}
    for name in MERGED:
        if name in given and name in recipe:
            fields[name] = {**recipe[name], **getattr(config, name)}
    batch = recipe.get("batch_size", config.batch_size)
    if "lr" in fields and config.batch_size != batch and "batch_size" in given:
        fields["lr"] = recipe["lr"] * config.batch_size / batch
        notes.append(
            f"Recipe   {config.recipe}: lr {fields['lr']:g} = {recipe['lr']:g} x "
            f"{config.batch_size} / {batch}, in proportion to the batch"
        )
    run = replace(config, **fields)
    check_schedule(run.schedule, run.schedule_options)
    return run


def _for_these_choices(
    config: TrainConfig, given: set[str], recipe: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """Return what is left of the recipe where its network, optimizer, ... is another."""
    for name, others in BELONGS.items():
        before = recipe.get(name, TrainConfig.__dataclass_fields__[name].default)
        if name not in given or getattr(config, name) == before:
            continue
        left_out = [key for key in others if key in recipe and key not in given]
        if left_out and name != "options":
            notes.append(
                f"Recipe   {config.recipe}: left out with its {name} {before}: "
                f"{_told(recipe, left_out)}"
            )
        recipe = {key: value for key, value in recipe.items() if key not in others}
    return recipe


def _for_this_adversary(
    config: TrainConfig, given: set[str], recipe: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """Return what is left of the recipe with an adversary, or without the recipe's own."""
    if "adversary" not in given:
        return recipe
    if config.adversary == "none":
        return {name: value for name, value in recipe.items() if name != "adversary_options"}
    waiting = ["patience"]
    if recipe.get("schedule") == "plateau":
        waiting += ["schedule", "schedule_options"]
    left_out = [name for name in waiting if name in recipe and name not in given]
    if left_out:
        notes.append(
            f"Recipe   {config.recipe}: left out, as validations gain nothing in an adversary's "
            f"turns: {_told(recipe, left_out)}"
        )
    return {name: value for name, value in recipe.items() if name not in waiting}


def _told(recipe: Mapping[str, Any], names: list[str]) -> str:
    """Return fields of a recipe with their values."""
    return ", ".join(f"{name.replace('_', ' ')} {shown(recipe[name])}" for name in names)


def _for_this_loss(
    config: TrainConfig, given: set[str], recipe: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """Return what is left of the recipe where the loss that is given is of another magnitude."""
    changed: dict[str, Any] = {
        name: getattr(config, name) for name in ("loss", "loss_divisor") if name in given
    }
    before, now = _is_summed(recipe), _is_summed({**recipe, **changed})
    left_out = [name for name in BELONGS_TO_SUM if name in recipe and name not in given]
    if before == now or not left_out:
        return recipe
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in changed.items())
    notes.append(
        f"Recipe   {config.recipe}: {', '.join(left_out)} left out, which suit a "
        f"{'sum' if before else 'mean'} over pixels; with {flags} the loss is a "
        f"{'sum' if now else 'mean'}"
    )
    return {name: value for name, value in recipe.items() if name not in left_out}


def _is_summed(fields: Mapping[str, Any]) -> bool:
    """Return whether a loss grows with the number of pixels; means and regions do not."""
    terms = parse_loss(fields.get("loss", TrainConfig.loss)).terms
    is_of_pixels = all(isinstance(loss, PixelLoss) for _, loss in terms)
    return is_of_pixels and fields.get("loss_divisor", TrainConfig.loss_divisor) == "images"


@cache
def _content(name: str) -> dict[str, Any]:
    """Return a recipe's fields.

    Raises:
        InputError: There is none of that name.
    """
    if name not in recipe_names():
        raise unknown("recipe", name, recipe_names(), see="docs/training.md")
    path = files("atrous.training") / "recipes" / f"{name}.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    phases = content.pop("phases", [{}])
    where = f"recipe {name}"
    return {
        **from_yaml(content, where),
        "phases": [from_yaml(phase, where) for phase in phases],
    }
