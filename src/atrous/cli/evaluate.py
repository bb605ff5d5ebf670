"""`atrous evaluate MODEL --data D`: every figure beside what predicting one class would score."""

from atrous.cli.console import answer, progress, table, warn
from atrous.evaluation import EvaluateConfig, Evaluation, evaluate_config

__all__ = ["run", "verdict"]


def run(config: EvaluateConfig) -> int:
    """Score a model or a folder of masks; return 0."""
    with progress(None, "images") as bar:
        result, spec = evaluate_config(config, progress=bar)
    errors = sum(finding.severity == "error" for finding in spec.findings)
    if errors:
        warn(f"{errors} file(s) of {spec.root} were left out; atrous data check tells why")
    report = f"{_class_table(result)}\n{verdict(result)}"
    if config.out is not None:
        report += f"\nResult: {config.out}"
    answer(report, result.to_json())
    return 0


def verdict(result: Evaluation) -> str:
    """Say how good it is, over how many classes, and what one class everywhere would score."""
    low, high = result.interval
    baseline, constant = result.baseline
    interval = f" (95 % {low:.3f}-{high:.3f})" if low == low else ""  # NaN: a single image
    name = result.label_set.names[constant]
    lines = [
        f"mIoU {result.mean_iou:.3f}{interval} over {result.num_present} of "
        f"{len(result.label_set)} classes, {len(result.per_image)} images at label size; "
        f"all {name} would score {baseline:.3f}",
        f"pixel accuracy {result.pixel_accuracy:.3f}, mean accuracy {result.mean_accuracy:.3f}, "
        f"frequency-weighted IoU {result.frequency_weighted_iou:.3f}",
    ]
    if not result.has_learnt:
        lines.append(
            f"This model has learnt nothing yet: its mIoU is not 0.01 above that of all {name}."
        )
    return "\n".join(lines)


def _class_table(result: Evaluation) -> str:
    truth = result.matrix.sum(1)
    rows: list[tuple[str, ...]] = [("class", "IoU", "accuracy", "share of pixels")]
    for index, name in enumerate(result.label_set.names):
        share = truth[index] / max(truth.sum(), 1)
        scores = (result.iou[index], result.class_accuracy[index])
        cells = ("-" if score is None else f"{score:.3f}" for score in scores)
        rows.append((name, *cells, f"{share:.2%}".replace("%", " %")))
    return table(rows, right=(1, 2, 3))
