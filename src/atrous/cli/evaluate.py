"""`atrous evaluate MODEL --data D`: every figure beside what predicting one class would score."""

from atrous.cli.console import answer, progress
from atrous.cli.data_faults import look_through
from atrous.cli.evaluate_lines import result_lines
from atrous.data import DataSpec
from atrous.evaluation import EvaluateConfig, evaluate_config
from atrous.evaluation.image_table import check_table_path
from atrous.evaluation.run import open_subject
from atrous.evaluation.subject import Subject
from atrous.files import check_place
from atrous.weights.sources import check_source

__all__ = ["run"]

REPORT_FILES = ("report.html", "images.csv", "result.json")


def run(config: EvaluateConfig) -> int:
    """Score a model or a folder of masks; return 0, or 1 if no pixel could be scored."""
    if config.model is not None:
        check_source(config.model)  # before the data, which may take minutes
    _check_places(config)
    spec = look_through(config.data, config.skip_bad)
    subject = _open(config, spec)
    with progress(None, "images") as bar:
        result = evaluate_config(config, spec, subject=subject, progress=bar)
    lines = result_lines(result)
    if config.out is not None:
        lines.append(f"Result: {config.out}")
    if config.images_table is not None:
        lines.append(f"Images: {config.images_table}")
    if config.report is not None:
        from atrous.reports import write_evaluation_report

        page = write_evaluation_report(config.report, result, spec, subject)
        lines.append(f"Report: {page}")
    answer("\n".join(lines), result.to_json())
    return 0 if result.num_present else 1


def _check_places(config: EvaluateConfig) -> None:
    """Refuse what could not be written before the images are scored, which may take hours."""
    if config.images_table is not None:
        check_table_path(config.images_table)
    if config.out is not None:
        check_place(config.out)
    if config.report is not None:
        for name in REPORT_FILES:
            check_place(config.report / name)


def _open(config: EvaluateConfig, spec: DataSpec) -> Subject:
    if config.predictions is None:
        return open_subject(config, spec)
    with progress(None, "looking through the masks", unit="mask") as bar:
        return open_subject(config, spec, progress=bar)
