"""What we would take, for quality, for speed, for memory, and why: sentences from the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from atrous.compare.table import Row, Table

__all__ = ["Verdict", "as_good", "take", "times"]

WORTH = 1.1
"""A ratio of times or of bytes below this is none: measured again it may be the other way round."""


@dataclass(frozen=True)
class Verdict:
    """The networks to take; "" where nothing can be said.

    Attributes:
        quality: Name of the one with the best score.
        speed: Name of the fastest that has learnt anything.
        memory: Name of the one with the least peak memory, likewise.
        sentences: Why, a sentence for each.
    """

    quality: str
    speed: str
    memory: str
    sentences: tuple[str, ...]


def take(table: Table) -> Verdict:
    """Choose from the rows that have learnt anything, and say why."""
    best = table.best
    if best is None:
        return Verdict("", "", "", (_nothing(table),))
    learnt = [row for row in table.rows if row.has_learnt]
    if len(learnt) == 1:
        left_out = len(table.rows) + len(table.failed) - 1
        why = "the only one" if not left_out else "the only one that has learnt anything"
        return Verdict(best.name, best.name, best.name, (f"Take {best.name}: it is {why}.",))
    equals = as_good(table)
    fast = _least(equals, learnt, [row.latency.median for row in learnt])
    small = _least(equals, learnt, [float(row.weight.memory_bytes) for row in learnt])
    return Verdict(
        best.name, fast.name, small.name, _sentences(table, learnt, equals, best, fast, small)
    )


def as_good(table: Table) -> list[Row]:
    """Return the best row and those that have learnt and cannot be told from it."""
    best = table.best
    return [
        row
        for row in table.rows
        if best is not None
        and row.has_learnt
        and (row is best or not table.between(best.name, row.name).is_significant)
    ]


def times(ratio: float) -> str:
    """Return a ratio as a factor: 4.02 -> "4 times", 1.31 -> "1.3 times".

    Example:
        >>> times(4.02), times(1.31), times(12.6)
        ('4 times', '1.3 times', '13 times')
    """
    digits = 0 if ratio >= 9.95 else 1
    return f"{f'{ratio:.{digits}f}'.removesuffix('.0')} times"


def _least(equals: Sequence[Row], rows: Sequence[Row], costs: Sequence[float]) -> Row:
    """Return the cheapest row, or one as cheap that is as good as the best."""
    least = min(costs)
    near = [row for row, cost in zip(rows, costs, strict=True) if cost <= WORTH * least]
    return next((row for row in near if row in equals), near[0])


def _sentences(
    table: Table, learnt: Sequence[Row], equals: Sequence[Row], best: Row, fast: Row, small: Row
) -> tuple[str, ...]:
    if len(equals) == len(learnt):
        return (_tied(table, learnt, best), *_costs(table, best, fast, small))
    if fast is best and small is best:
        others = [row for row in learnt if row is not best]
        return (
            f"Take {best.name}, for quality, speed and memory alike: mIoU {best.mean_iou:.3f}, "
            f"{_ms(best)} an image, {_mb(best)}; {_next_best(table, best, others[0])}.",
        )
    return (_for_quality(table, learnt, equals, best), *_costs(table, best, fast, small))


def _tied(table: Table, learnt: Sequence[Row], best: Row) -> str:
    smallest = min(table.between(best.name, r.name).corrected_p for r in learnt if r is not best)
    count = "two" if len(learnt) == 2 else f"{len(learnt)}"
    return (
        f"For quality the {count} cannot be told apart on {table.images} images (p = "
        f"{smallest:.2g} or more after correction): the highest score, {best.name} with mIoU "
        f"{best.mean_iou:.3f}, may be luck, so let speed or memory decide."
    )


def _for_quality(table: Table, learnt: Sequence[Row], equals: Sequence[Row], best: Row) -> str:
    text = f"For quality take {best.name}: mIoU {best.mean_iou:.3f}"
    twins = [row for row in equals if row is not best]
    if not twins:
        return f"{text}; {_next_best(table, best, learnt[1])}."
    fast = min(twins, key=lambda row: row.latency.median)
    p = table.between(best.name, fast.name).corrected_p
    gain = best.latency.median / fast.latency.median
    faster = f" and {times(gain)} as fast" if gain > WORTH else ""
    return f"{text}; {fast.name} ({fast.mean_iou:.3f}) is as good (p = {p:.2g}){faster}."


def _costs(table: Table, best: Row, fast: Row, small: Row) -> tuple[str, ...]:
    """Return what speed and memory would take, and what that costs in quality."""
    speed = f"For speed take {fast.name}: {_ms(fast)} an image"
    memory = f"For memory take {small.name}: {_mb(small)} for the model and one prediction"
    if fast is not best:
        speed += f" instead of {_ms(best)}"
    if small is not best:
        memory += f" instead of {_mb(best)}"
    return tuple(
        f"{text}{_price(table, best, row)}." for text, row in ((speed, fast), (memory, small))
    )


def _price(table: Table, best: Row, row: Row) -> str:
    if row is best:
        return ", and the highest score"
    found = table.between(best.name, row.name)
    if not found.is_significant:
        return f", as good as {best.name} (p = {found.corrected_p:.2g})"
    return f", for {best.mean_iou - row.mean_iou:.3f} less mIoU (p {_below(found.corrected_p)})"


def _next_best(table: Table, best: Row, second: Row) -> str:
    found = table.between(best.name, second.name)
    lead = best.mean_iou - second.mean_iou
    return f"{second.name}, the next, is {lead:.3f} below (p {_below(found.corrected_p)})"


def _nothing(table: Table) -> str:
    if not table.rows:
        return "Nothing can be said: every network failed."
    score, name = table.baseline
    return (
        f"Take none of them: no network is better than answering {name} everywhere "
        f"({score:.3f}); give a larger budget, or look at the masks."
    )


def _below(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _ms(row: Row) -> str:
    value = row.latency.median
    return f"{value:.{0 if value >= 9.95 else 1}f} ms"


def _mb(row: Row) -> str:
    return f"{row.weight.memory_bytes / 1e6:.0f} MB"
