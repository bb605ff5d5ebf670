"""`results.json`: every figure of a comparison, with what it was taken under."""

import dataclasses
import math
from collections.abc import Mapping

from atrous import __version__
from atrous.compare.comparison import Compared
from atrous.compare.config import CompareConfig
from atrous.compare.significance import Difference
from atrous.compare.table import Row
from atrous.data import DataSpec

__all__ = ["FORMAT_VERSION", "protocol_of", "results"]

FORMAT_VERSION = 1


def results(compared: Compared, config: CompareConfig, spec: DataSpec) -> dict[str, object]:
    """Return plain values; a number that does not exist is None, never NaN."""
    table, verdict = compared.table, compared.verdict
    baseline, constant = table.baseline
    content = {
        "format": "atrous-comparison",
        "format_version": FORMAT_VERSION,
        "atrous": __version__,
        "data": {
            "fingerprint": spec.fingerprint,
            "split": config.split,
            "images": table.images,
            "classes": list(table.classes),
            "baseline_mean_iou": baseline,
            "baseline_class": constant,
        },
        "budget": _budget(config),
        "protocol": protocol_of(compared),
        "networks": [_row(row) for row in table.rows],
        "differences": [_difference(each) for each in table.differences],
        "failed": dict(table.failed),
        "not_timed": compared.together.failure or None,
        "take": {
            "quality": verdict.quality or None,
            "speed": verdict.speed or None,
            "memory": verdict.memory or None,
            "why": list(verdict.sentences),
        },
    }
    finite = _finite(content)
    assert isinstance(finite, dict)
    return finite


def protocol_of(compared: Compared) -> dict[str, object]:
    """Return how all networks were scored: what the evaluations of all cells agree on."""
    stamps = []
    for cells in compared.cells.values():
        for cell in cells:
            evaluation = cell.facts["evaluation"]
            assert isinstance(evaluation, Mapping)
            stamps.append(dict(evaluation["protocol"]))
    return {
        key: value if all(stamp.get(key) == value for stamp in stamps) else "differs"
        for key, value in stamps[0].items()
    }


def _budget(config: CompareConfig) -> dict[str, object]:
    """Return what every cell was given."""
    kind, amount = config.budget
    return {"kind": kind, "amount": amount, "seeds": config.seeds, "batch_size": config.batch_size}


def _row(row: Row) -> dict[str, object]:
    content = dataclasses.asdict(row)
    content["interval_95"] = content.pop("interval")
    content["boundary_interval_95"] = content.pop("boundary_interval")
    content["calibration_interval_95"] = content.pop("calibration_interval")
    content["spread_between_seeds"] = content.pop("spread")
    content["mean_iou_by_seed"] = content.pop("by_seed")
    content["ms_per_image"] = content.pop("latency")
    return {**content.pop("weight"), **content.pop("other_scores"), **content}


def _difference(each: Difference) -> dict[str, object]:
    return {
        "first": each.first,
        "second": each.second,
        "gain_in_mean_iou": each.gain,
        "interval_95": list(each.interval),
        "p": each.p,
        "corrected_p": each.corrected_p,
        "significant": each.is_significant,
    }


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
