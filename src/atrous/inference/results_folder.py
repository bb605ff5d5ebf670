"""The folder a batch writes to: empty or its own, with a note of what made the results."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from atrous.errors import InputError
from atrous.files import write_json
from atrous.inference.sources import NOTE, Source, as_typed

__all__ = ["check_folder", "drop_lone_note", "finished_sources", "write_note"]


def check_folder(folder: Path, *, resume: bool) -> None:
    """Require `folder` to be new or without results; with `resume`, one that a batch has written.

    Raises:
        InputError: It is in use, or a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder with --out")
    if not folder.is_dir() or not any(entry.name != NOTE for entry in folder.iterdir()):
        return
    if not resume:
        raise InputError(
            f"{folder} is not empty; --resume goes on there, --out names another folder"
        )
    _read_note(folder)


def write_note(folder: Path, sources: Sequence[Source], settings: Mapping[str, object]) -> None:
    """Write what makes the results; an earlier note must agree.

    Args:
        folder: Passed `check_folder`.
        sources: What will be written there.
        settings: Everything that decides the masks, as JSON values.

    Raises:
        InputError: The masks there were made with other settings, or from other images.
    """
    images = {source.mask.as_posix(): str(source.path.absolute()) for source in sources}
    drop_lone_note(folder)
    if (folder / NOTE).exists():
        earlier = _read_note(folder)
        _compare(folder, earlier, json.loads(json.dumps(settings)), images)
        known = earlier["images"]
        assert isinstance(known, dict)
        images = known | images
    write_json(folder / NOTE, {**settings, "images": images})


def drop_lone_note(folder: Path) -> None:
    """Remove the note of a batch of which no image succeeded, and its folder, as if never begun."""
    if folder.is_dir() and [entry.name for entry in folder.iterdir()] == [NOTE]:
        (folder / NOTE).unlink()
        with contextlib.suppress(OSError):  # the working folder, or a mount point
            folder.rmdir()


def finished_sources(
    folder: Path, beside: Callable[[Path], Sequence[Path]] = lambda _: ()
) -> tuple[Source, ...]:
    """Return the images of all batches in a folder whose mask lies there, and what goes with it.

    Args:
        folder: Of the results.
        beside: Names the files that have to lie beside a mask.

    Raises:
        InputError: The folder holds no batch.
    """
    images = _read_note(folder)["images"]
    assert isinstance(images, dict)
    found = [
        (Path(image), Path(mask))
        for mask, image in images.items()
        if all((folder / name).exists() for name in (mask, *beside(Path(mask))))
    ]
    shown = as_typed([image for image, _ in found])
    return tuple(Source(image, mask) for image, (_, mask) in zip(shown, found, strict=True))


def _read_note(folder: Path) -> dict[str, object]:
    try:
        note = json.loads((folder / NOTE).read_text())
        if not isinstance(note["images"], dict):
            raise TypeError(type(note["images"]).__name__)  # told as the others below
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} is not empty and holds no readable {NOTE} of an earlier batch; "
            "name another folder with --out"
        ) from error
    return dict(note)


def _compare(
    folder: Path,
    earlier: Mapping[str, object],
    settings: Mapping[str, object],
    images: Mapping[str, str],
) -> None:
    """Refuse to mix results: the same mask must come from the same image, model and settings."""
    for key, wanted in settings.items():
        if earlier.get(key) != wanted:
            raise InputError(
                f"the masks in {folder} were made with {key} {earlier.get(key)}, now it is "
                f"{wanted}; give the same options, or another folder with --out"
            )
    known = earlier["images"]
    assert isinstance(known, dict)
    for mask, image in images.items():
        if known.get(mask, image) != image:
            raise InputError(
                f"{folder / mask} was made from {known[mask]}, now it would be {image}; "
                "give the same inputs, or another folder with --out"
            )
