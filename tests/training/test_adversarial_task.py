"""Two networks in turn: who learns when, what a checkpoint holds, what is given away."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from atrous.data import open_data
from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.models import Scores, SegmentationModel
from atrous.ops import Normalization
from atrous.training import Silent, TrainConfig, fit
from atrous.training import checkpoints as checkpoints_module
from atrous.training.adversarial_task import AdversarialTask, task_kind
from atrous.training.begin import seeded_model
from atrous.training.protocol import Protocol
from atrous.training.run_folder import read_config
from atrous.training.task import SegmentationTask
from atrous.weights import load

SameRun = Callable[[Path, Path], None]

OPPOSED: dict[str, Any] = {
    "adversary": "small_fov_light",
    "adversary_options": {
        "encoding": "basic", "pretrain_segmentor": 1, "pretrain_adversary": 2, "period": 2,
    },
}  # fmt: skip


class Normed(SegmentationModel):
    """One strided convolution and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.label_set = LabelSet.numbered(4)
        self.normalization = Normalization.imagenet()

    def score(self, images: Tensor) -> Scores:
        return Scores(self.norm(self.conv(images)))


def made(*, micro_batch: int = 4, turn: str = "segmentor", **options: Any) -> AdversarialTask:
    torch.manual_seed(0)
    protocol = Protocol(adversary="small_fov_light", adversary_options=options)
    task = AdversarialTask(
        Normed(), optimizer="sgd", lr=0.1, weight_decay=0.0, iterations=1,
        micro_batch=micro_batch, protocol=protocol,
    )  # fmt: skip
    task.turn = turn  # type: ignore[assignment]
    task.adversarial.requires_grad_(turn == "adversary")
    return task


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, 24, 20), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 4, (4, 24, 20), generator=generator, dtype=torch.uint8)
    labels[1], labels[2, :, 7:] = 255, 255  # one image without labels, one with few
    return images, labels


def gradients(task: AdversarialTask) -> dict[str, Tensor]:
    images, labels = batch()
    for start in range(0, 4, task.micro_batch):
        part = slice(start, start + task.micro_batch)
        task.loss_share(images[part], labels[part], labels).backward()
    return {name: p.grad for name, p in task.named_parameters() if p.grad is not None}


def test_only_a_protocol_with_an_adversary_has_one() -> None:
    assert task_kind(Protocol()) is SegmentationTask
    assert task_kind(Protocol(adversary="small_fov")) is AdversarialTask


@pytest.mark.parametrize("turn", ["adversary", "segmentor"])
def test_in_its_turn_one_network_gets_gradients_and_the_other_stays_to_the_bit(turn: str) -> None:
    task = made(turn=turn)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    found = gradients(task)
    expected = "adversarial." if turn == "adversary" else "model."
    assert found
    assert all(name.startswith(expected) for name in found)
    changed = {n for n, value in task.state_dict().items() if not torch.equal(value, before[n])}
    statistics = {f"model.norm.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert changed == (set() if turn == "adversary" else statistics)


@pytest.mark.parametrize("turn", ["adversary", "segmentor"])
@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_accumulated_gradients_are_those_of_the_whole_batch(turn: str, micro_batch: int) -> None:
    found = []
    for size in (4, micro_batch):
        task = made(turn=turn, micro_batch=size, weight=0.7, encoding="product")
        norm = task.model.norm
        assert isinstance(norm, nn.BatchNorm2d)
        norm.eval()  # its statistics would be those of a micro-batch
        found.append(gradients(task))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-7)


def test_the_adversarys_opinion_reaches_the_segmentor_by_its_weight() -> None:
    plain, whole, half = (gradients(made(weight=w)) for w in (0.0, 1.0, 0.5))
    for name, value in plain.items():
        torch.testing.assert_close(half[name], (value + whole[name]) / 2, rtol=1e-4, atol=1e-7)
    moved = whole["model.conv.weight"] - plain["model.conv.weight"]
    assert moved.abs().max() > 1e-6


def run(data: Path, out: Path, tiny: dict[str, Any], **fields: Any) -> TrainConfig:
    return TrainConfig(**{**tiny, "data": data, "out": out, "workers": 0, **fields})


def lines(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if line["split"] == "train"]


def state(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "last.ckpt", weights_only=True))


