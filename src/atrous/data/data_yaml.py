"""`data.yaml`: where the splits lie and what the numbers in the masks mean.

path: .                      # folder of the splits; relative to this file
train: train                 # a folder with images/ and masks/, or .../images itself,
val: {images: a, masks: b}   # or both by name; without any, train, val and test are sought
names: [background, crack]   # or {0: background, 1: crack}
colours: [[0, 0, 0], "#ff0000"]
label_map: {255: crack, "224,224,192": ignore}
ignore_index: 255
"""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from atrous.data.declared_classes import Declared, read_declared
from atrous.data.layout import SPLITS, SplitFolders, folder_splits
from atrous.errors import InputError, unknown

__all__ = ["NAME", "read_data_yaml", "refuse_remote"]

NAME = "data.yaml"
MAX_BYTES = 2**20
COUNTS = ("nc", "num_classes")
HABITS = {
    "class_names": "names",
    "classes": "names",
    "color_map": "colours",
    "dir": "path",
    "ignore": "ignore_index",
    "ignore_label": "ignore_index",
    "labels": "names",
    "palette": "colours",
    "root": "path",
    "valid": "val",
    "validation": "val",
    "void": "ignore_index",
}
"""What other tools call our keys."""
REMOTE = re.compile(r"://|[a-z0-9+.-]{2,}:/|/vsi")
"""`Path` makes https:/x of https://x; one letter before the colon may be a drive."""
KEYS = ("path", *SPLITS, "names", "colours", "label_map", "ignore_index")


def read_data_yaml(file: Path) -> tuple[Path, dict[str, SplitFolders], Declared]:
    """Return the folder, the splits and what is said about the classes.

    Raises:
        InputError: No YAML mapping, an unknown key, a value of the wrong kind, a folder that is
            missing or lies outside `path`.
    """
    content = _load(file)
    for key in content:
        if key not in (*KEYS, *COUNTS):
            raise _unknown_key(file, str(key))
    root = _root(file, content.get("path"))
    places = {name: content[name] for name in SPLITS if content.get(name) is not None}
    splits = {name: _folders(file, root, name, place) for name, place in places.items()}
    declared = read_declared(file, content)
    for key in COUNTS:
        _check_count(file, key, content.get(key), declared.num_classes)
    return root, splits or folder_splits(root), declared


def refuse_remote(text: str) -> None:
    """Refuse what some readers would fetch or unpack on their own.

    Raises:
        InputError: `text` is a URL or a GDAL virtual path.
    """
    if REMOTE.search(text.lower()):
        raise InputError(f"{text} is no local path; download it first and give the folder")


def _unknown_key(file: Path, key: str) -> InputError:
    meant = HABITS.get(key.lower())
    if meant is None:
        return unknown(f"key in {file}:", key, KEYS, see=", ".join(KEYS))
    return InputError(f"unknown key in {file}: {key!r}; did you mean {meant}?")


def _check_count(file: Path, key: str, count: object, named: int | None) -> None:
    """Take a number of classes, which most tools want beside the names, if it is theirs."""
    if count is None or count == named:
        return
    if named is None:
        raise InputError(
            f"{file}: {key} is {count!r}, but nothing names the classes; write names: "
            f"[background, ...] instead, or leave {key} out and the masks decide"
        )
    raise InputError(f"{file}: {key} is {count!r}, but {named} classes are named; correct one")


def _load(file: Path) -> Mapping[object, object]:
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{file} has over {MAX_BYTES:,} bytes; a {NAME} has a few lines")
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text; save it as UTF-8") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise InputError(f"{file} is no YAML{line}: {problem}; correct that line") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{file} holds no keys; write for example 'names: [background, crack]'")
    return content


def _root(file: Path, path: object) -> Path:
    if path is None:
        return file.parent
    if not isinstance(path, str):
        raise InputError(f"{file}: path is {path!r}; give a folder")
    refuse_remote(path)
    root = file.parent / path
    if not root.is_dir():
        raise InputError(f"{file}: path {path} means {root}, which is no folder; correct it")
    return root


def _folders(file: Path, root: Path, name: str, place: object) -> SplitFolders:
    """Find the two folders of a split in any of the three ways to write it."""
    if isinstance(place, Mapping):
        if set(place) != {"images", "masks"}:
            keys = ", ".join(map(str, place))
            raise InputError(f"{file}: {name} has the keys {keys}; give images and masks")
        images, masks = (_inside(file, root, name, place[key]) for key in ("images", "masks"))
        return SplitFolders(images, masks)
    folder = _inside(file, root, name, place)
    if (folder / "images").is_dir() or "images" not in folder.relative_to(root).parts:
        return SplitFolders(folder / "images", folder / "masks")
    parts = list(folder.relative_to(root).parts)
    last = len(parts) - 1 - parts[::-1].index("images")
    parts[last] = "masks"
    return SplitFolders(folder, root.joinpath(*parts))


def _inside(file: Path, root: Path, name: str, value: object) -> Path:
    if not isinstance(value, str):
        raise InputError(f"{file}: {name} is {value!r}; give a folder, or images and masks")
    refuse_remote(value)
    relative = Path(value)
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(
            f"{file}: {name} is {value}, which may lie outside {root}; "
            "give it relative to path, and set path to a folder above it"
        )
    if not (root / relative).is_dir():
        raise InputError(f"{file}: {name} means {root / relative}, which is no folder; correct it")
    return root / relative
