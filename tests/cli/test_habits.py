import pytest

from atrous.cli.commands import COMMANDS
from atrous.cli.habits import COMMANDS as COMMAND_HABITS
from atrous.cli.habits import NOT_NEEDED, OPTIONS, foreign_value, unknown_command, unknown_option
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
