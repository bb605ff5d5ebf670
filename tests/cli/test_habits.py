import pytest

from atrous.cli.commands import COMMANDS
from atrous.cli.habits import COMMANDS as COMMAND_HABITS
from atrous.cli.habits import (
    NOT_NEEDED,
    OPTIONS,
    VALUES,
    foreign_value,
    meant_value,
    stray_word,
    unknown_command,
    unknown_option,
)
from atrous.cli.options import options_of


def flags(command: str) -> list[str]:
    return [option.flag for option in options_of(COMMANDS[command].config_class())]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--imgsz", "--crop"),
        ("--batch", "--batch-size"),
        ("--epoch", "--epochs"),
        ("--lr0", "--lr"),
        ("--backbone", "--encoder"),
        ("--output_dir", "--out"),
        ("--max-iters", "--iterations"),
        ("--learnig-rate", "--lr"),
        ("--batchsize", "--batch-size"),
        ("-batch-size", "--batch-size"),
    ],
)
def test_a_habit_or_a_slip_is_answered_with_our_option_first(typed: str, meant: str) -> None:
    message = str(unknown_option(typed, flags("train"), "train"))

    assert message.startswith(f"unknown option {typed}; did you mean {meant}")
    assert message.endswith("(all: atrous train -h)")


def test_at_most_five_options_are_offered() -> None:
    many = [f"--option-{letter}" for letter in "abcdefghij"]

    assert str(unknown_option("--option", many, "train")).count("--option-") == 5


def test_an_option_that_nobody_needs_here_is_explained() -> None:
    message = str(unknown_option("--num-classes", flags("train"), "train"))

    assert "the classes come from the data" in message


def test_the_tables_hold_nothing_stale() -> None:
    every = {
        option.name
        for command in COMMANDS.values()
        for option in options_of(command.config_class())
    } | {"config"}

    assert set(COMMAND_HABITS.values()) <= set(COMMANDS)
    assert not set(COMMAND_HABITS) & set(COMMANDS)
    assert all(set(meant) & every for meant in OPTIONS.values())
    assert set(VALUES) <= every
    assert all(name == name.lower().replace("-", "_") for name in [*OPTIONS, *NOT_NEEDED])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("val", "evaluate"), ("infer", "predict"), ("fit", "train"), ("evalute", "evaluate")],
)
def test_commands_of_other_tools_are_known(typed: str, meant: str) -> None:
    assert f"did you mean {meant}?" in str(unknown_command(typed, COMMANDS))


def test_weights_of_a_detector_are_recognised() -> None:
    assert "another tool" in str(foreign_value("yolov8n.pt"))
    assert "another tool" in str(foreign_value("models/YOLO11n-seg.pt"))
    assert foreign_value("mobilenet.safetensors") is None
    assert foreign_value("data.yaml") is None


@pytest.mark.parametrize(
    ("option", "typed", "choices", "meant"),
    [
        ("device", "gpu", ("auto", "cpu", "cuda"), "cuda or cpu"),
        ("precision", "fp16", ("fp32", "bf16"), "bf16"),
        ("precision", "16-mixed", ("auto", "fp32", "bf16-mixed"), "bf16-mixed"),
        ("class_weights", "balanced", ("none", "median_frequency"), "median_frequency"),
        ("optimizer", "Adam", ("sgd", "adamw"), "adamw"),
        ("optimizer", "lion", ("sgd", "adamw"), ""),
    ],
)
def test_values_of_other_tools_are_known(typed, option, choices, meant) -> None:
    assert meant_value(option, typed, choices) == meant


@pytest.mark.parametrize("flag", ["--dropout", "--num-classes", "--verbose"])
def test_what_there_is_no_option_for_is_explained(flag: str) -> None:
    message = str(unknown_option(flag, flags("train"), "train"))
    assert message.startswith(f"train has no option {flag}: ")


def test_a_folder_without_an_option_is_taken_for_the_data(tmp_path) -> None:
    assert f"did you mean --data {tmp_path}?" in str(
        stray_word(str(tmp_path), "train", flags("train"))
    )
    (tmp_path / "last.ckpt").touch()
    assert f"did you mean --resume {tmp_path}?" in str(
        stray_word(str(tmp_path), "train", flags("train"))
    )
    assert "options start with --" in str(stray_word("nowhere", "train", flags("train")))


def test_a_command_like_none_is_offered_nothing() -> None:
    assert str(unknown_command("zzz", COMMANDS)) == "unknown command 'zzz' (all: atrous -h)"
