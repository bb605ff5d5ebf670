"""Which encoder weights a network began with, told so that they can be found again."""

import hashlib
from pathlib import Path

from atrous.weights.imagenet import cached_file
from atrous.weights.sources import WEIGHTS_FILE

__all__ = ["weights_origin"]


def weights_origin(source: str | Path | None, encoder_name: str | None) -> dict[str, str] | None:
    """Return where the weights that `create_model` has just read come from.

    Args:
        source: Its `encoder_weights`.
        encoder_name: The encoder that they went into.

    Returns:
        None for random weights, else "source" (imagenet, file or model), "name" (of the file, or
        of the repository on the Hugging Face hub) and "sha256" of the file, where its place is
        known. No folder is named: a model is given away.
    """
    if source is None:
        return None
    if Path(source).is_dir():
        file = Path(source) / WEIGHTS_FILE
        return {"source": "model", "name": file.name, "sha256": _sha256(file)}
    if str(source) != "imagenet":
        return {"source": "file", "name": Path(source).name, "sha256": _sha256(Path(source))}
    name, file = cached_file(str(encoder_name))
    digest = {"sha256": _sha256(file)} if file is not None and file.is_file() else {}
    return {"source": "imagenet", "name": name, **digest}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
