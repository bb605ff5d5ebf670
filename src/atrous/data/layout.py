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
OTHER_NAMES_OF_VAL = ("valid", "validation")


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
    """Return the splits of a folder laid out as <split>/images and <split>/masks.

    A folder of images/ and masks/ alone is one split named `WHOLE`.

    Raises:
        InputError: There is none.
    """
    splits = {
        name: SplitFolders(root / name / "images", root / name / "masks")
        for name in SPLITS
        if (root / name).is_dir()
    }
    if splits:
        return splits
    if (root / "images").is_dir() and (root / "masks").is_dir():
        return {WHOLE: SplitFolders(root / "images", root / "masks")}
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


def split_findings(root: Path, splits: Mapping[str, object]) -> list[Finding]:
    """Say if the val split lies there under another name."""
    if "train" not in splits or "val" in splits:
        return []
    return [
        Finding("warning", root / other, "is not read as the val split", "rename it to val")
        for other in OTHER_NAMES_OF_VAL
        if (root / other).is_dir()
    ]


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
