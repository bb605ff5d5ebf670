"""Which folder holds which split, and which mask belongs to which image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrous.data.findings import Finding
from atrous.errors import InputError

__all__ = ["SPLITS", "Pair", "SplitFolders", "folder_splits", "pair_files"]

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})


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

    Raises:
        InputError: None is there.
    """
    splits = {
        name: SplitFolders(root / name / "images", root / name / "masks")
        for name in SPLITS
        if (root / name).is_dir()
    }
    if not splits:
        raise InputError(
            f"{root} holds no train, val or test folder; put images into {root}/train/images "
            f"and masks of the same names into {root}/train/masks, or write a data.yaml"
        )
    return splits


def pair_files(folders: SplitFolders) -> tuple[list[Pair], list[Finding]]:
    """Match images and masks by their path without suffix, in the order of their names."""
    findings: list[Finding] = []
    images = _by_stem(folders.images, findings)
    masks = _by_stem(folders.masks, findings)
    for stem in images.keys() - masks.keys():
        findings.append(
            Finding(
                "error",
                images[stem],
                "has no mask",
                f"add {folders.masks / stem}.png or remove the image",
            )
        )
    for stem in masks.keys() - images.keys():
        findings.append(
            Finding(
                "error",
                masks[stem],
                "has no image",
                f"add the image to {folders.images} or remove the mask",
            )
        )
    both = sorted(images.keys() & masks.keys())
    return [Pair(images[stem], masks[stem]) for stem in both], findings


def _by_stem(folder: Path, findings: list[Finding]) -> Mapping[str, Path]:
    """Return path without suffix -> file, for every picture below `folder`."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            findings.append(
                Finding(
                    "error",
                    path,
                    f"has the same name as {found[stem].name}",
                    "rename or remove one of them",
                )
            )
        else:
            found[stem] = path
    return found
