"""What a cell of the comparison will do and cost, measured before the first one is trained.

The minutes of a budget become steps once for each network: all its seeds, and a comparison that is
gone on with, do as many. A network that cannot be trained here is known before hours have gone by.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from atrous.compare.apart import Tell
from atrous.compare.config import CompareConfig
from atrous.compare.entries import Entry, training_config
from atrous.compare.scoring import opened, predictor_of, scoring_seconds
from atrous.data import open_data
from atrous.errors import InputError
from atrous.training import Silent, TrainConfig
from atrous.training.begin import seeded_model
from atrous.training.plan import default_lr
from atrous.training.planning import plan_run
from atrous.training.preflight import pick_device, preflight
from atrous.training.sound_data import sound
from atrous.weights import weights_origin

__all__ = ["Plan", "check_budget", "make_plan", "planned_training"]

SET_UP_SECONDS = 12.0
"""A process of its own: its imports and a look through data that have been looked through."""


@dataclass(frozen=True)
class Plan:
    """What one training of a network will do; for a finished model only what scoring it costs.

    Attributes:
        iterations: Optimizer steps; 0 for a finished model.
        val_every: Steps between two validations.
        micro_batch: Images in memory at once.
        lr: Learning rate of the first step.
        start: What the weights begin with: "random", "imagenet", or the name of a file.
        train_seconds: Forecast of the training, validations included.
        score_seconds: Forecast of what comes after it.
        memory_bytes: Forecast of the peak memory of training.
        parameters: Weights of the network.
        notes: What the user should know of it.
    """

    iterations: int
    val_every: int
    micro_batch: int
    lr: float
    start: str
    train_seconds: float
    score_seconds: float
    memory_bytes: int
    parameters: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Return the forecast of one cell."""
        return self.train_seconds + self.score_seconds

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Plan":
        """Rebuild what `to_json` gave; raises TypeError where a field is missing or unknown."""
        plan = cls(**content)  # type: ignore[arg-type]  # our own file, written whole
        return dataclasses.replace(plan, notes=tuple(plan.notes))


def make_plan(config: CompareConfig, entry: Entry, tell: Tell) -> Plan:
    """Measure what a cell costs on this machine (in a process of its own: see `apart`).

    Raises:
        InputError: The network cannot be trained so; the message says why.
    """
    tell("measuring", 0.0)
    spec = open_data(config.data)
    if entry.model is not None:
        predictor = opened(entry, config)
        seconds = SET_UP_SECONDS + scoring_seconds(predictor, spec, config.split)
        count = sum(p.numel() for p in predictor.model.parameters())
        return Plan(0, 0, 0, 0.0, "finished", 0.0, seconds, 0, count)
    spec, notes = sound(spec, config.skip_bad), _Notes()
    training = preflight(_with_length(training_config(config, entry, seed=0), config))
    device = pick_device(config.device)
    model, weights = seeded_model(training, spec, notes)
    model = model.to(device).to(memory_format=torch.channels_last)
    tell("measuring", 0.5)
    lr = default_lr(training.optimizer, model, pretrained=weights is not None)
    plan = plan_run(training, spec, model, device=device, lr=lr, reporter=notes)
    scoring = scoring_seconds(predictor_of(model, config), spec, config.split)
    origin = weights_origin(weights, model.spec.encoder_name)
    return Plan(
        iterations=plan.iterations,
        val_every=plan.val_every,
        micro_batch=plan.micro_batch,
        lr=plan.lr,
        start="random" if origin is None else origin["name"],
        train_seconds=plan.seconds,
        score_seconds=SET_UP_SECONDS + scoring,
        memory_bytes=plan.memory_bytes,
        parameters=sum(p.numel() for p in model.parameters()),
        notes=tuple(notes.said),
    )


def planned_training(config: CompareConfig, entry: Entry, seed: int, plan: Plan) -> TrainConfig:
    """Return the whole configuration of a cell."""
    return dataclasses.replace(
        training_config(config, entry, seed),
        iterations=plan.iterations,
        val_every=plan.val_every,
        micro_batch=plan.micro_batch,
        lr=plan.lr,
    )


def check_budget(plans: Mapping[str, Plan], config: CompareConfig) -> None:
    """Require minutes that pay for one step of every network.

    Raises:
        InputError: They do not; the message says what they would have to be.
    """
    kind, amount = config.budget
    if kind != "minutes":
        return
    short = [
        (plan.train_seconds, name)
        for name, plan in plans.items()
        if plan.iterations == 1 and plan.train_seconds > 60 * amount
    ]
    if short:
        seconds, name = max(short)
        least = -(-seconds // 6) / 10
        raise InputError(
            f"--minutes {amount:g} does not pay for one step of {name}: a step and its scoring "
            f"take {seconds:.1f} s here; give --minutes {least:g} or more, or leave it out"
        )


class _Notes(Silent):
    """Keeps what a training would tell its user."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        """Keep it, on single spaces."""
        self.said.append(" ".join(text.split()))


def _with_length(training: TrainConfig, config: CompareConfig) -> TrainConfig:
    kind, amount = config.budget
    if kind == "minutes":
        return dataclasses.replace(training, minutes=amount)
    steps = int(amount) if kind == "iterations" else int(amount) // config.batch_size
    return dataclasses.replace(training, iterations=steps)
