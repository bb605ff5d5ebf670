"""From the raw numbers of a mask to labels: which number or colour is which class."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from atrous.data.findings import FileError
from atrous.data.masks import RawMask, unpack, value_counts
from atrous.labels import VOID

__all__ = ["MaskCoding", "outside"]


@dataclass(frozen=True)
class MaskCoding:
    """Two tables, one for masks of indices and one for masks of colours.

    Attributes:
        indices: Raw index -> label (`VOID` for void).
        colours: Raw colour 0xRRGGBB -> label.
    """

    indices: Mapping[int, int]
    colours: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def plain(cls, classes: int) -> "MaskCoding":
        """Return the coding in which an index is its own label and 255 is void."""
        return cls({index: index for index in (*range(classes), VOID)})

    def table(self, coloured: bool) -> Mapping[int, int]:
        """Return the table for masks of colours or of indices."""
        return self.colours if coloured else self.indices

    def labels(self, raw: RawMask, path: Path) -> np.ndarray:
        """Return (H, W) uint8 labels, 255 = void; `path` only names the mask in messages.

        Raises:
            FileError: The mask holds a number or colour that the tables do not know.
        """
        if raw.values.dtype == np.uint8:
            labels = cv2.LUT(raw.values, self._byte_labels)
            known = not cv2.LUT(raw.values, self._byte_gaps).any()
        else:
            keys, numbers = self._sorted(raw.coloured)
            at = np.searchsorted(keys, raw.values).clip(max=max(len(keys) - 1, 0))
            known = len(keys) > 0 and bool((keys[at] == raw.values).all())
            labels = numbers[at] if known else raw.values
        if not known:
            raise outside(path, value_counts(raw.values), self, coloured=raw.coloured)
        return labels

    @cached_property
    def _byte_labels(self) -> np.ndarray:
        return np.array([self.indices.get(value, VOID) for value in range(256)], np.uint8)

    @cached_property
    def _byte_gaps(self) -> np.ndarray:
        return np.array([value not in self.indices for value in range(256)], np.uint8)

    def _sorted(self, coloured: bool) -> tuple[np.ndarray, np.ndarray]:
        table = self.table(coloured)
        keys = sorted(table)
        return np.array(keys, np.int64), np.array([table[key] for key in keys], np.uint8)


def outside(
    path: Path, counts: Mapping[int, int], coding: MaskCoding, *, coloured: bool
) -> FileError:
    """Return the fault of a mask with numbers or colours that are no class."""
    table = coding.table(coloured)
    strange = {value: count for value, count in counts.items() if value not in table}
    by_count = sorted(strange, key=lambda value: -strange[value])
    shown = ", ".join(
        f"{unpack(value) if coloured else value} in {strange[value]:,} pixels"
        for value in by_count[:3]
    )
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    kind = "colour" if coloured else "value"
    plural = "s" if len(strange) > 1 else ""
    return FileError(
        path,
        f"holds {len(strange)} {kind}{plural} outside the classes: {shown}{more}",
        f"correct the mask, or map the {kind}{plural} in label_map of a data.yaml",
    )
