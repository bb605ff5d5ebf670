"""What a split holds, counted: images, pixels of each class, sizes."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrous.data.coding import MaskCoding
from atrous.data.file_facts import FileFacts
from atrous.data.findings import Finding
from atrous.data.scan import ScannedPair
from atrous.labels import VOID, LabelSet

__all__ = ["SplitStatistics", "class_findings", "count_split"]

MOST_NAMED = 5


@dataclass(frozen=True)
class SplitStatistics:
    """Counts over the usable pairs of one split.

    Attributes:
        images: Number of pairs.
        pixels: Pixels of each class.
        void: Pixels of no class.
        images_with: Images in which each class occurs.
        area_with: Pixels of those images together, void included.
        pairs_with: Numbers of those pairs, in the order of the split.
        sizes: (height, width) -> number of images, the commonest first.
        depths: (pixels, bytes per value) of each image, in the order of the split.
    """

    images: int
    pixels: tuple[int, ...]
    void: int
    images_with: tuple[int, ...]
    area_with: tuple[int, ...]
    pairs_with: tuple[tuple[int, ...], ...] = ()
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    depths: tuple[tuple[int, int], ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the fraction of each class among the pixels that have a class."""
        total = max(1, sum(self.pixels))
        return tuple(count / total for count in self.pixels)


def count_split(pairs: Sequence[ScannedPair], coding: MaskCoding, classes: int) -> SplitStatistics:
    """Add up the counts of usable pairs."""
    pixels: Counter[int] = Counter()
    images_with: Counter[int] = Counter()
    area_with: Counter[int] = Counter()
    pairs_with: defaultdict[int, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        facts = pair.mask.facts
        table = coding.table(facts.coloured)
        for value, count in facts.counts.items():
            pixels[table[value]] += count
        area = sum(facts.counts.values())
        for label in {table[value] for value in facts.counts}:
            images_with[label] += 1
            area_with[label] += area
            pairs_with[label].append(number)
    sizes = Counter((pair.image.facts.height, pair.image.facts.width) for pair in pairs)
    return SplitStatistics(
        images=len(pairs),
        pixels=tuple(pixels[label] for label in range(classes)),
        void=pixels[VOID],
        images_with=tuple(images_with[label] for label in range(classes)),
        area_with=tuple(area_with[label] for label in range(classes)),
        pairs_with=tuple(tuple(pairs_with[label]) for label in range(classes)),
        sizes=dict(sizes.most_common()),
        depths=tuple(_depth(pair.image.facts) for pair in pairs),
    )


def _depth(facts: FileFacts) -> tuple[int, int]:
    return facts.height * facts.width, 2 if facts.bits > 8 else 1


def class_findings(
    root: Path, label_set: LabelSet, statistics: Mapping[str, SplitStatistics]
) -> list[Finding]:
    """Say which classes no training image shows."""
    train = statistics.get("train")
    if train is None or not any(train.pixels):
        return []
    missing = [name for name, count in zip(label_set.names, train.pixels, strict=True) if not count]
    if not missing:
        return []
    named = ", ".join(missing[:MOST_NAMED])
    more = f" and {len(missing) - MOST_NAMED:,} more" if len(missing) > MOST_NAMED else ""
    what = f"never shows {named}{more} in train ({len(missing):,} of {len(label_set)} classes)"
    remedy = "add images of them, or remove them from names; they cannot be learnt"
    return [Finding("warning", root, what, remedy)]
