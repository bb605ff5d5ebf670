"""What we would take, for quality, for speed, for memory, and why: sentences from the numbers.

A difference is a win if it is significant and at least `LEAST_GAIN`. For speed and for memory only
networks with at least half of the best score count: the cheapest of all is often one that has
hardly learnt. With one seed a score is that of one training, and the sentence says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from atrous.compare.significance import Difference
from atrous.compare.table import Row, Table

__all__ = ["WORTH", "Verdict", "as_good", "take", "times", "why_equal"]

WORTH = 1.1
"""A ratio of times or of bytes below this is none: measured again it may be the other way round."""

WITHIN_REASON = 0.5
"""Share of the best score below which no speed and no memory is worth it."""


@dataclass(frozen=True)
class Verdict:
    """The networks to take; "" where nothing can be said.

    Attributes:
        quality: Name of the one with the best score.
        speed: Name of the fastest of those with at least half of the best score; "" where
            there is a choice and no speed was measured.
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
    sane = [row for row in learnt if row.mean_iou >= WITHIN_REASON * best.mean_iou]
    fast = _least(equals, sane, [row.milliseconds for row in sane]) if table.is_timed else None
    small = _least(equals, sane, [float(row.weight.memory_bytes) for row in sane])
    return Verdict(
        best.name,
        fast.name if fast else "",
        small.name,
        (
            *_sentences(table, learnt, equals, best, fast, small),
            *_not_worth_it([row for row in learnt if row not in sane], fast, small),
        ),
    )


def as_good(table: Table) -> list[Row]:
    """Return the best row and those that have learnt and cannot be told from it."""
    best = table.best
    return [
        row
        for row in table.rows
        if best is not None
        and row.has_learnt
        and (row is best or not table.between(best.name, row.name).is_win)
    ]


def why_equal(difference: Difference) -> str:
    """Return why a difference is no win: "p = 0.21", "too few images" or "0.002 apart"."""
    if difference.is_significant:
        return f"{abs(difference.gain):.3f} apart"
    if math.isnan(difference.corrected_p):
        return "too few images to tell"
    return f"p = {difference.corrected_p:.2g}"


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
    table: Table,
    learnt: Sequence[Row],
    equals: Sequence[Row],
    best: Row,
    fast: Row | None,
    small: Row,
) -> tuple[str, ...]:
    if len(equals) == len(learnt):
        return (_tied(table, learnt, best), *_costs(table, best, fast, small))
    if fast is best and small is best:
        others = [row for row in learnt if row is not best]
        return (
            f"Take {best.name}, for quality, speed and memory alike: {_score(best)}, "
            f"{_ms(best)} an image, {_mb(best)}; {_next_best(table, best, others[0])}.",
        )
    return (_for_quality(table, learnt, equals, best), *_costs(table, best, fast, small))


def _tied(table: Table, learnt: Sequence[Row], best: Row) -> str:
    count = "two" if len(learnt) == 2 else f"{len(learnt)}"
    return (
        f"For quality the {count} cannot be told apart on {table.images} images "
        f"({_why_tied([table.between(best.name, r.name) for r in learnt if r is not best])}): the "
        f"highest score, {best.name} with {_score(best)}, may be luck, so let "
        f"{'speed or memory' if table.is_timed else 'memory'} decide."
    )


def _why_tied(differences: Sequence[Difference]) -> str:
    """Return what holds of all differences from the best."""
    said = []
    p_values = [d.corrected_p for d in differences if not d.is_significant]
    if known := [p for p in p_values if not math.isnan(p)]:
        said.append(f"p = {min(known):.2g} or more after correction")
    if len(known) < len(p_values):
        said.append("too few to give a p-value")
    if small := [abs(d.gain) for d in differences if d.is_significant]:
        said.append(f"{max(small):.3f} or less apart")
    return ", or ".join(said)


def _for_quality(table: Table, learnt: Sequence[Row], equals: Sequence[Row], best: Row) -> str:
    text = f"For quality take {best.name}: {_score(best)}"
    twins = [row for row in equals if row is not best]
    if not twins:
        return f"{text}; {_next_best(table, best, learnt[1])}."
    fast = min(twins, key=lambda row: row.milliseconds)
    why = why_equal(table.between(best.name, fast.name))
    gain = best.milliseconds / fast.milliseconds
    faster = f" and {times(gain)} as fast" if gain > WORTH else ""
    return f"{text}; {fast.name} ({fast.mean_iou:.3f}) is as good ({why}){faster}."


def _costs(table: Table, best: Row, fast: Row | None, small: Row) -> tuple[str, ...]:
    """Return what speed and memory would take, and what that costs in quality."""
    if fast is None:
        speed = "For speed nothing can be said: it was not measured."
    else:
        instead = "" if fast is best else f" instead of {_ms(best)}"
        price = _price(table, best, fast)
        speed = f"For speed take {fast.name}: {_ms(fast)} an image{instead}{price}."
    instead = "" if small is best else f" instead of {_mb(best)}"
    price = _price(table, best, small)
    taken = f"{_mb(small)} for the model and one prediction"
    return speed, f"For memory take {small.name}: {taken}{instead}{price}."


def _price(table: Table, best: Row, row: Row) -> str:
    if row is best:
        return ", and the highest score"
    found = table.between(best.name, row.name)
    if not found.is_win:
        return f", as good as {best.name} ({why_equal(found)})"
    return f", for {best.mean_iou - row.mean_iou:.3f} less mIoU (p {_below(found.corrected_p)})"


def _next_best(table: Table, best: Row, second: Row) -> str:
    found = table.between(best.name, second.name)
    if not found.is_win:
        return f"{second.name} ({second.mean_iou:.3f}) is as good ({why_equal(found)})"
    lead = best.mean_iou - second.mean_iou
    return f"{second.name}, the next, is {lead:.3f} below (p {_below(found.corrected_p)})"


def _not_worth_it(poor: Sequence[Row], fast: Row | None, small: Row) -> tuple[str, ...]:
    """Name what is cheaper than what we take, and why we do not take it."""
    cheaper = [
        f"{row.name} (mIoU {row.mean_iou:.3f}, {f'{_ms(row)}, ' if fast else ''}{_mb(row)})"
        for row in poor
        if (fast and row.milliseconds < fast.milliseconds)
        or row.weight.memory_bytes < small.weight.memory_bytes
    ]
    if not cheaper:
        return ()
    return (f"Cheaper, but not worth it with less than half of the score: {', '.join(cheaper)}.",)


def _score(row: Row) -> str:
    return f"mIoU {row.mean_iou:.3f}{' for this one training' if len(row.seeds) == 1 else ''}"


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
    value = row.milliseconds
    return f"{value:.{0 if value >= 9.95 else 1}f} ms"


def _mb(row: Row) -> str:
    return f"{row.weight.memory_bytes / 1e6:.0f} MB"
