"""From what was typed to the configuration of a command: words, then types, then the dataclass."""

import json
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from atrous.cli.habits import (
    UsageError,
    foreign_value,
    meant_value,
    stray_word,
    unknown_option,
)
from atrous.cli.options import Option, alternatives, options_of, typed_names_field
from atrous.errors import InputError, closest

__all__ = ["parse", "resolved_yaml"]

Config = TypeVar("Config")

OF_EVERY_COMMAND = ("--config", "--print-config", "--json", "--debug", "--help")


def parse(command: str, config: type[Config], words: Sequence[str]) -> Config:
    """Build the configuration from the words after the command; flags win over `--config`.

    Raises:
        UsageError: An option, a value or a file is not what it should be.
    """
    namespace, given = _typed(command, config, words)
    fields = {option.name: namespace[option.name] for option in options_of(config)}
    if (name := typed_names_field(config)) is not None:
        fields[name] = frozenset(given)
    try:
        return config(**fields)
    except (InputError, ValueError) as error:
        raise UsageError(str(error)) from error


def resolved_yaml(command: str, config: type, words: Sequence[str]) -> str:
    """Return the configuration as YAML that `--config` reads (`--print-config`)."""
    namespace, _ = _typed(command, config, words)
    return str(_parser(command, config).dump(namespace, skip_validation=True))


def _typed(command: str, config: type, words: Sequence[str]) -> tuple[Namespace, dict[str, str]]:
    """Return every option's value, and the text of those that were typed or stand in the file."""
    options = {option.name: option for option in options_of(config)}
    given = _Words(command, options).read(words)
    for option in options.values():
        if option.required and option.name not in given:
            what = option.metavar if option.positional else f"{option.flag} {option.metavar}"
            raise UsageError(f"{command} needs {what} (how: atrous {command} -h)")
    arguments = [f"--{name}={value}" for name, value in given.items()]
    try:
        return _parser(command, config).parse_args(arguments), given
    except ArgumentError as error:
        raise _explained(error, options, given) from error


def _parser(command: str, config: type) -> ArgumentParser:
    parser = ArgumentParser(prog=f"atrous {command}", exit_on_error=False)
    name = typed_names_field(config)
    parser.add_class_arguments(config, None, skip={name} if name else None)
    return parser


