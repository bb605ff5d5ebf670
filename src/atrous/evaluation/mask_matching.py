"""Which finished mask belongs to which image: by path first, by name alone where that is clear."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from atrous.errors import InputError, counted, listed
from atrous.evaluation.image_names import image_names

__all__ = ["match_masks"]

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


def match_masks(folder: Path, images: Sequence[Path]) -> dict[Path, Path]:
    """Return image -> mask, one for each image and none besides.

    The mask a/1.png of the folder belongs to the image that lies at .../a/1.jpg. An image without
    such a mask takes the one of its stem in any sub-folder, if neither has a rival.

    Args:
        folder: Masks, in any sub-folders.
        images: Of one split, each once.

    Raises:
        InputError: Missing, surplus or ambiguous masks, all told at once.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give the folder that holds the predicted masks")
    masks = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    found = _by_path(folder, masks, images)
    found |= _by_stem(
        [mask for mask in masks if mask not in set(found.values())],
        [image for image in images if image not in found],
    )
    _check_complete(folder, masks, images, found)
    return found


def _by_path(folder: Path, masks: Sequence[Path], images: Sequence[Path]) -> dict[Path, Path]:
    """Match each image to the mask with the longest path that its own path ends in.

    A mask that two images would take is left to neither.
    """
    by_parts = {mask.relative_to(folder).with_suffix("").parts: mask for mask in masks}
    longest = max(map(len, by_parts), default=0)
    found = {}
    for image in images:
        parts = image.with_suffix("").parts
        tails = (parts[-length:] for length in range(min(longest, len(parts)), 0, -1))
        mask = next((by_parts[tail] for tail in tails if tail in by_parts), None)
        if mask is not None:
            found[image] = mask
    takers = Counter(found.values())
    return {image: mask for image, mask in found.items() if takers[mask] == 1}


def _by_stem(masks: Sequence[Path], images: Sequence[Path]) -> dict[Path, Path]:
    """Match what has its stem alone on both sides."""
    places, wanted = (Counter(path.stem for path in paths) for paths in (masks, images))
    by_stem = {mask.stem: mask for mask in masks if places[mask.stem] == 1}
    return {
        image: by_stem[image.stem]
        for image in images
        if image.stem in by_stem and wanted[image.stem] == 1
    }


def _check_complete(
    folder: Path, masks: Sequence[Path], images: Sequence[Path], found: Mapping[Path, Path]
) -> None:
    """Tell what is left over on either side.

    Raises:
        InputError: Something is.
    """
    stems = {image.stem for image in images}
    left = [mask for mask in masks if mask not in set(found.values())]
    offered = {mask.stem for mask in left}
    names = dict(zip(images, _without_suffix(image_names(images)), strict=True))
    bare = [image for image in images if image not in found]
    problems = [
        _told("image", "without a mask", [names[x] for x in bare if x.stem not in offered]),
        _told(
            "image",
            "without a mask at the same path, where the name alone does not tell which it is",
            [names[x] for x in bare if x.stem in offered],
        ),
        _told("mask", "of no image of the split", sorted(offered - stems)),
        _told(
            "name",
            "that more than one mask has",
            sorted({mask.stem for mask in left if mask.stem in stems}),
        ),
    ]
    told = "; ".join(problem for problem in problems if problem)
    if told:
        raise InputError(
            f"{folder}: {told}; one mask per image is needed, with the image's stem, and in the "
            "image's sub-folder where stems repeat"
        )


def _without_suffix(names: Sequence[str]) -> list[str]:
    return [Path(name).with_suffix("").as_posix() for name in names]


def _told(what: str, how: str, names: Sequence[str]) -> str:
    return f"{counted(len(names), what)} {how} ({listed(names, most=3)})" if names else ""
