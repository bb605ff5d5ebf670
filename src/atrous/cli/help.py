"""One screen of help per command: the three commonest uses, then every option on its line."""

import shutil
import textwrap
from collections.abc import Iterable

from atrous.cli.commands import COMMANDS
from atrous.cli.console import style
from atrous.cli.options import Option, options_of

__all__ = ["command_help", "overview"]

LABEL = 25  # columns for an option and its value


def overview() -> str:
    """Return the text of `atrous --help`."""
    from atrous import __version__

    lines = [
        f"{style('atrous', 'bold')} {__version__}: semantic segmentation, from a folder of images "
        "and masks to a trained model",
        "",
        *_examples(COMMANDS[name].examples[0] for name in ("demo", "train", "predict")),
        "",
        style("Commands", "bold"),
        *(f"  {style(f'{name:<12}', 'cyan')}{row.purpose}" for name, row in COMMANDS.items()),
        "",
        "  atrous COMMAND --help      its options, on one screen",
        "  atrous --version",
    ]
    return "\n".join(lines)


def command_help(name: str) -> str:
    """Return the text of `atrous NAME --help`."""
    command = COMMANDS[name]
    options = [o for o in options_of(command.config_class()) if o.name != "json"]
    positional = [option for option in options if option.positional]
    flagged = [o for o in options if not o.positional and not o.is_brief]
    brief = [option for option in options if option.is_brief]
    usage = [option.metavar if option.required else f"[{option.metavar}]" for option in positional]
    lines = [
        f"{style('atrous ' + name, 'bold')}: {command.purpose}",
        "",
        *_examples(command.examples),
        "",
        style(" ".join(["Usage: atrous", name, *usage, "[options]"]), "bold"),
    ]
    for option in positional + flagged:
        if option.opens_group and option is not (positional + flagged)[0]:
            lines.append("")
        lines += _option(option)
    if brief:
        named = ", ".join(option.flag for option in brief)
        lines += ["", *_row("in docs/training.md", named)]
    lines += [
        *([] if brief else [""]),
        *_row("--config PATH", "options from a YAML file; --print-config writes one"),
    ]
    lines += _row("--json, --debug", "one JSON object on stdout; stack traces and warnings")
    return "\n".join(lines)


def _examples(examples: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(examples)
    width = max(len(typed) for typed, _ in rows) + len("atrous ") + 3
    return [
        "  " + style(f"{'atrous ' + typed:<{width}}", "cyan") + style(purpose, "dim")
        for typed, purpose in rows
    ]


def _option(option: Option) -> list[str]:
    label = option.metavar if option.positional else f"{option.flag} {option.metavar}".rstrip()
    sentence = option.sentence
    if not option.positional and _is_worth_showing(option):
        sentence = f"{_without_stop(sentence)} [{_written(option.default)}]"
    if option.required and not option.positional:
        sentence = f"{_without_stop(sentence)} (required)"
    return _row(label, sentence)


def _row(label: str, sentence: str) -> list[str]:
    """Lay out a label and its text; a long label stands on its own line."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120) - LABEL - 3
    wrapped = textwrap.wrap(_without_stop(sentence), max(width, 30), break_on_hyphens=False)
    wrapped = wrapped or [""]
    first = f"  {label:<{LABEL}} {wrapped[0]}"
    lines = [f"  {label}"] if len(label) > LABEL else [first]
    body = wrapped if len(label) > LABEL else wrapped[1:]
    return lines + [" " * (LABEL + 3) + line for line in body]


def _is_worth_showing(option: Option) -> bool:
    return not (
        option.required
        or option.default is None
        or option.is_switch
        or option.default in ((), {}, "")
    )


def _without_stop(sentence: str) -> str:
    return sentence if sentence.endswith("...") else sentence.removesuffix(".")


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(entry) for entry in value)
    return str(value)
