"""`atrous train`: a network from a folder of images and masks."""

import shlex
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from atrous.cli.console import answer
from atrous.cli.data_faults import look_through
from atrous.cli.headline import headline
from atrous.cli.terminal import TerminalReporter
from atrous.evaluation import Evaluation
from atrous.training import TrainConfig
from atrous.training.launch import find_launch

if TYPE_CHECKING:
    from atrous.training import RunResult

__all__ = ["facts", "run", "verdict"]

INTERRUPTED = 130


def run(config: TrainConfig) -> int:
    """Train, evaluate the best model, write the report; return the exit code.

    Of several processes (torchrun, srun) the first one speaks; errors come from any.
    """
    launch = find_launch()
    if launch is not None and launch.rank > 0:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return _run(config)
    return _run(config)


def _run(config: TrainConfig) -> int:
    if config.data is not None and not config.data.exists():
        look_through(config.data, config.skip_bad)  # tells it without torch
    from atrous.training.preflight import preflight
    from atrous.training.run_folder import resumable

    judged = preflight(config)  # what was typed, before the data, which may take minutes
    assert judged.data is not None
    spec = look_through(judged.data, judged.skip_bad)
    # Only now: lightning takes seconds to load, and faulty data should be told at once.
    from atrous.reports import write_training_report
    from atrous.training import fit

    with TerminalReporter() as reporter:
        result = fit(config, spec=spec, reporter=reporter)
    if result.evaluation is None and result.is_over:
        return 0  # the first process has the score
    if result.evaluation is None or result.predictor is None:
        text = f"Stopped after iteration {result.step}, nothing lost."
        answer(
            f"{text}   Go on: atrous train --resume {shlex.quote(str(result.folder))}",
            {"run": result.folder, "iterations": result.step, "interrupted": True},
        )
        return INTERRUPTED
    with resumable(result.folder):
        report = write_training_report(
            result.folder,
            evaluation=result.evaluation,
            spec=result.spec,
            predictor=result.predictor,
        )
    text = (
        f"{verdict(result.evaluation)}\n"
        f"Model {result.model}, report {report}.   "
        f"Next: atrous predict {result.model} IMAGES --overlay"
    )
    answer(text, {**facts(result), "report": report})
    return 0


def verdict(evaluation: Evaluation) -> str:
    """Return the honest line, and the best and the worst class of a network that has learnt."""
    if not evaluation.has_learnt:
        return headline(evaluation)
    names = evaluation.label_set.names
    scored = [
        (iou, name) for iou, name in zip(evaluation.iou, names, strict=True) if iou is not None
    ]
    (worst_iou, worst), (best_iou, best) = min(scored), max(scored)
    return f"{headline(evaluation)}   best {best} {best_iou:.2f}   worst {worst} {worst_iou:.2f}"


def facts(result: "RunResult") -> dict[str, object]:
    """Return what `--json` says of a finished run."""
    assert result.evaluation is not None
    return {
        "run": result.folder,
        "model": result.model,
        "iterations": result.step,
        **result.evaluation.to_json(),
    }
