"""The journal across a kill; a loss that is no number."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from atrous.errors import InputError
from atrous.training import TrainConfig, fit
from atrous.training.loop import memory_named
from atrous.training.plan import Plan
from atrous.training.ranks import Ranks
from atrous.training.run_folder import resumable
from atrous.training.shared import StopRequest, _AtOnce
from atrous.training.watch import Journal


def test_a_resumed_journal_drops_later_and_half_written_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "split": "train"}) for step in (1, 2, 3, 4)]
    path.write_text("\n".join(lines) + '\n{"step": 2, "spl')
    journal = Journal(tmp_path, start=2)
    journal.write(3, "train", {"loss": 0.5})
    journal.close()
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == [1, 2, 3]


def test_a_loss_that_is_no_number_stops_the_run_and_names_a_rate_to_try(
    scenes: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    fields = {**tiny, "data": scenes, "out": tmp_path / "run", "lr": 1e30, "iterations": 9}
    told = (
        r"the loss is (nan|inf) at iteration [2-9]; .* --lr 1e\+29 \(this run began with 1e\+30\)"
    )
    with pytest.raises(InputError, match=told):
        fit(TrainConfig(**fields))


def make_plan() -> Plan:
    return Plan(
        iterations=1, done=0, batch_size=8, micro_batch=8, crop=(512, 512), val_every=1,
        precision="fp32", device="cpu", workers=0, optimizer="sgd", lr=0.1, seconds=1.0,
        memory_bytes=1,
    )  # fmt: skip


def test_running_out_of_memory_says_which_option_to_lower() -> None:
    with pytest.raises(InputError, match=r"lower --micro-batch to 4"), memory_named(make_plan()):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate ...")
    with pytest.raises(InputError) as caught, memory_named(replace(make_plan(), done=1)):
        raise MemoryError
    assert "--crop" not in str(caught.value)  # which cannot change any more
    one = replace(make_plan(), micro_batch=1)
    with pytest.raises(InputError, match=r"at once; lower --crop$"), memory_named(one):
        raise MemoryError
    with pytest.raises(InputError, match="close other"), memory_named(replace(one, done=1)):
        raise MemoryError


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_named(make_plan()):
        raise RuntimeError("shape mismatch")


def test_the_first_ctrl_c_asks_to_stop_and_the_second_interrupts() -> None:
    trainer = SimpleNamespace(should_stop=False)

    def press_twice() -> None:
        with StopRequest(Ranks()).listening(trainer):  # type: ignore[arg-type] - all that it looks at
            signal.raise_signal(signal.SIGINT)
            assert trainer.should_stop
            with pytest.raises(_AtOnce):  # no KeyboardInterrupt inside Lightning
                signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_an_interrupt_says_how_to_go_on_with_the_run() -> None:
    told = pytest.raises(KeyboardInterrupt, match=r"atrous train --resume 'my runs/1'$")
    with told, resumable(Path("my runs/1")):
        raise KeyboardInterrupt
