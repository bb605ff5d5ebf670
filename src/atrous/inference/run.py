"""The batch job: many images through one predictor; failures are kept and the rest is done."""

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atrous.data.depth import FULL, white_of
from atrous.errors import InputError, is_out_of_memory
from atrous.inference.config import PredictConfig
from atrous.inference.results_folder import check_folder, drop_lone_note, write_note
from atrous.inference.sources import Source, default_folder, find_sources
from atrous.inference.white import white_doubt
from atrous.inference.writers import (
    is_finished,
    map_paths,
    write_results,
)
from atrous.labels import LabelSet

if TYPE_CHECKING:
    from atrous.inference.predictor import Predictor

__all__ = ["BatchResult", "Failure", "predict_batch", "run_batch"]

Progress = Callable[[int, int], None]
"""Called at the start and after each image with (images done, images in all)."""


@dataclass(frozen=True)
class Failure:
    """One image without a mask.

    Attributes:
        path: The image.
        message: What is wrong with it and what to do, naming the file.
    """

    path: Path
    message: str


@dataclass
class BatchResult:
    """How a batch ended.

    Attributes:
        folder: Where the masks are.
        written: Masks of this run.
        skipped: Number of images that were finished before.
        failures: Images without a mask.
        stopped: Why the batch ended early ("the disk is full ..."), or "".
        interrupted: Whether Ctrl-C ended it.
        seconds: Time from the first image to the last.
        doubt: What makes all the masks doubtful, or "".
        label_set: The classes of the masks.
    """

    folder: Path
    label_set: LabelSet | None = None
    written: list[Path] = field(default_factory=list)
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)
    stopped: str = ""
    interrupted: bool = False
    seconds: float = 0.0
    doubt: str = ""


def predict_batch(config: PredictConfig, *, progress: Progress | None = None) -> BatchResult:
    """Segment everything that `config` names.

    Args:
        config: The command's configuration.
        progress: Told at the start and after each image.

    Raises:
        InputError: Wrong inputs, options, model or output folder; nothing has been written then.
    """
    sources = find_sources(config.inputs, exclude=config.out)
    folder = config.out or default_folder(config.inputs, sources)
    sources = find_sources(config.inputs, exclude=folder)  # it may lie among the inputs
    check_folder(folder, resume=config.resume)
    # Only now: torch takes seconds to load, and a misspelt name should be told at once.
    from atrous.inference.opening import open_predictor
    from atrous.inference.uncertainty import Uncertainty

    uncertainty = None if config.doubt is None else Uncertainty(config.doubt, config.samples)
    predictor = open_predictor(config.model, config, uncertainty=uncertainty)
    return run_batch(
        predictor,
        sources,
        folder,
        overlay=config.overlay,
        probabilities=config.probabilities,
        progress=progress,
    )


def run_batch(
    predictor: "Predictor",
    sources: Sequence[Source],
    folder: Path,
    *,
    overlay: bool = False,
    probabilities: bool = False,
    progress: Progress | None = None,
) -> BatchResult:
    """Segment `sources` into `folder`; images that have all their results are skipped.

    The next image is read and the last one is written while the network computes. Ctrl-C ends the
    batch after the image at hand.

    Raises:
        InputError: The folder holds masks of another model, setting or image, or two results
            would have one name.
    """
    has_maps = predictor.uncertainty is not None
    if has_maps:
        _check_names(sources)
    write_note(folder, sources, predictor.fingerprint())
    result = BatchResult(folder, predictor.model.label_set)
    wanted = [
        source
        for source in sources
        if not is_finished(folder / source.mask, overlay, probabilities, has_maps)
    ]
    result.skipped = len(sources) - len(wanted)
    if progress is not None:
        progress(0, len(wanted))
    begin, highest = time.monotonic(), 0
    with _interruptible() as stop, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        behind = _Behind(writer, result)
        for number, (source, reading) in enumerate(_ahead(reader, wanted, predictor.read)):
            if stop.is_set() or result.stopped:
                reading.cancel()
                break
            segmentation = None
            with _noting_failure(source, result):
                pixels = reading.result()
                highest = max(highest, int(pixels.max()) if pixels.dtype == np.uint16 else FULL)
                segmentation = predictor(pixels, probabilities=probabilities)
            if segmentation is not None:
                path = folder / source.mask
                behind.submit(path, functools.partial(write_results, segmentation, path, overlay))
            if progress is not None:
                progress(number + 1, len(wanted))
        behind.settle()
    drop_lone_note(folder)
    if highest:
        result.doubt = white_doubt(predictor.model.normalization, white_of(highest))
    result.interrupted = stop.is_set()
    result.seconds = time.monotonic() - begin
    return result


def _check_names(sources: Sequence[Source]) -> None:
    """Refuse an image whose mask has the name of another one's map.

    Raises:
        InputError: There is one.
    """
    masks = {source.mask: source.path for source in sources}
    for source in sources:
        for path in map_paths(source.mask):
            if path in masks:
                raise InputError(
                    f"the mask of {masks[path]} and a map of {source.path} would both be "
                    f"{path}; rename one of the images, or predict them into two folders"
                )


@contextlib.contextmanager
def _noting_failure(source: Source, result: BatchResult) -> Iterator[None]:
    """Turn what can go wrong with one image into a line of the result."""
    try:
        yield
    except InputError as error:
        told = str(error) if source.path.name in str(error) else f"{source.path}: {error}"
        result.failures.append(Failure(source.path, told))
    except OSError as error:
        told = f"{source.path} cannot be read ({error.strerror or error})"
        result.failures.append(Failure(source.path, told))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        told = f"{source.path} does not fit into memory when it is read; cut it into smaller files"
        result.failures.append(Failure(source.path, told))


class _Behind:
    """Writes one result in the background while the next is computed."""

    def __init__(self, pool: ThreadPoolExecutor, result: BatchResult) -> None:
        self.pool = pool
        self.result = result
        self.pending: tuple[Path, Future[None]] | None = None

    def submit(self, path: Path, write: Callable[[], None]) -> None:
        """Start to write; waits for the one before, so that at most two results are held."""
        self.settle()
        if not self.result.stopped:
            self.pending = path, self.pool.submit(write)

    def settle(self) -> None:
        """Wait for the write at hand and record how it went."""
        if self.pending is None:
            return
        (path, future), self.pending = self.pending, None
        try:
            future.result()
        except OSError as error:  # disk full, read-only: the next write would fail as well
            self.result.stopped = (
                f"{path} could not be written ({error.strerror or error}); "
                "nothing is half-written: make room, then go on with --resume"
            )
        else:
            self.result.written.append(path)


def _ahead(
    pool: ThreadPoolExecutor, sources: Sequence[Source], read: Callable[[Path], np.ndarray]
) -> Iterator[tuple[Source, "Future[np.ndarray]"]]:
    """Yield each source with its image, which was being read while the last one was computed."""
    following: Future[np.ndarray] | None = None
    for index, source in enumerate(sources):
        current = following or pool.submit(read, source.path)
        more = index + 1 < len(sources)
        following = pool.submit(read, sources[index + 1].path) if more else None
        yield source, current


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, the second into a KeyboardInterrupt."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals belong to the main thread
        return

    def note(_number: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    earlier = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, earlier)
