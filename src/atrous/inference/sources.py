"""Which images a batch is made of, and which name each result gets."""

import glob
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.errors import InputError, closest_path

__all__ = [
    "IMAGE_SUFFIXES",
    "NOTE",
    "Source",
    "as_typed",
    "default_folder",
    "find_sources",
    "holds_results",
]

NOTE = "predictions.json"
"""In a folder of results: the settings, the classes, and which image each mask was made from."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
"""What counts as an image inside a folder; a file that is named itself may end in anything."""


@dataclass(frozen=True)
class Source:
    """One image of a batch.

    Attributes:
        path: The image.
        mask: Where its mask goes, relative to the output folder; ends in .png; unique.
    """

    path: Path
    mask: Path


def find_sources(inputs: Sequence[str], *, exclude: Path | None = None) -> tuple[Source, ...]:
    """Expand files, folders and glob patterns into images with one result name each.

    Folders are searched with all their sub-folders; hidden files and folders and the results of
    earlier batches are left out. The results mirror the folders below the deepest one that holds
    all inputs: a/x.jpg and b/x.jpg become a/x.png and b/x.png. Where x.jpg and x.png lie side by
    side, the masks of that folder keep the full names: x.jpg.png and x.png.png.

    Args:
        inputs: What the user typed.
        exclude: Output folder, whose files are no inputs.

    Raises:
        InputError: A name that does not exist, or nothing found.
    """
    found = [path for given in inputs for path in _expand(given)]
    shut = exclude.absolute() if exclude else None
    paths = list(dict.fromkeys(p.absolute() for p in found))
    paths = [path for path in paths if shut is None or shut not in path.parents]
    if not paths:
        raise InputError(
            f"no image in {', '.join(inputs)}; folders are searched for "
            f"{' '.join(IMAGE_SUFFIXES)} files, but not those with the {NOTE} of an earlier batch"
        )
    root = _common_root(inputs, paths)
    crowded = _folders_with_twins(paths)
    masks = [
        relative.with_name(f"{relative.name if path.parent in crowded else relative.stem}.png")
        for path, relative in ((path, path.relative_to(root)) for path in paths)
    ]
    return tuple(Source(path, mask) for path, mask in zip(as_typed(paths), masks, strict=True))


def holds_results(folder: Path) -> bool:
    """Tell whether a batch has written to `folder`, by the note that it left."""
    try:
        note = json.loads((folder / NOTE).read_text())
        return bool({"images", "weights"} <= note.keys())
    except (OSError, ValueError, AttributeError):
        return False


def default_folder(inputs: Sequence[str], sources: Sequence[Source]) -> Path:
    """Return NAME-masks in the working folder, after the input: photos -> photos-masks."""
    if len(inputs) == 1 and Path(inputs[0]).exists():
        named = Path(inputs[0]).absolute()
    else:
        parents = [source.path.absolute().parent for source in sources]
        named = Path(os.path.commonpath(parents))
    name = named.stem if named.is_file() else named.name
    return Path(f"{name}-masks" if name else "masks")


def _expand(given: str) -> Iterator[Path]:
    """Yield the images behind one word of the command line."""
    path = Path(given)
    if path.is_dir():
        yield from _images_below(path)
    elif path.exists():
        yield path
    elif glob.has_magic(given):
        matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise InputError(f"nothing matches {given}; check the folder and the pattern")
        for match in map(Path, matches):
            if match.is_dir():
                yield from _images_below(match)
            elif match.suffix.lower() in IMAGE_SUFFIXES and not _is_result(match):
                yield match
    else:
        near = closest_path(path)
        remedy = f"did you mean {near}?" if near else "check the name"
        raise InputError(f"no file or folder {given}; {remedy}")


def _images_below(folder: Path) -> Iterator[Path]:
    results = [note.parent for note in folder.rglob(NOTE) if holds_results(note.parent)]
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(each) for each in results):
            continue
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            yield path


def _is_result(path: Path) -> bool:
    """Tell what an earlier batch has written, in its folder or below it."""
    return any(holds_results(folder) for folder in path.absolute().parents)


def _common_root(inputs: Sequence[str], paths: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all images; a single input folder is its own root."""
    if len(inputs) == 1 and Path(inputs[0]).is_dir():
        return Path(inputs[0]).absolute()
    return Path(os.path.commonpath([path.parent for path in paths]))


def _folders_with_twins(paths: Sequence[Path]) -> set[Path]:
    """Return the folders in which two images differ in nothing but the suffix."""
    count = Counter((path.parent, path.stem) for path in paths)
    return {parent for (parent, _), number in count.items() if number > 1}


def as_typed(paths: Sequence[Path]) -> list[Path]:
    """Return paths below the working folder relative to it, as the user sees them."""
    here = Path.cwd()
    return [path.relative_to(here) if here in path.parents else path for path in paths]
