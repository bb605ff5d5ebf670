"""`atrous evaluate MODEL --data D`: every figure beside what predicting one class would score."""

from atrous.cli.console import answer, progress, table
from atrous.cli.data_faults import look_through
from atrous.cli.headline import headline
from atrous.evaluation import EvaluateConfig, Evaluation, evaluate_config
from atrous.weights.sources import check_source

__all__ = ["run"]


def run(config: EvaluateConfig) -> int:
    """Score a model or a folder of masks; return 0."""
    if config.model is not None:
        check_source(config.model)  # before the data, which may take minutes
    spec = look_through(config.data, config.skip_bad)
    with progress(None, "images") as bar:
        result = evaluate_config(config, spec, progress=bar)
    lines = [
        _class_table(result),
        headline(result),
        f"pixel accuracy {result.pixel_accuracy:.3f}   mean accuracy {result.mean_accuracy:.3f}   "
        f"frequency-weighted IoU {result.frequency_weighted_iou:.3f}",
    ]
    if config.out is not None:
        lines.append(f"Result: {config.out}")
    answer("\n".join(lines), result.to_json())
    return 0


def _class_table(result: Evaluation) -> str:
    truth = result.matrix.sum(1)
    rows: list[tuple[str, ...]] = [("class", "IoU", "accuracy", "share of pixels")]
    for index, name in enumerate(result.label_set.names):
        share = truth[index] / max(truth.sum(), 1)
        scores = (result.iou[index], result.class_accuracy[index])
        cells = ("-" if score is None else f"{score:.3f}" for score in scores)
        rows.append((name, *cells, f"{share:.2%}".replace("%", " %")))
    return table(rows, right=(1, 2, 3))
