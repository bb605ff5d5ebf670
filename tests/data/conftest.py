"""Data sets and files made on the spot: a folder writer, a TIFF writer, a cache of their own."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BACKGROUND, THING = 0, 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the scans of tests out of the user's cache."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


def photo(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Return smooth (H, W) or (H, W, C) uint8 pixels, which JPEG keeps nearly as they are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 4 * channels), dtype=np.uint8))
    wide = np.asarray(coarse.resize((width * channels, height), Image.Resampling.BICUBIC))
    pixels = wide.reshape(height, channels, width).transpose(0, 2, 1)
    return np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels)


def halves(height: int = 24, width: int = 32, *, left: int = 0, right: int = 1) -> np.ndarray:
    """Return (H, W) uint8 with two values."""
    values = np.full((height, width), left, np.uint8)
    values[:, width // 2 :] = right
    return values


class DataFolder:
    """Writes images and masks of a data set."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def image(self, name: str, pixels: np.ndarray | None = None, split: str = "train") -> Path:
        path = self._path(split, "images", name if "." in name else f"{name}.jpg")
        seed = zlib.crc32(f"{split}/{name}".encode())
        Image.fromarray(photo(seed=seed) if pixels is None else pixels).save(path)
        return path

    def mask(self, name: str, values: np.ndarray | None = None, split: str = "train") -> Path:
        path = self._path(split, "masks", name if "." in name else f"{name}.png")
        Image.fromarray(halves() if values is None else values).save(path)
        return path

    def pair(self, name: str, values: np.ndarray | None = None, split: str = "train") -> None:
        self.image(name, split=split)
        self.mask(name, values, split=split)

    def yaml(self, text: str) -> Path:
        path = self.root / "data.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _path(self, split: str, kind: str, name: str) -> Path:
        path = self.root / split / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """An empty data set."""
    return DataFolder(tmp_path / "street")


@pytest.fixture
def small(folder: DataFolder) -> DataFolder:
    """A sound data set: two pairs in train, one in val, two classes."""
    folder.pair("a")
    folder.pair("b")
    folder.pair("c", split="val")
    return folder


def encode(pixels: np.ndarray | Image.Image, format_: str, **options: object) -> bytes:
    """Return the bytes of an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def png(
    width: int,
    height: int,
    bits: int,
    colour_type: int,
    rows: bytes = b"",
    *,
    stream: bytes | None = None,
) -> bytes:
    """Return a PNG from its rows, each led by its filter byte, or from its packed stream."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(rows) if stream is None else stream
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def bomb(side: int = 30_000) -> bytes:
    """Return a valid 1-bit PNG of side x side pixels: 109 kB that decode to 900 million bytes."""
    parts = 30  # all alike, so one is packed and repeated
    part_bytes = (1 + side // 8) * side // parts
    packer = zlib.compressobj(9, wbits=-15)
    part = packer.compress(bytes(part_bytes)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = (part_bytes * parts % 65_521) << 16 | 1  # of so many zeros
    stream = b"\x78\xda" + part * parts + b"\x03\x00" + struct.pack(">I", adler)
    return png(side, side, 1, 0, stream=stream)


def tiff(
    pixels: np.ndarray,
    *,
    deflate: bool = False,
    planes: bool = False,
    tile: int = 0,
    predictor: bool = False,
    big: bool = False,
    order: str = "<",
    extra: dict[int, int] | None = None,
) -> bytes:
    """Return a TIFF of (H, W, C) uint8 or uint16, written from the page of TIFF 6.0 alone."""
    height, width, bands = pixels.shape
    rows = 7
    parts: list[np.ndarray] = []
    for group in [pixels[..., [band]] for band in range(bands)] if planes else [pixels]:
        if tile:
            group = np.pad(group, ((0, -height % tile), (0, -width % tile), (0, 0)))
            corners = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
            parts += [group[y : y + tile, x : x + tile] for y, x in corners]
        else:
            parts += [group[top : top + rows] for top in range(0, height, rows)]
    if predictor:
        parts = [np.concatenate([p[:, :1], p[:, 1:] - p[:, :-1]], axis=1) for p in parts]
    blocks = [part.astype(part.dtype.newbyteorder(order)).tobytes() for part in parts]
    blocks = [zlib.compress(block) if deflate else block for block in blocks]
    colours = 3 if bands >= 3 else 1
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [pixels.dtype.itemsize * 8] * bands),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [2 if colours == 3 else 1]),
        277: ("H", [bands]),
        284: ("H", [2 if planes else 1]),
        317: ("H", [2 if predictor else 1]),
    }
    if bands > colours:
        tags[338] = ("H", [0] * (bands - colours))
    tags |= {322: ("H", [tile]), 323: ("H", [tile])} if tile else {278: ("I", [rows])}
    start = 16 if big else 8
    offsets = [start + sum(map(len, blocks[:index])) for index in range(len(blocks))]
    tags |= {(324 if tile else 273): ("I", offsets)}
    tags |= {(325 if tile else 279): ("I", [len(block) for block in blocks])}
    tags |= {tag: ("H", [value]) for tag, value in (extra or {}).items()}
    return _tiff_file(b"".join(blocks), tags, big=big, order=order)


def _tiff_file(
    body: bytes, tags: dict[int, tuple[str, list[int]]], *, big: bool, order: str
) -> bytes:
    word, room = ("Q", 8) if big else ("I", 4)
    start = (16 if big else 8) + len(body)
    after = start + (8 if big else 2) + len(tags) * (20 if big else 12) + room
    entries, beyond = b"", b""
    for tag, (letter, values) in sorted(tags.items()):
        block = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(block) > room:
            pointer = struct.pack(order + word, after + len(beyond))
            block, beyond = pointer, beyond + block
        entries += struct.pack(order + "HH" + word, tag, {"H": 3, "I": 4}[letter], len(values))
        entries += block.ljust(room, b"\0")
    mark = b"II" if order == "<" else b"MM"
    fields = ("HHHQ", 43, 8, 0, start) if big else ("HI", 42, start)
    head = mark + struct.pack(order + fields[0], *fields[1:])
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return head + body + count + entries + b"\0" * room + beyond


class Make:
    """The writers above, for tests to reach without an import."""

    photo = staticmethod(photo)
    halves = staticmethod(halves)
    encode = staticmethod(encode)
    png = staticmethod(png)
    bomb = staticmethod(bomb)
    tiff = staticmethod(tiff)


@pytest.fixture
def make() -> type[Make]:
    """Writers of pixels and of files."""
    return Make


def _errors(spec):
    return [finding for finding in spec.findings if finding.severity == "error"]


@pytest.fixture
def errors():
    """The errors among the findings of a data set."""
    return _errors


@pytest.fixture
def warnings():
    """The warnings among them."""
    return lambda spec: [finding for finding in spec.findings if finding.severity == "warning"]


@pytest.fixture
def the_error():
    """The only error of a data set, told in one line."""

    def only(spec):
        (finding,) = _errors(spec)
        assert "\n" not in str(finding)
        return finding

    return only


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write bytes to a file and return its path."""

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write