def part(folder: Path, name: str) -> dict[str, Tensor]:
    found = state(folder)["state_dict"]
    return {k.removeprefix(f"{name}."): v for k, v in found.items() if k.startswith(f"{name}.")}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_takes_its_turns_tells_both_losses_and_keeps_the_segmentor_alone(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    folder, reporter = tmp_path / "run", Noting()
    config = run(scenes, folder, tiny, **OPPOSED, iterations=7, val_every=7, ema=0.5)
    fit(config, reporter=reporter)
    assert sum(note.startswith("Turns    1 iterations the network") for note in reporter.notes) == 1
    journal = lines(folder)
    names = {"segmentation_loss", "adversary_loss", "adversarial_loss", "adversary_accuracy"}
    assert [names <= line.keys() for line in journal] == [False] + 6 * [True]
    for line in journal[1:]:
        assert line["loss"] == pytest.approx(
            line["segmentation_loss"] + 0.1 * line["adversarial_loss"], rel=1e-5
        )
        assert 0 <= line["adversary_accuracy"] <= 1
    stored = state(folder)
    assert stored["global_step"] == 7  # a step of either network is one
    assert len(stored["optimizer_states"]) == 2
    taken = stored["optimizer_states"][1]["state"]
    assert {int(entry["step"]) for entry in taken.values()} == {4}  # 2 alone, then 2 in turn
    kept = load_file(folder / "model" / "model.safetensors")
    assert same(kept, part(folder, "averaged"))
    assert not any("adversarial" in name or "network" in name for name in kept)
    load(folder / "model")
    full = read_config(folder).adversary_options
    assert (full["weight"], full["tau"], full["pretrain_adversary"]) == (0.1, 0.9, 2)


def test_the_segmentor_stays_to_the_bit_while_the_adversary_learns(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    options = {"encoding": "scaling", "pretrain_adversary": 3}
    config = run(
        scenes, tmp_path / "run", tiny, adversary="small_fov_light", adversary_options=options,
        iterations=4, val_every=9,
    )  # fmt: skip
    at_first, _ = seeded_model(config, open_data(scenes), Silent())
    before = {name: value.clone() for name, value in at_first.state_dict().items()}

    class Stopping(Silent):
        def step(self, step: int, *, loss: float, images_per_second: float) -> None:
            if step == 3:
                signal.raise_signal(signal.SIGINT)

    assert fit(config, reporter=Stopping()).step == 3
    assert same(part(tmp_path / "run", "model"), before)
    adversary = part(tmp_path / "run", "adversarial")
    fit(TrainConfig(resume=tmp_path / "run"))
    assert same(part(tmp_path / "run", "adversarial"), adversary)
    assert not same(part(tmp_path / "run", "model"), before)


def test_with_weight_0_and_no_turn_of_the_adversarys_a_run_is_the_plain_one(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    options = {"weight": 0.0, "pretrain_adversary": 0, "period": 9}
    fields = {"iterations": 3, "val_every": 3}
    fit(run(scenes, tmp_path / "plain", tiny, **fields))
    opposed = {"adversary": "small_fov_light", "adversary_options": options}
    fit(run(scenes, tmp_path / "opposed", tiny, **fields, **opposed))
    plain, other = (part(tmp_path / name, "model") for name in ("plain", "opposed"))
    for name, value in plain.items():  # a sum with a zero gradient may lie otherwise in memory
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)
    losses = [[line["loss"] for line in lines(tmp_path / n)] for n in ("plain", "opposed")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("stop", [1, 2, 4], ids=["alone", "adversary", "segmentor"])
def test_a_run_stopped_in_any_turn_goes_on_as_the_one_left_alone(
    stop: int, scenes: Path, tmp_path: Path, tiny: dict[str, Any], assert_same_run: SameRun
) -> None:
    fields = {**OPPOSED, "iterations": 7, "val_every": 3}
    fit(run(scenes, tmp_path / "alone", tiny, **fields))

    class Stopping(Silent):
        def step(self, step: int, *, loss: float, images_per_second: float) -> None:
            if step == stop:
                signal.raise_signal(signal.SIGINT)

    assert fit(run(scenes, tmp_path / "run", tiny, **fields), reporter=Stopping()).step == stop
    assert any(name.startswith("adversarial.") for name in state(tmp_path / "run")["state_dict"])
    fit(TrainConfig(resume=tmp_path / "run"))
    assert_same_run(tmp_path / "alone", tmp_path / "run")


def test_a_full_disk_in_the_adversarys_turn_leaves_the_earlier_checkpoint(
    scenes: Path,
    tmp_path: Path,
    tiny: dict[str, Any],
    assert_same_run: SameRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields = {**OPPOSED, "iterations": 5, "val_every": 5}
    fit(run(scenes, tmp_path / "alone", tiny, **fields))
    writes, real = 0, checkpoints_module.write_bytes

    def failing(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == 3:
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(checkpoints_module, "write_bytes", failing)
    monkeypatch.setattr(checkpoints_module, "COST_SHARE", 1e9)  # save after every step
    with pytest.raises(InputError, match=r"the disk is full; the earlier checkpoint is intact"):
        fit(run(scenes, tmp_path / "run", tiny, **fields))
    assert state(tmp_path / "run")["global_step"] == 2
    fit(TrainConfig(resume=tmp_path / "run"))
    assert_same_run(tmp_path / "alone", tmp_path / "run")


def test_bf16_trains_both(scenes: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    fields = {**OPPOSED, "iterations": 5, "val_every": 5, "precision": "bf16-mixed"}
    fit(run(scenes, tmp_path / "run", tiny, **fields))
    assert all(0 < line["loss"] < 1e3 for line in lines(tmp_path / "run"))
    assert all(0 < line["adversary_loss"] < 1e3 for line in lines(tmp_path / "run")[1:])
    assert {value.dtype for value in part(tmp_path / "run", "adversarial").values()} == {
        torch.float32
    }


def test_a_run_keeps_its_options_and_is_long_enough(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(InputError, match=r"5 iterations end within the 9 \+ 2 .*segmentor=2,"):
        fit(run(
            scenes, tmp_path / "short", tiny, epochs=2, adversary="small_fov_light",
            adversary_options={"pretrain_segmentor": 9, "pretrain_adversary": 2},
        ))  # fmt: skip
    assert not (tmp_path / "short").exists()
    fit(run(scenes, folder, tiny, **OPPOSED, iterations=4, val_every=4))
    with pytest.raises(
        InputError, match=r"--adversary-options weight=0\.5 differs from .*weight=0\.1"
    ):
        fit(TrainConfig(resume=folder, adversary_options={"weight": 0.5}))
