"""`__all__` is written out in every module: sorted, complete, and nothing that is not there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import atrous

PACKAGE = Path(atrous.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def written(path: Path) -> list[str]:
    """Return the literal `__all__` of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if "__all__" in names:
            found: list[str] = ast.literal_eval(node.value)
            return found
    pytest.fail(f"{path.relative_to(PACKAGE)} has no __all__")


def order(name: str) -> tuple[int, list[str | int]]:
    """Constants, then classes, then functions, as ruff sorts `__all__` (RUF022): 8 before 16."""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), parts


def public(path: Path) -> set[str]:
    """Return the public classes and functions that a file defines."""
    return {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_all_is_sorted_and_complete(path: Path) -> None:
    names = written(path)

    assert names == sorted(set(names), key=order)
    assert public(path) <= set(names), "a public name is missing; add it or give it an underscore"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_exported_name_can_be_had(path: Path) -> None:
    module = importlib.import_module(module_name(path))

    for name in written(path):
        assert getattr(module, name) is not None


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=module_name
)
def test_a_package_offers_what_its_lazy_table_names(path: Path) -> None:
    """The lazy table, the imports for the type checker and `__all__` say the same."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tables = [
        set(ast.literal_eval(node.args[1]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "lazy"
        and len(node.args) == 2
    ]

    for table in tables:
        assert table | {"__version__"} >= set(written(path)) >= table
