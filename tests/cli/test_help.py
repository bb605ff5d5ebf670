import re
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from atrous.cli.commands import COMMANDS
from atrous.cli.help import command_help, overview
from atrous.cli.options import options_of
from atrous.cli.parsing import parse
from atrous.training.losses import LOSSES

SCREEN = 45  # lines; all options of train stand on it


@dataclass(frozen=True, kw_only=True)
class Config:
    """A configuration."""

    model: str = field(metadata={"positional": True})
    """Model
    folder."""

    crop: int | tuple[int, int] | None = None
    """The crop."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """The optimizer."""


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_options_are_read_off_the_dataclass() -> None:
    model, crop, optimizer = options_of(Config)

    assert (model.flag, model.metavar, model.default) == ("--model", "MODEL", MISSING)
    assert model.sentence == "Model folder."
    assert model.positional
    assert model.required
    assert (crop.metavar, crop.default, crop.sentence) == ("N|N,N", None, "The crop.")
    assert crop.opens_group
    assert not optimizer.opens_group
    assert optimizer.metavar == "sgd|adamw"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_one_screen_with_three_uses_on_top_and_every_option(name: str) -> None:
    lines = command_help(name).splitlines()

    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 100
    assert [line.split()[:2] for line in lines[2:5]] == [["atrous", name]] * 3
    for option in options_of(COMMANDS[name].config_class()):
        label = option.metavar if option.positional else option.flag
        if option.is_brief:
            assert f"{label}," in "\n".join(lines) or f"{label}\n" in "\n".join(lines), option.name
            continue
        assert any(line.startswith(f"  {label}") for line in lines), option.name


def test_what_the_help_of_train_only_names_is_explained_in_its_document() -> None:
    document = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    brief = [o for o in options_of(COMMANDS["train"].config_class()) if o.is_brief]
    assert brief
    assert [o.flag for o in brief if not re.search(rf"`{o.flag}\b(?!-)", document)] == []


def test_the_help_of_train_names_every_loss() -> None:
    _, _, after = command_help("train").partition("--loss ")
    sentence, _, _ = after.partition("--sampling")
    assert [name for name in LOSSES if not re.search(rf"\b{name}\b", sentence)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_sentence(name: str) -> None:
    assert all(option.sentence for option in options_of(COMMANDS[name].config_class()))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_use_options_that_exist(name: str) -> None:
    for typed, _ in COMMANDS[name].examples:
        command, *words = typed.replace("'", "").split()
        assert command == name
        parse(name, COMMANDS[name].config_class(), [word for word in words if word != "--json"])


def test_output_to_a_file_has_no_colours() -> None:
    assert "\x1b" not in overview() + command_help("train")


def test_a_terminal_gets_colours_unless_it_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1m" in overview()

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in overview()
