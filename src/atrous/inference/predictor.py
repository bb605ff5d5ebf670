"""The predictor: a network, and how an image goes through it, as one callable."""

import contextlib
import copy
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atrous.data.warp import smooth_before_shrinking
from atrous.errors import InputError, is_out_of_memory, unknown
from atrous.inference.config import UncertaintyMethod
from atrous.inference.crf_settings import stamp
from atrous.inference.crf_step import CRF, sharpened
from atrous.inference.device import open_device
from atrous.inference.evaluating import evaluating
from atrous.inference.images import open_image
from atrous.inference.merging import DOUBTS, merge, merge_with_doubt, passes
from atrous.inference.segmentation import Segmentation, to_rgb, uncertainty
from atrous.inference.temperature import temperature_of
from atrous.inference.tiling import WHOLE_PIXELS, Block, Tiling, shared_band, tiled
from atrous.inference.uncertainty import Uncertainty
from atrous.models.segmentation_model import SegmentationModel
from atrous.ops import normalise, resize, upsample_argmax

__all__ = ["Predictor"]

ImageSource = str | Path | np.ndarray | Image.Image
Floats = NDArray[np.float32]

ENGINES = ("auto", "eager")
PRECISIONS = ("fp32", "bf16")


class Predictor:
    """Segments images of any size with one model; calling it never changes the model.

    Labels alone at one scale take the short way: coarse scores, fused upsampling and argmax; the
    full-resolution logits never exist. Everything else merges softmax probabilities.

    Memory for labels is bounded by the window, not by the image: one of more than 4 194 304 pixels
    goes through the network in overlapping windows of 1024, whose probabilities are blended
    (`atrous.inference.tiling`). A window has no context but its own; in particular, features that
    a network pools over the whole image are those of the window.

    A CRF sees the whole image up to 4 194 304 pixels, however the network was fed, and as many as
    the network beyond: there each window is sharpened before they are blended.

    A temperature that `atrous calibrate` stored with the model divides the logits of every pass,
    so that probabilities say how often they are right. The labels of one pass stay as they are. A
    CRF gets the probabilities without it, as the search for its parameters did; the maps of
    uncertainty have it all the same.

    Args:
        model: Any `SegmentationModel`, also one in training: its train/eval modes are restored
            after each call. It is moved to `device`, its weights to the channels-last layout.
        engine: "eager" (torch); "auto" picks it.
        scales: Factors on the image size, above 0, besides the model's own `input_scale`;
            probabilities of all scales are averaged.
        flip: Also look at the mirror image (left-right) and average.
        tile: Largest side, or (height, width), of a window, in pixels of the image; an image that
            fits into it is taken whole. 0 takes every image whole. None is the model's own `tile`,
            which its score was taken with; without one it is the rule above, its pixels counted at
            the largest scale. Lower it when memory runs out.
        crf: Sharpens probabilities: (image (H, W, 3) uint8, (K, H, W) float32) -> (K, H, W). A
            `DenseCRF` does it on the device of the model.
        uncertainty: What tells how doubtful a pixel is: "entropy", "mc_dropout", "flip" or
            "scales" (`atrous.inference.uncertainty`), or an `Uncertainty` with its settings. Every
            result then has maps of the entropy, the mutual information and the variance, before any
            CRF.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", ...
        precision: "fp32", or "bf16" for autocast.

    Raises:
        InputError: A setting out of its range; the message says which.

    Example:
        >>> predictor = Predictor(atrous.load("street-scenes"))  # doctest: +SKIP
        >>> predictor("photo.jpg").save("mask.png")  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913 - every setting of a prediction, and nothing else
        self,
        model: SegmentationModel,
        engine: str = "auto",
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        tile: int | tuple[int, int] | None = None,
        crf: CRF | None = None,
        uncertainty: UncertaintyMethod | Uncertainty | None = None,
        *,
        device: str | torch.device = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        if engine not in ENGINES:
            raise unknown("engine", engine, ENGINES)
        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        if not scales or not all(0 < scale <= 8 for scale in scales):
            raise InputError(f"scales are {scales}; give one or more numbers above 0, at most 8")
        self.uncertainty = None if uncertainty is None else Uncertainty.of(uncertainty)
        if self.uncertainty is not None:
            self.uncertainty.check(model)
            scales, flip = self.uncertainty.views(scales, flip)
        self.device = open_device(device)
        # One layout for live, saved and loaded weights: another gives other last bits. This one is
        # 1.4 times as fast for DeepLab v3+ on a CPU thread.
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.scales = tuple(float(scale) for scale in scales)
        self.factors = tuple(scale * model.input_scale for scale in self.scales)
        self.flip = flip
        self.tiling = Tiling.of(model.tile if tile is None else tile, max(self.factors))
        self.crf = crf
        self.doubt_temperature = temperature_of(model)
        self.temperature = 1.0 if crf is not None else self.doubt_temperature
        self.precision = precision
        self.channels = len(model.normalization.mean)

    def __call__(
        self, image: ImageSource, *, probabilities: bool = False, confidence: bool = False
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: Path; array (H, W) or (H, W, C), uint8, uint16 or float in [0, 1], RGB order;
                or PIL image.
            probabilities: Keep the (K, H, W) probabilities and the uncertainty too.
            confidence: Keep the probability (H, W) of each pixel's label; the labels are the same
                with and without.

        Raises:
            InputError: The image cannot be used, or does not fit into memory; the message says
                why, and which tile to try.
        """
        pixels = open_image(image, self.channels)
        size = pixels.shape[:2]
        merged: Tensor | None = None
        sure = np.empty(size, np.float32) if confidence else None
        doubts = np.empty((DOUBTS, *size), np.float32) if self.uncertainty else None
        with evaluating(self.model), self._drawing(), self._memory_named(*size):
            if probabilities or self._crf_sees_whole(*size):
                merged = self._probabilities(pixels, doubts)
                labels = merged.argmax(0).to(torch.uint8).cpu().numpy()
                if sure is not None:
                    sure[:] = merged.amax(0).cpu().numpy()
            else:
                labels = self._labels(pixels, sure, doubts)
        kept = merged.cpu().numpy() if probabilities and merged is not None else None
        if doubts is not None:
            doubt, mutual, variance = doubts
        else:
            doubt, mutual, variance = None if kept is None else uncertainty(kept), None, None
        return Segmentation(
            labels, self.model.label_set, kept, doubt, pixels, sure, mutual, variance
        )

    def read(self, path: Path) -> np.ndarray:
        """Return the pixels of an image file as the network needs them; safe in a thread."""
        return open_image(path, self.channels)

    def at(self, image: ImageSource, points: NDArray[np.int64]) -> Floats:
        """Return the probabilities (n, K) at `points` (n, 2), row and column, without a CRF.

        Of an image in windows, no more than those of one window are held at once.

        Raises:
            InputError: As in a call.
        """
        pixels = open_image(image, self.channels)
        found = np.empty((len(points), len(self.model.label_set)), np.float32)
        with evaluating(self.model), self._drawing(), self._memory_named(*pixels.shape[:2]):
            for top, left, block in self._blocks(pixels, alone=True):
                places = points - (top, left)
                inside = ((places >= 0) & (places < block.shape[1:])).all(1)
                rows, columns = torch.from_numpy(places[inside].T).to(block.device)
                found[inside] = block[: found.shape[1], rows, columns].T.cpu().numpy()
        return found

    def without_temperature(self) -> "Predictor":
        """Return the same predictor with the probabilities that the network gives by itself."""
        plain = copy.copy(self)
        plain.temperature = plain.doubt_temperature = 1.0
        return plain

    def fingerprint(self) -> dict[str, object]:
        """Return what decides the labels, as plain JSON values: the weights' hash, the settings."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        beside = ("device", "tile_overlap")  # the latter follows from the tile
        settings = {key: value for key, value in self.protocol().items() if key not in beside}
        weights = digest.hexdigest()[:16]
        return {"weights": weights, "classes": list(self.model.label_set.names), **settings}

    def protocol(self) -> dict[str, object]:
        """Return the settings that decide a score, as plain JSON values."""
        temperature = self.temperature if self.uncertainty is None else self.doubt_temperature
        return {
            "engine": "eager",
            "precision": self.precision,
            "device": self.device.type,
            "scales": list(self.scales),
            "input_scale": self.model.input_scale,
            "flip": self.flip,
            "tile": list(self.tiling.window) if self.tiling.window else None,
            "tile_overlap": [*map(shared_band, self.tiling.window)] if self.tiling.window else None,
            "whole_pixels": self.tiling.whole_pixels,
            "crf": stamp(self.crf),
            "uncertainty": None if self.uncertainty is None else self.uncertainty.stamp(),
            "temperature": None if temperature == 1 else temperature,
        }

    def _labels(
        self, pixels: np.ndarray, sure: Floats | None = None, doubts: Floats | None = None
    ) -> NDArray[np.uint8]:
        """Return labels (H, W) without ever holding K full-resolution maps of the whole image.

        Confidence is written into `sure` (H, W), entropy, mutual information and variance into
        `doubts` (3, H, W); an image taken whole does need the K maps for them.
        """
        height, width = pixels.shape[:2]
        is_one_view = len(self.scales) == 1 and not self.flip and doubts is None
        if is_one_view and self.tiling.keeps_whole(height, width):
            scores = self._score(self._seen(pixels, self.factors[0]))
            labels = upsample_argmax(scores, (height, width), self.model.align_corners)
            if sure is not None:
                scores = scores / self.temperature
                logits = resize(scores, (height, width), align_corners=self.model.align_corners)
                sure[:] = logits.softmax(1).amax(1)[0].cpu().numpy()
            return labels[0].cpu().numpy()
        labels_array = np.empty((height, width), np.uint8)
        for top, left, block in self._blocks(pixels):
            rows, columns = block.shape[1:]
            here = slice(top, top + rows), slice(left, left + columns)
            maps = self._without_doubts(block, here, doubts)
            labels_array[here] = maps.argmax(0).to(torch.uint8).cpu()
            if sure is not None:
                sure[here] = maps.amax(0).cpu().numpy()
            del block, maps  # before the network needs room for the next window
        return labels_array

    def _probabilities(self, pixels: np.ndarray, doubts: Floats | None = None) -> Tensor:
        """Return probabilities (K, H, W), sharpened where a CRF was given; fill `doubts`.

        They lie on the device where a CRF works on them, else on the CPU, whatever their size.
        """
        height, width = pixels.shape[:2]
        sees_whole = self._crf_sees_whole(height, width)
        merged = self._room((len(self.model.label_set), height, width), on_device=sees_whole)
        for top, left, block in self._blocks(pixels):
            rows, columns = block.shape[1:]
            here = slice(top, top + rows), slice(left, left + columns)
            merged[:, *here] = self._without_doubts(block, here, doubts)
            del block
        if self.crf is not None and sees_whole:
            return sharpened(self.crf, to_rgb(pixels), merged)
        return merged

    def _without_doubts(
        self, block: Tensor, here: tuple[slice, slice], doubts: Floats | None
    ) -> Tensor:
        """Return the probabilities of a block; what lies behind them goes into `doubts`."""
        if doubts is None:
            return block
        doubts[:, *here] = block[-DOUBTS:].cpu().numpy()
        return block[:-DOUBTS]

    def _room(self, shape: tuple[int, int, int], *, on_device: bool) -> Tensor:
        """Return room for probabilities (K, H, W); no tile makes these smaller."""
        if on_device and self.device.type != "cpu":
            return torch.empty(shape, device=self.device)
        try:
            return torch.from_numpy(np.empty(shape, np.float32))
        except MemoryError as error:
            gigabytes = 4 * shape[0] * shape[1] * shape[2] / 2**30
            raise InputError(
                f"the probabilities of {shape[0]} classes at {shape[2]}x{shape[1]} take "
                f"{gigabytes:.1f} GB, more than there is; ask for labels alone, or cut the image"
            ) from error

    def _blocks(self, pixels: np.ndarray, *, alone: bool = False) -> Iterator[Block]:
        """Yield finished blocks of probabilities: one where the image is taken whole.

        A CRF that works in windows has seen them, unless the network `alone` is wanted.
        """
        window = self.tiling.window
        if window is None or self.tiling.keeps_whole(*pixels.shape[:2]):
            yield 0, 0, self._merge(pixels)
        else:
            sees_whole = self._crf_sees_whole(*pixels.shape[:2])
            apart = self.crf is not None and not sees_whole and not alone
            yield from tiled(pixels, window, self._sharpened if apart else self._merge)

    def _crf_sees_whole(self, height: int, width: int) -> bool:
        """Return whether a CRF works on the merged probabilities: windows bound its memory too."""
        fits = height * width <= WHOLE_PIXELS or self.tiling.keeps_whole(height, width)
        return self.crf is not None and fits

    def _sharpened(self, pixels: np.ndarray) -> Tensor:
        """Return the probabilities of one window after a CRF that sees this window alone."""
        assert self.crf is not None
        merged = self._merge(pixels)
        maps = merged[: len(self.model.label_set)]
        maps.copy_(sharpened(self.crf, to_rgb(pixels), maps))
        return merged

    def _merge(self, pixels: np.ndarray) -> Tensor:
        """Return the probabilities (K, h, w) of one window over all passes.

        Where uncertainty is wanted, its maps lie behind them.
        """
        seen = passes(
            lambda images: self._score(images) / self.temperature,
            lambda factor: self._seen(pixels, factor),
            pixels.shape[:2],
            scales=self.factors,
            flip=self.flip,
            align_corners=self.model.align_corners,
            samples=1 if self.uncertainty is None else self.uncertainty.draws,
        )
        if self.uncertainty is None:
            return merge(seen)
        return merge_with_doubt(seen, self.doubt_temperature / self.temperature)

    def _drawing(self) -> contextlib.AbstractContextManager[None]:
        """Let dropout draw, where that is asked for; each image has the same draws."""
        if self.uncertainty is None:
            return contextlib.nullcontext()
        return self.uncertainty.drawing(self.model, self.device)

    def _seen(self, pixels: np.ndarray, factor: float) -> Tensor:
        """Return an image at a factor on its size, smoothed as in training where it shrinks."""
        height, width = pixels.shape[:2]
        size = max(1, round(height * factor)), max(1, round(width * factor))
        spacing = math.sqrt(height * width / (size[0] * size[1]))
        return resize(self._tensor(smooth_before_shrinking(pixels, spacing)), size)

    def _tensor(self, pixels: np.ndarray) -> Tensor:
        """Return (1, C, H, W) normalised float32 on the device; channels-last, as the array is."""
        image = torch.from_numpy(np.require(pixels, requirements=("C", "W")))
        images = normalise(image.to(self.device).permute(2, 0, 1)[None], self.model.normalization)
        return images.contiguous(memory_format=torch.channels_last)

    def _score(self, images: Tensor) -> Tensor:
        """Return float32 coarse logits; an autocast around us must not change the precision."""
        wanted = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=wanted):
            scores: Tensor = self.model.score(images).main
        return scores.float()

    @contextlib.contextmanager
    def _memory_named(self, height: int, width: int) -> Iterator[None]:
        """Say which tile to try where an image of this size does not fit into memory."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(self.tiling.advice(height, width)) from error