class _Words:
    """Sorts words into {field: text}, as one flag takes one value (numbers of a tuple: several)."""

    def __init__(self, command: str, options: dict[str, Option]) -> None:
        self._command = command
        self._options = options
        self._positional = [option for option in options.values() if option.positional]

    def read(self, words: Sequence[str]) -> dict[str, str]:
        given: dict[str, str] = {}
        loose: list[str] = []
        file: str | None = None
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                loose += rest
                break
            if word.startswith("-") and word != "-":
                if word.partition("=")[0] == "--config":
                    file = self._value("--config", "PATH", word, rest)
                else:
                    given |= self._option(word, rest)
            else:
                loose.append(word)
        given |= self._arguments(loose)
        return (self._file(Path(file)) if file else {}) | given

    def _option(self, word: str, rest: list[str]) -> dict[str, str]:
        flag = word.partition("=")[0]
        name = flag.removeprefix("--").replace("-", "_")
        option = self._options.get(name) if flag.startswith("--") else None
        if option is None:
            switch = self._options.get(name.removeprefix("no_"))
            if switch is not None and switch.is_switch and name.startswith("no_"):
                return {switch.name: "false"}
            flags = [*(option.flag for option in self._options.values()), *OF_EVERY_COMMAND]
            raise unknown_option(flag, flags, self._command)
        if option.is_switch:
            is_plain = "=" not in word and rest[:1] not in (["true"], ["false"])
            return {name: "true" if is_plain else self._value(flag, "true|false", word, rest)}
        if option.bare and "=" not in word and not _is_choice(option, rest[:1]):
            return {name: option.bare}
        value = self._value(flag, option.metavar, word, rest)
        is_ours = option.is_mapping and "=" in value  # --options scale=0.5
        if error := foreign_value(value) if "." in value and not is_ours else None:
            raise error
        if option.element in (int, float):
            for _ in range((option.length or len(rest) + 1) - 1 - value.count(",")):
                if not rest or not re.fullmatch(r"[-+.\d][\d.eE+-]*", rest[0]):
                    break
                value += "," + rest.pop(0)
        return {name: _as_yaml(option, value)}

    def _value(self, flag: str, metavar: str, word: str, rest: list[str]) -> str:
        if "=" in word:
            return word.partition("=")[2]
        if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
            raise UsageError(f"{flag} needs a value: {flag} {metavar}")
        return rest.pop(0)

    def _arguments(self, loose: list[str]) -> dict[str, str]:
        for word in loose:
            if (error := foreign_value(word)) and not Path(word).exists():
                raise error
        given: dict[str, str] = {}
        for option in self._positional:
            if option.element is not None and loose:
                given[option.name] = json.dumps(loose)
                loose = []
            elif loose:
                given[option.name] = loose.pop(0)
        if loose:
            flags = [option.flag for option in self._options.values()]
            raise stray_word(loose[0], self._command, flags)
        return given

    def _file(self, path: Path) -> dict[str, str]:
        """Read a YAML file of fields, as `--print-config` and the run folder hold it."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a text file"
            raise UsageError(f"--config {path} cannot be read: {reason}") from error
        except yaml.YAMLError as error:
            where = " ".join(str(error).split())
            raise UsageError(f"--config {path} is not valid YAML: {where}") from error
        if not isinstance(content, dict):
            raise UsageError(f"--config {path} must hold lines 'option: value'")
        return dict(self._lines(content))

    def _lines(self, content: dict[object, object]) -> Iterator[tuple[str, str]]:
        for key, value in content.items():
            name = str(key).replace("-", "_")
            if name not in self._options:
                flags = [option.flag for option in self._options.values()]
                raise unknown_option(f"--{str(key).replace('_', '-')}", flags, self._command)
            yield name, value if isinstance(value, str) else json.dumps(value)


def _is_choice(option: Option, following: list[str]) -> bool:
    """Tell the value of a flag that may stand alone from the argument after it."""
    word = "".join(following)
    if word in option.choices:
        return True
    return bool(closest(word, option.choices)) and not Path(word).exists()  # misspelt


def _as_yaml(option: Option, text: str) -> str:
    """Write '0.5,2', '360x480', 'a=1,b=2' and 'rates=6,12,b=2' the way YAML would."""
    if option.is_mapping and "=" in text and "{" not in text:
        pairs = (pair.partition("=") for pair in re.split(r",(?=\s*\w+\s*=)", text))
        written = (f"{k}: {json.dumps(v) if ',' in v else v}" for k, _, v in pairs)
        return "{" + ", ".join(written) + "}"
    element = option.element
    if element is None or text.startswith("[") or text == "null":
        return text
    entries = re.split(r"[,x]" if element is int else ",", text)
    if len(entries) == 1 and len(alternatives(option.kind)) > 1:  # --crop 512
        return text
    return json.dumps(entries) if element in (str, Path) else "[" + ", ".join(entries) + "]"


def _explained(
    error: ArgumentError, options: dict[str, Option], given: dict[str, str]
) -> UsageError:
    """Turn jsonargparse's message of many lines into ours of one."""
    found = re.search(r'key "(\w+)', str(error))
    option = options.get(found[1]) if found else None
    if option is None:
        return UsageError(" ".join(str(error).split()))
    value = given[option.name].strip("[]")
    meant = meant_value(option.name, value, option.choices)
    question = f"; did you mean {meant}?" if meant else ""
    return UsageError(f"{option.flag} is {value!r}, but must be {_wanted(option)}{question}")


def _wanted(option: Option) -> str:
    return " or ".join(_in_words(kind) for kind in alternatives(option.kind))


def _in_words(kind: object) -> str:
    """Describe what a type takes: "a whole number", "two numbers", "sgd or adamw"."""
    words = {int: "a whole number", float: "a number", Path: "a path", bool: "true or false"}
    if typing.get_origin(kind) is typing.Literal:
        *others, last = map(str, typing.get_args(kind))
        return f"{', '.join(others)} or {last}" if others else last
    if typing.get_origin(kind) is tuple:
        first, *rest = typing.get_args(kind)
        many = "" if rest == [...] else f"{len(rest) + 1} "
        return f"{many}{words.get(first, 'a name').split(' ', 1)[1]}s with commas between"
    if typing.get_origin(kind) is dict:
        return "KEY=VALUE, several with commas between"
    return words.get(kind, "a name") if isinstance(kind, type) else "a name"
