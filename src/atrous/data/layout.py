"""Which folder holds which split, and which mask belongs to which image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrous.data.findings import Finding
from atrous.errors import InputError, closest

__all__ = [
    "SPLITS",
    "WHOLE",
    "Pair",
    "SplitFolders",
    "folder_splits",
    "hold_out",
    "pair_files",
    "split_findings",
]

SPLITS = ("train", "val", "test")
WHOLE = "whole"
HELD_OUT = 5  # one of so many pairs
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
IGNORED_SUFFIXES = frozenset({"", ".txt", ".md", ".json", ".csv", ".xml", ".yaml", ".db", ".ini"})
NAMES_OF_VAL = ("val", "valid", "validation")
"""What the val folder is called, here and by other tools; the first that is there is read."""


@dataclass(frozen=True, order=True)
class Pair:
    """An image and its mask."""

    image: Path
    mask: Path


@dataclass(frozen=True)
class SplitFolders:
    """Where the images and the masks of one split lie."""

    images: Path
    masks: Path


def folder_splits(root: Path) -> dict[str, SplitFolders]:
    """Return the splits of a folder: <split>/images and <split>/masks, or images/<split> and so on.

    The val folder may also be called valid or validation. A folder of images/ and masks/ without
    splits is one split named `WHOLE`.

    Raises:
        InputError: There is none.
    """
    splits = {
        split: SplitFolders(root / name / "images", root / name / "masks")
        for split, name in _split_names(root).items()
    }
    if splits:
        return splits
    images, masks = root / "images", root / "masks"
    if images.is_dir() and masks.is_dir():
        splits = {
            split: SplitFolders(images / name, masks / name)
            for split, name in _split_names(images).items()
        }
        return splits or {WHOLE: SplitFolders(images, masks)}
    inside = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    found = f" (it holds {', '.join(inside[:5])})" if inside else " (it is empty)"
    raise InputError(
        f"{root} has no train, val or test folder{found}; put images into train/images and "
        "val/images and masks of the same names into train/masks and val/masks, "
        "or write a data.yaml"
    )


def hold_out(pairs: tuple[Pair, ...], missing: str) -> tuple[dict[str, tuple[Pair, ...]], str]:
    """Divide pairs that nobody has divided: the last fifth by name, at least one, is val.

    The names alone decide, so that every command scores the same images. The last ones together,
    not every fifth: neighbouring frames of a video look alike, and a score on them would flatter.

    Args:
        pairs: In the order of their names.
        missing: What there is none of, for the note: "val split".

    Returns:
        The splits, and a note that says so. A single pair stays in train.
    """
    count = max(1, len(pairs) // HELD_OUT) if len(pairs) > 1 else 0
    train, val = pairs[: len(pairs) - count], pairs[len(pairs) - count :]
    note = (
        f"no {missing}: the last {len(val):,} of {len(pairs):,} pairs by name are held out as val; "
        "to choose them yourself, put whole places or sequences into val/images and val/masks"
    )
    return {"train": train, "val": val}, note


def split_findings(root: Path, splits: Mapping[str, SplitFolders]) -> list[Finding]:
    """Say what lies beside the folders of the splits and looks as if it should be read."""
    read = {place for folders in splits.values() for place in (folders.images, folders.masks)}
    seen = read | {above for place in read for above in place.parents}
    findings = []
    for other in (root / kind / name for kind in ("", "images") for name in NAMES_OF_VAL):
        if other.is_dir() and other not in seen:
            written = f"write val: {other.relative_to(root).as_posix()} in data.yaml"
            remedy = "merge it into the val split, or move it away" if "val" in splits else written
            findings.append(Finding("warning", other, "is not read as the val split", remedy))
    if {folders.images.parent for folders in splits.values()} == {root / "images"}:
        loose = [file for file in sorted((root / "images").iterdir()) if _is_image(file)]
        if loose:
            what = f"holds {len(loose):,} images beside the splits ({loose[0].name}); left out"
            remedy = "put them into images/train or images/val"
            findings.append(Finding("warning", root / "images", what, remedy))
    return findings


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _split_names(folder: Path) -> dict[str, str]:
    """Return split -> the name that its folder has in `folder`, for those that are there."""
    habits = {name: (name,) for name in SPLITS} | {"val": NAMES_OF_VAL}
    found = {
        split: next((name for name in names if (folder / name).is_dir()), None)
        for split, names in habits.items()
    }
    return {split: name for split, name in found.items() if name is not None}


def pair_files(name: str, folders: SplitFolders) -> tuple[tuple[Pair, ...], list[Finding]]:
    """Match images and masks by their path without suffix, in the order of their names.

    Args:
        name: Of the split; a test split may be without masks.
        folders: Where to look, sub-folders included.

    Raises:
        InputError: No images, no masks, or not one name in common.
    """
    findings: list[Finding] = []
    images = _by_stem(folders.images, findings)
    masks = _by_stem(folders.masks, findings)
    if name == "test" and images and not masks:
        what = "has no masks, so this split cannot be scored and is left out"
        remedy = f"put masks into {folders.masks}, or give the images to `atrous predict`"
        return (), [Finding("warning", folders.images, what, remedy)]
    _check_some(folders, images, masks)
    for stem in images.keys() - masks.keys():
        remedy = f"add {folders.masks / stem}.png or remove the image"
        findings.append(Finding("error", images[stem], "has no mask", remedy))
    for stem in masks.keys() - images.keys():
        remedy = f"add its image to {folders.images} or remove the mask"
        findings.append(Finding("error", masks[stem], "has no image", remedy))
    both = sorted(images.keys() & masks.keys())
    return tuple(Pair(images[stem], masks[stem]) for stem in both), findings


def _check_some(
    folders: SplitFolders, images: Mapping[str, Path], masks: Mapping[str, Path]
) -> None:
    for folder, found, kind in (
        (folders.images, images, "images"),
        (folders.masks, masks, "masks"),
    ):
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist; make it and put the {kind} there")
        if not found:
            raise InputError(
                f"{folder} holds no {kind}; put files there whose names end in "
                f"{', '.join(sorted(IMAGE_SUFFIXES))}, one mask for each image with the same name"
            )
    if not images.keys() & masks.keys():
        image, mask = min(images), min(masks)
        near = closest(image, masks, count=1) or [mask]
        raise InputError(
            f"no mask in {folders.masks} has the name of an image: there is "
            f"{images[image].name}, but {masks[near[0]].name}; "
            f"give both the same name, such as {Path(image).name}.png"
        )


def _by_stem(folder: Path, findings: list[Finding]) -> Mapping[str, Path]:
    """Return path without suffix -> file, for every picture below `folder`."""
    found: dict[str, Path] = {}
    strange = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        suffix = path.suffix.lower()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if suffix not in IMAGE_SUFFIXES:
            if suffix not in IGNORED_SUFFIXES and path.is_file():
                strange.append(path)
            continue
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            what = f"has the same name as {found[stem].name} but for its ending"
            findings.append(Finding("error", path, what, "rename or remove one of them"))
        else:
            found[stem] = path
    if strange:
        more = f" and {len(strange) - 1:,} more of" if len(strange) > 1 else ", of"
        what = f"holds {strange[0].name}{more} no format that is read; left out"
        findings.append(Finding("warning", folder, what, "save such files as PNG"))
    return found
