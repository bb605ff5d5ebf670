"""The table of rooms: which part of the package may import which.

A room imports only what its row names, and every name stands in an earlier row, so there are no
cycles and the early rooms can be used alone. Imports inside functions, under TYPE_CHECKING and
the homes of lazy names count as well. A new edge is a visible decision: change the table.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "atrous"

EVERYWHERE = {"compiling", "errors", "files", "_lazy"}
ROOMS: dict[str, tuple[str, ...]] = {
    "compiling": (),
    "errors": (),
    "files": (),
    "_lazy": (),
    "labels": (),
    "ops": (),
    "layers": ("ops",),
    "crf": ("ops",),
    "data": ("ops", "labels"),
    "encoders": ("layers", "ops"),
    "models": ("encoders", "layers", "crf", "ops", "labels"),
    "explain": ("models", "encoders", "layers", "ops"),
    "weights": ("models", "encoders", "labels", "ops"),
    "smp": ("weights", "models"),
    # data: reading images and masks, shrinking images, so that predict does as training does
    "inference": ("weights", "models", "crf", "data", "labels", "ops"),
    # crf: searching its parameters is evaluation
    "evaluation": ("inference", "crf", "data", "labels", "ops"),
    "reports": ("evaluation", "inference", "data", "labels"),
    "training": (
        "evaluation",
        "inference",
        "weights",
        "models",
        "encoders",
        "data",
        "layers",
        "labels",
        "ops",
    ),
    # models: which networks there are, to tell their names from folders
    "compare": (
        "training",
        "reports",
        "evaluation",
        "inference",
        "weights",
        "explain",
        "models",
        "data",
        "labels",
    ),
}
ANY_ROOM = {"cli", "__init__", "__main__"}  # the door, and the names that it offers

HEAVY: dict[str, tuple[str, ...]] = {  # libraries that stay in few rooms
    "lightning": ("training",),
    "matplotlib": ("explain",),
    "jsonargparse": ("cli",),
    "rich": ("cli",),
    "jinja2": ("reports",),
    "timm": ("encoders", "weights", "cli"),
    "torchvision": ("encoders", "weights"),
    "huggingface_hub": ("weights",),
    "torchmetrics": ("evaluation",),
    "scipy": ("compare",),
    "pyarrow": ("evaluation",),
}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of everything that a file imports, in whatever block it stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute here"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "atrous" else []
            yield from ((node.lineno, name) for name in names or [module])


def lazy_calls(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, name -> module inside the package) of the `lazy(...)` call of a package."""
    for node in ast.walk(tree(path)):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if is_call and node.func.id == "lazy" and len(node.args) == 2:
            yield node.lineno, ast.literal_eval(node.args[1])


def lazy_names(path: Path) -> dict[str, str]:
    return {name: home for _, homes in lazy_calls(path) for name, home in homes.items()}


def lazy_homes(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of the homes that a package's `lazy(...)` call names."""
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    for line, homes in lazy_calls(path):
        for name, home in homes.items():
            yield line, f"{package}.{home or name}"


def edges() -> list[tuple[str, str, str]]:
    """Return (place, room, room that it imports), for imports between rooms."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, module in [*imported(path), *lazy_homes(path)]:
            parts = module.split(".")
            if parts[0] == "atrous" and len(parts) > 1 and parts[1] != room_of(path):
                found.append((f"{path.relative_to(PACKAGE)}:{line}", room_of(path), parts[1]))
    return found


def test_every_row_names_earlier_rows_only() -> None:
    names = list(ROOMS)
    for position, (room, allowed) in enumerate(ROOMS.items()):
        assert set(allowed) <= set(names[:position]), room


def test_every_room_stands_in_the_table() -> None:
    on_disk = {room_of(path) for path in PACKAGE.rglob("*.py")}

    assert on_disk <= set(ROOMS) | ANY_ROOM


def test_rooms_import_only_what_their_row_names() -> None:
    wrong = [
        f"{place}: {room} imports {other}"
        for place, room, other in edges()
        if room not in ANY_ROOM
        and other not in EVERYWHERE
        and other != "__version__"
        and other not in ROOMS[room]
    ]

    assert not wrong, "\n".join(wrong)


def test_no_lazy_name_is_also_the_name_of_its_module() -> None:
    """Importing the module would put it where the name ought to stand, by the order of imports."""
    wrong = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("__init__.py"))
        for name, home in lazy_names(path).items()
        if home and ((path.parent / f"{name}.py").exists() or (path.parent / name).is_dir())
    ]

    assert not wrong, "\n".join(wrong)


def test_nothing_imports_the_command_line() -> None:
    assert [place for place, room, other in edges() if other == "cli" and room != "__main__"] == []


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_stays_in_its_rooms(library: str) -> None:
    places = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, module in imported(path)
        if module.split(".")[0] == library and room_of(path) not in HEAVY[library]
    ]

    assert not places, f"{library} is imported in {', '.join(places)}"
