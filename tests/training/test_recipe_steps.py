"""Each recipe at work: two steps of every phase against SGD by hand, and the phases of a run."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrous.data import write_scenes
from atrous.models import SegmentationModel
from atrous.training import Silent, TrainConfig, fit
from atrous.training.recipes import recipe_names, runs_of
from atrous.training.run_folder import read_config
from atrous.training.task import SegmentationTask
from atrous.weights import read_model_config

# Widths at which a network of each recipe trains in a second; legal sizes only.
SMALL: dict[str, dict[str, Any]] = {
    "adversarial": {
        "options": {"fc_channels": 8}, "crop": 33,
        "adversary_options": {"pretrain_segmentor": 4, "pretrain_adversary": 4, "period": 3},
    },
    "attention_to_scale": {"options": {"fc_channels": 8, "attention_channels": 8}, "crop": 33},
    "deeplab_v1": {"options": {"fc_channels": 8}, "crop": 33},
    "deeplab_v2": {"encoder": "resnet18", "crop": 33},
    "deeplab_v3": {"encoder": "resnet18", "options": {"aspp_channels": 8}, "crop": 33},
    "deeplab_v3_plus": {
        "encoder": "mobilenet_v2_035", "options": {"aspp_channels": 8}, "crop": 33,
    },
    "fcn": {"encoder": "resnet18"},
    "fcn_at_once": {"encoder": "resnet18"},
    "pspnet": {"encoder": "resnet18", "options": {"channels": 8}, "crop": 33},
    "refinenet": {"encoder": "resnet18", "options": {"channels": 8}, "crop": 32},
    "refinenet_light": {"encoder": "resnet18", "options": {"channels": 8}, "crop": 32},
    "segnet": {"options": {"base_channels": 4}},
    "segnet_basic": {"options": {"channels": 4}},
    "unet": {"options": {"base_channels": 4}, "crop": 188},
}  # fmt: skip


class Losses(Silent):
    """Remembers what is told."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.notes: list[str] = []

    def step(self, step: int, *, loss: float, images_per_second: float) -> None:
        self.losses.append(loss)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def small_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    write_scenes(folder, {"train": 6, "val": 2}, size=(32, 48), seed=7)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_twenty_iterations_by_its_own_rates(
    name: str, small_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter, steps = Losses(), recorded(monkeypatch)
    count = len(runs_of(TrainConfig(data=small_scenes, recipe=name)).phases)
    config = TrainConfig(
        data=small_scenes,
        out=tmp_path / "run",
        recipe=name,
        weights="none",
        iterations=-(-20 // count),
        batch_size=2,
        val_every=10,
        precision="fp32",
        device="cpu",
        workers=0,
        **SMALL[name],
    )
    phases = runs_of(config).phases
    result = fit(config, reporter=reporter)
    assert result.evaluation is not None
    assert len(reporter.losses) == len(steps) == count * -(-20 // count) >= 20
    assert read_config(result.folder).recipe is None  # all of it stands in the file
    for number, phase in enumerate(phases):
        first, second = steps[number * len(steps) // count :][:2]
        check_steps(first, second, phase)
        sizes = first.labels[0].numel() if phase.loss_divisor == "images" else 1
        assert 0.05 < first.loss / sizes < 20  # of the order of ln K, as random scores have it


@dataclass
class Step:
    """What a step of the optimizer was given and what it did, by name of the parameter."""

    model: SegmentationModel
    labels: Tensor
    loss: float
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    gradients: dict[str, Tensor]


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Return a list that each step of each phase is added to."""
    steps, real = list[Step](), SegmentationTask.training_step

    def training_step(task: SegmentationTask, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        before = state(task.model)
        loss = real(task, batch, index)
        gradients = {
            n: p.grad.clone() for n, p in task.model.named_parameters() if p.grad is not None
        }
        steps.append(Step(task.model, batch[1], float(loss), before, state(task.model), gradients))
        return loss

    monkeypatch.setattr(SegmentationTask, "training_step", training_step)
    return steps


def state(model: SegmentationModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def check_steps(first: Step, second: Step, phase: TrainConfig) -> None:
    """Compare two steps with SGD by hand: v = m v + g + d w; w = w - r v (Caffe's and torch's)."""
    assert phase.lr is not None
    moved = set()
    assert phase.iterations is not None
    later = (1 - 1 / phase.iterations) ** 0.9 if phase.schedule == "poly" else 1.0
    for name, gradient in first.gradients.items():
        factor, decay = rule(name, first, phase)
        velocity = torch.zeros_like(gradient, dtype=torch.float64)
        for step, rate in ((first, phase.lr), (second, phase.lr * later)):
            before, after = step.before[name].double(), step.after[name].double()
            velocity = phase.momentum * velocity + step.gradients[name].double() + decay * before
            by_hand = rate * factor * velocity
            rounding = 2e-7 * before.abs() + 1e-5 * by_hand.abs() + 1e-6 * by_hand.abs().max()
            assert ((before - after - by_hand).abs() <= rounding).all(), name
        moved |= {name} if not torch.equal(first.before[name], first.after[name]) else set()
    assert moved
    is_held = phase.norm in ("fixed", "frozen")
    for name in first.before.keys() - first.gradients.keys():
        is_statistic = "running" in name or "num_batches" in name
        if is_held or not is_statistic:  # FCN's enlarging filters, norms that are frozen
            assert torch.equal(first.before[name], second.after[name]), name
    if phase.norm == "train":
        statistics = [name for name in first.before if "running_var" in name]
        assert any(not torch.equal(first.before[n], second.after[n]) for n in statistics)


def rule(name: str, step: Step, phase: TrainConfig) -> tuple[float, float]:
    """Return a parameter's factor of the rate and its decay, by its name and its shape."""
    owner = step.model.get_submodule(name.rpartition(".")[0])
    parameter = step.before[name]
    is_norm = isinstance(owner, nn.BatchNorm2d)
    classes = len(step.model.label_set)
    part = "encoder" if "encoder." in name else "decoder"
    if isinstance(owner, nn.Conv2d) and owner.out_channels == classes:
        part = "classifier"
    factor = phase.lr_factors.get(part, 1.0)
    if name.endswith("bias") and not is_norm:
        factor *= phase.lr_factors.get("biases", 1.0)
    is_depthwise = parameter.ndim == 4 and parameter.shape[1] == 1 and len(parameter) > 1
    decays = {
        "weights": parameter.ndim == 4,
        "dense": parameter.ndim == 4 and not is_depthwise,
        "scales": not name.endswith("bias"),
        "all": True,
    }
    return factor, phase.decay * decays[phase.decayed]


@pytest.mark.slow
def test_phases_begin_where_the_one_before_ended_and_go_on_after_an_interrupt_and_a_move(
    small_scenes: Path, tmp_path: Path
) -> None:
    run, reporter = tmp_path / "run", Losses()
    config = TrainConfig(
        data=small_scenes, out=run, recipe="fcn", encoder="resnet18", weights="none",
        iterations=2, precision="fp32", device="cpu", workers=0,
    )  # fmt: skip

    class Interrupted(Losses):
        def step(self, step: int, *, loss: float, images_per_second: float) -> None:
            super().step(step, loss=loss, images_per_second=images_per_second)
            if len(self.losses) == 3:  # the first step of the second phase
                signal.raise_signal(signal.SIGINT)

    stopped = fit(config, reporter=Interrupted())
    assert (stopped.folder, stopped.evaluation, stopped.is_over) == (run, None, False)
    assert (run / "phase-1" / "model").is_dir()
    assert not (run / "model").exists()
    run = run.rename(tmp_path / "elsewhere")  # each phase knows the one before all the same
    result = fit(TrainConfig(resume=run), reporter=reporter)
    assert result.evaluation is not None
    assert result.model == run / "model"
    assert [n for n in reporter.notes if n.startswith("Phase")] == [
        f"Phase    2 of 3: fcn16s, 2 iterations, in {run / 'phase-2'}",
        f"Phase    3 of 3, in {run}",
    ]
    made = [read_model_config(path / "model") for path in (run / "phase-1", run / "phase-2", run)]
    assert [card.spec.architecture for card in made] == ["fcn32s", "fcn16s", "fcn8s"]
