"""What `atrous bench data` shows: the table, which stage is slowest, who waits for whom."""

from collections.abc import Mapping, Sequence
from typing import Any

from atrous.cli.console import number, table

__all__ = ["data_text", "slowest_stage", "waiting"]


def data_text(result: Mapping[str, Any]) -> str:
    """Return the table of rates and the sentences below it."""
    height, width = result["crop"]
    workers = result["workers"]
    heading = ("stage", "img/s on one core", "img/s together")
    rows = [
        (rate["stage"], _rate(rate["per_core"]), _rate(rate["together"]))
        for rate in result["stages"]
    ]
    if result["first_pass"] is None:
        rows.append(("whole loader", "", _rate(result["loader"])))
    else:
        rows.append(("whole loader, first pass", "", _rate(result["first_pass"])))
        rows.append(("whole loader, later passes", "", _rate(result["loader"])))
    made = f"{workers} loader process{'' if workers == 1 else 'es'}" if workers else "no processes"
    return "\n".join(
        [
            f"{number(result['images'])} training images, crops {height}x{width}, batch "
            f"{result['batch_size']}, {made}, {result['cores']} cores, cache {result['cache']}, "
            f"{result['device']}",
            table([heading, *rows], right=(1, 2)),
            slowest_stage(result),
            *([waiting(result)] if result["training"] is not None else []),
        ]
    )


def slowest_stage(result: Mapping[str, Any]) -> str:
    """Say which stage of the loader takes most of a sample's time, in the first pass and later."""
    later, first = result["bottleneck"], result["first_pass_bottleneck"]
    said = f"The slowest stage is {later['stage']}: {100 * later['share']:.0f} % of a sample's time"
    if first is not None:
        share = f"{100 * first['share']:.0f} %"
        return f"{said}; in the first pass, which fills the cache, {first['stage']}: {share}."
    if later["stage"] == "decode":
        return f"{said}; --cache memory or disk decodes each image once."
    return f"{said}."


def waiting(result: Mapping[str, Any]) -> str:
    """Say whether a training step would wait for the loader."""
    trains, gives = result["training"], result["loader"]
    beside = f"{result['model']} trains {_rate(trains)} img/s on {result['device']}"
    if gives < trains:
        remedy = "raise --workers" if result["workers"] < result["cores"] else "lower --crop"
        return f"{beside}: it would wait for the loader, which bounds it; {remedy}."
    said = f"{beside}; the loader gives {gives / trains:.1f} times that: it never waits"
    first = result["first_pass"]
    if first is not None and first < trains:
        said += f" after the first pass, which gives {_rate(first)} img/s"
    if result["device"] != "cpu":
        return f"{said}."
    loading = _core_seconds(result["stages"])
    share = loading / (loading + result["cores"] / trains)
    return f"{said}, but on the same cores making samples takes {100 * share:.0f} % of the work."


def _core_seconds(stages: Sequence[Mapping[str, Any]]) -> float:
    """Return what one core needs for a sample."""
    return sum(1 / float(stage["per_core"]) for stage in stages if stage["is_loading"])


def _rate(value: float) -> str:
    return f"{value:.1f}" if value < 100 else number(value)
