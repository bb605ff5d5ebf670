"""Static HTML pages about one run: one file, no network, no script."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.reports.evaluation_report import write_evaluation_report
    from atrous.reports.review_page import write_review
    from atrous.reports.training_report import write_training_report

__all__ = ["write_evaluation_report", "write_review", "write_training_report"]

__getattr__ = lazy(
    __name__,
    {
        "write_evaluation_report": "evaluation_report",
        "write_review": "review_page",
        "write_training_report": "training_report",
    },
)
