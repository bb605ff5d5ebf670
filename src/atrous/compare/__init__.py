"""Many networks under one budget and protocol, and which differences between them would hold."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.compare.comparison import Compared, compare
    from atrous.compare.config import CompareConfig
    from atrous.compare.entries import entries_of
    from atrous.compare.folder import default_out
    from atrous.compare.planning import Planned, Watcher, plan_comparison
    from atrous.compare.record import results
    from atrous.compare.report import write_report
    from atrous.compare.significance import compare_scores, holm

__all__ = [
    "CompareConfig",
    "Compared",
    "Planned",
    "Watcher",
    "compare",
    "compare_scores",
    "default_out",
    "entries_of",
    "holm",
    "plan_comparison",
    "results",
    "write_report",
]

__getattr__ = lazy(
    __name__,
    {
        "CompareConfig": "config",
        "Compared": "comparison",
        "Planned": "planning",
        "Watcher": "planning",
        "compare": "comparison",
        "compare_scores": "significance",
        "default_out": "folder",
        "entries_of": "entries",
        "holm": "significance",
        "plan_comparison": "planning",
        "results": "record",
        "write_report": "report",
    },
)
