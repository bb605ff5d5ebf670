"""What the scan learns from one image or mask, whoever asks and whatever the file is called.

The facts follow from the bytes alone, so they can be kept under the bytes' hash.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from atrous.data.decoding.headers import MAX_BYTES, judge_file, judge_header
from atrous.data.decoding.truncation import check_whole
from atrous.data.findings import FileError
from atrous.data.images import decode_image
from atrous.data.masks import decode_mask, value_counts

__all__ = ["FileFacts", "image_facts", "mask_facts", "read_content"]

MOST_VALUES = 4_096  # of one mask; more are a photo, a depth map or smoothed edges


@dataclass(frozen=True)
class FileFacts:
    """Facts about one file; a file with a fault has no others.

    Attributes:
        width: As shown, in pixels.
        height: As shown, in pixels.
        channels: Of an image, as `read_image` returns it.
        bits: Per channel.
        highest: Highest value of an image that `read_image` returns with 16 bits.
        turned: Whether EXIF says that the picture lies on its side.
        coloured: Of a mask: whether the values are colours.
        counts: Of a mask: raw value or colour 0xRRGGBB -> pixels.
        palette: Of a palette mask: value that occurs -> colour 0xRRGGBB.
        fault: What is wrong and what to do about it.
    """

    width: int = 0
    height: int = 0
    channels: int = 0
    bits: int = 0
    highest: int | None = None
    turned: bool = False
    coloured: bool = False
    counts: Mapping[int, int] = field(default_factory=dict)
    palette: Mapping[int, int] = field(default_factory=dict)
    fault: tuple[str, str] | None = None

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "FileFacts":
        """Rebuild what `to_json` gave.

        Raises:
            TypeError, ValueError, AttributeError, KeyError: It is something else.
        """
        values = dict(content)
        for name in ("counts", "palette"):
            pairs = values[name].items()  # type: ignore[attr-defined] # AttributeError is told
            values[name] = {int(key): int(value) for key, value in pairs}
        fault = values["fault"]
        if fault is not None:
            if not isinstance(fault, list) or not all(isinstance(text, str) for text in fault):
                raise TypeError(fault)
            values["fault"] = tuple(fault)
        return cls(**values)  # type: ignore[arg-type] # TypeError is told


def read_content(path: Path) -> tuple[bytes, str]:
    """Return all bytes of a file and their hash.

    Raises:
        FileError: It is missing, a directory, unreadable or too large.
    """
    try:
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            content = path.read_bytes()
            return content, hashlib.blake2b(content, digest_size=16).hexdigest()
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise FileError(path, what, "check its permissions and the disk") from error
    judge_header(path)  # says what is wrong
    raise FileError(path, "changed while it was read", "try again")


def image_facts(path: Path, content: bytes) -> FileFacts:
    """Judge the header of an image and whether it is complete.

    The pixels stay undecoded unless they have more than 8 bits, of which few may be used.
    """
    highest = None
    try:
        header = judge_file(path, io.BytesIO(content))
        if header.bits > 8:
            pixels = decode_image(path, header, content)
            highest = int(pixels.max()) if pixels.dtype.itemsize > 1 else None
        else:
            check_whole(path, header, content)
    except FileError as error:
        return FileFacts(fault=(error.finding.what, error.finding.remedy))
    return FileFacts(
        header.width,
        header.height,
        header.channels,
        header.bits,
        highest,
        turned=header.orientation >= 5,
    )


def mask_facts(path: Path, content: bytes) -> FileFacts:
    """Decode a mask and count its values."""
    try:
        header = judge_file(path, io.BytesIO(content))
        raw = decode_mask(path, header, content)
        counts = value_counts(raw.values)
        if len(counts) > MOST_VALUES:
            kind = "colours" if raw.coloured else "values"
            what = f"holds {len(counts):,} {kind}: a photo or smoothed edges, no mask of classes"
            raise FileError(path, what, "export the mask again without smoothing, as PNG")
    except FileError as error:
        return FileFacts(fault=(error.finding.what, error.finding.remedy))
    shown = {value: raw.colour(value) for value in counts} if raw.palette else {}
    palette = {value: colour for value, colour in shown.items() if colour is not None}
    height, width = raw.values.shape
    return FileFacts(
        width, height, coloured=raw.coloured, bits=header.bits, counts=counts, palette=palette
    )
