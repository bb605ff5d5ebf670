"""`atrous COMMAND ...`: finds the command, parses, runs, turns errors into one line.

The commands stand in `commands.py`; how their dataclasses become options, in `options.py`.
`atrous --help` and `atrous COMMAND --help` import neither torch nor the command itself.
"""

import os
import sys
from collections.abc import Sequence

from atrous.cli.commands import COMMANDS
from atrous.cli.console import json_mode, print_json
from atrous.cli.failures import DONE, FAILED, describe, show_trace
from atrous.cli.habits import UsageError, unknown_command
from atrous.cli.help import command_help, overview
from atrous.cli.quiet import quiet

__all__ = ["entry", "main"]


def entry() -> None:
    """Run the command line of this process; `[project.scripts]` names this function."""
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `atrous models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def main(words: Sequence[str]) -> int:
    """Run one command.

    Args:
        words: What stands after `atrous`.

    Returns:
        Exit code: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.
    """
    is_debug, is_json = "--debug" in words, "--json" in words
    name = next((word for word in words if not word.startswith("-")), "")
    with json_mode(is_json), quiet(not is_debug):
        try:
            return _dispatch([word for word in words if word != "--debug"])
        except BrokenPipeError:
            return FAILED
        except (Exception, KeyboardInterrupt) as error:
            line, code = describe(error, COMMANDS.get(name))
            if is_debug:
                show_trace(error)
            print(line, file=sys.stderr)
            if is_json:
                print_json({"error": line.removeprefix("error: "), "exit_code": code})
            return code


def _dispatch(words: list[str]) -> int:
    rest = [word for word in words if word not in ("-h", "--help", "--json")]
    if "--version" in words[:1] or "-V" in words[:1]:
        from atrous import __version__

        print(f"atrous {__version__}")
        return DONE
    wants_help = len(rest) < len([word for word in words if word != "--json"])
    if rest[:1] == ["help"]:
        rest, wants_help = rest[1:], True
    if not rest:
        print(overview())
        return DONE
    name, *rest = rest
    if name.startswith("-"):
        raise UsageError(f"{name} comes after a command: {', '.join(COMMANDS)} (how: atrous -h)")
    if name not in COMMANDS:
        raise unknown_command(name, COMMANDS)
    if wants_help:
        print(command_help(name))
        return DONE
    return _run(name, rest, is_json="--json" in words)


def _run(name: str, words: list[str], *, is_json: bool) -> int:
    from atrous.cli.options import options_of
    from atrous.cli.parsing import parse, resolved_yaml  # jsonargparse: not for the help

    command = COMMANDS[name]
    config = command.config_class()
    if is_json and any(option.name == "json" for option in options_of(config)):
        words = [*words, "--json"]
    if "--print-config" in words or "--print_config" in words:
        words = [word for word in words if word not in ("--print-config", "--print_config")]
        print(resolved_yaml(name, config, words), end="")
        return DONE
    return command.run(parse(name, config, words))
