"""`data.yaml`: where the splits lie and what the numbers in the masks mean.

path: .                      # folder of the splits; relative to this file
train: train                 # a folder with images/ and masks/, or .../images itself,
val: {images: a, masks: b}   # or both by name; without any, train, val and test are sought
names: [background, crack]   # or {0: background, 1: crack}
colours: [[0, 0, 0], "#ff0000"]
label_map: {255: crack, "224,224,192": ignore}
ignore_index: 255
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from atrous.data.declared_classes import Declared, read_declared
from atrous.data.layout import SPLITS, SplitFolders, folder_splits
from atrous.errors import InputError, unknown

__all__ = ["NAME", "read_data_yaml", "refuse_remote"]

NAME = "data.yaml"
MAX_BYTES = 2**20
KEYS = ("path", *SPLITS, "names", "colours", "label_map", "ignore_index")


def read_data_yaml(file: Path) -> tuple[Path, dict[str, SplitFolders], Declared]:
    """Return the folder, the splits and what is said about the classes.

    Raises:
        InputError: No YAML mapping, an unknown key, a value of the wrong kind, a folder that is
            missing or lies outside `path`.
    """
    content = _load(file)
    for key in content:
        if key not in KEYS:
            raise unknown(f"key in {file}:", str(key), KEYS, see=", ".join(KEYS))
    root = _root(file, content.get("path"))
    places = {name: content[name] for name in SPLITS if content.get(name) is not None}
    splits = {name: _folders(file, root, name, place) for name, place in places.items()}
    return root, splits or folder_splits(root), read_declared(file, content)


def refuse_remote(text: str) -> None:
    """Refuse what some readers would fetch or unpack on their own.

    Raises:
        InputError: `text` is a URL or a GDAL virtual path.
    """
    if "://" in text or "/vsi" in text.lower():
        raise InputError(f"{text} is no local path; download it first and give the folder")


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
