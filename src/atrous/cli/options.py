"""The options of a command, read off its configuration dataclass.

A field is an option: its name with dashes is the flag, its annotation the type, the sentence
under it the help. `field(metadata={"positional": True})` makes it an argument without a flag as
well (in field order; the last one takes all that is left if it is a tuple). Blank lines between
the fields separate groups in the help, unless one stands above every field;
`metadata={"metavar": "IMAGE"}` names the value; with `metadata={"bare": "stored"}` the flag may
stand alone and then has that value. `metadata={"brief": True}`: the help names the flag only.
A field `json: bool` follows `--json`. A field
with `metadata={"typed_names": True}` is no option: it gets the names of those that were typed.
"""

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Option", "alternatives", "options_of", "type_name", "typed_names_field"]


@dataclass(frozen=True)
class Option:
    """One field of a configuration, as the command line sees it."""

    name: str
    kind: object
    """The annotation: int, Path | None, Literal[...], tuple[float, ...], ..."""
    default: object
    """The value if nothing is given; `dataclasses.MISSING` if something must be."""
    sentence: str
    positional: bool
    opens_group: bool
    metavar: str
    bare: str = ""
    """What the flag means without a value; "" where it needs one."""
    is_brief: bool = False
    """Whether the help only names it: seldom typed, and explained in a document."""

    @property
    def flag(self) -> str:
        """What is typed: --batch-size."""
        return "--" + self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        """Whether the command cannot run without it."""
        return self.default is dataclasses.MISSING

    @property
    def is_switch(self) -> bool:
        """Whether the bare flag says it all."""
        return self.kind is bool

    @property
    def is_mapping(self) -> bool:
        """Whether the value is KEY=VALUE, perhaps several."""
        return any(typing.get_origin(kind) is dict for kind in alternatives(self.kind))

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that a Literal allows; () for every other type."""
        kinds = [kind for kind in alternatives(self.kind) if typing.get_origin(kind) is Literal]
        return tuple(str(choice) for kind in kinds for choice in typing.get_args(kind))

    @property
    def element(self) -> object | None:
        """Type of the entries where the value may be a tuple, else None."""
        for kind in alternatives(self.kind):
            if typing.get_origin(kind) is tuple:
                first: object = typing.get_args(kind)[0]
                return first
        return None

    @property
    def length(self) -> int | None:
        """Number of entries where the value may be a tuple of fixed length, else None."""
        for kind in alternatives(self.kind):
            if typing.get_origin(kind) is tuple and typing.get_args(kind)[-1] is not ...:
                return len(typing.get_args(kind))
        return None


def options_of(config: type) -> tuple[Option, ...]:
    """Read the options off a dataclass, in field order."""
    kinds = typing.get_type_hints(config)
    sentences = _sentences(config)
    return tuple(
        Option(
            name=field.name,
            kind=kinds[field.name],
            default=_default(field),
            sentence=sentences[field.name][0],
            positional=bool(field.metadata.get("positional")),
            opens_group=sentences[field.name][1],
            metavar=field.metadata.get("metavar") or _metavar(field, kinds[field.name]),
            bare=field.metadata.get("bare", ""),
            is_brief=bool(field.metadata.get("brief")),
        )
        for field in dataclasses.fields(config)
        if field.name != typed_names_field(config)
    )


def typed_names_field(config: type) -> str | None:
    """Return the field that is told which options were typed, None if the dataclass has none."""
    fields = dataclasses.fields(config)
    return next((field.name for field in fields if field.metadata.get("typed_names")), None)


def alternatives(kind: object) -> tuple[object, ...]:
    """Return the members of a union without None: `int | None` gives (int,)."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return tuple(member for member in typing.get_args(kind) if member is not type(None))
    return (kind,)


def type_name(kind: object) -> str:
    """Write a type as the help shows it: N, X, PATH, sgd|adamw, N,N."""
    if typing.get_origin(kind) is Literal:
        return "|".join(str(choice) for choice in typing.get_args(kind))
    if typing.get_origin(kind) is dict:
        return "KEY=VALUE,.."
    if typing.get_origin(kind) is tuple:
        first, *rest = typing.get_args(kind)
        return ",".join([type_name(first), *(".." if r is ... else type_name(r) for r in rest)])
    return {int: "N", float: "X", Path: "PATH", str: "NAME", bool: ""}.get(kind, "VALUE")  # type: ignore[call-overload,no-any-return]  # kind may be any annotation


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _metavar(field: dataclasses.Field[object], kind: object) -> str:
    if field.metadata.get("positional"):
        name = field.name.upper().replace("_", "-")
        is_many = any(typing.get_origin(kind) is tuple for kind in alternatives(kind))
        return name.removesuffix("S") + "..." if is_many else name
    return "|".join(dict.fromkeys(type_name(member) for member in alternatives(kind)))


def _sentences(config: type) -> dict[str, tuple[str, bool]]:
    """Find the text under each field, and whether a blank line stands above the field."""
    source = textwrap.dedent(inspect.getsource(config))
    lines = source.splitlines()
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, tuple[str, bool]] = {}
    for statement, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            is_after_blank = not lines[statement.lineno - 2].strip()
            found[statement.target.id] = (_text(following), is_after_blank)
    if all(is_after_blank for _, is_after_blank in found.values()):  # just airy, no groups
        return {name: (sentence, False) for name, (sentence, _) in found.items()}
    return found


def _text(statement: ast.stmt | None) -> str:
    """Return the string that a statement consists of, on one line; "" if it is not one."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return ""
