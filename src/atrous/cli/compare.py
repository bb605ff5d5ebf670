"""`atrous compare --data D --models a,b,c`: which network to use for these images, and how sure."""

import shlex
import sys
import tempfile
from pathlib import Path

from atrous.cli.compare_lines import plan_content, plan_lines, result_lines, watching
from atrous.cli.console import answer, say
from atrous.cli.data_faults import look_through
from atrous.compare.config import CompareConfig
from atrous.data import DataSpec

__all__ = ["run"]


def run(config: CompareConfig) -> int:
    """Compare; return 0, or 1 if a network failed or the speeds are missing."""
    from atrous.compare import entries_of

    entries_of(config)  # what was typed, before the data, which may take minutes
    spec = look_through(config.data, config.skip_bad)
    return _plan(config, spec) if config.dry_run else _compare(config, spec)


def _plan(config: CompareConfig, spec: DataSpec) -> int:
    from atrous.compare import plan_comparison

    with tempfile.TemporaryDirectory() as folder, watching() as terminal:
        planned = plan_comparison(config, spec, Path(folder), terminal)
    answer(plan_lines(planned, config), plan_content(planned, config))
    return 1 if planned.failures else 0


def _compare(config: CompareConfig, spec: DataSpec) -> int:
    from atrous.compare import compare, default_out, results, write_report
    from atrous.files import write_json

    folder = config.out or default_out(config)
    try:
        with watching() as terminal:
            compared = compare(
                config, spec, terminal, lambda planned: say(plan_lines(planned, config))
            )
    except KeyboardInterrupt:
        line = f"interrupted, nothing lost.   Go on: {_again()}   ({folder})"
        raise KeyboardInterrupt(line) from None
    content = results(compared, config, spec)
    write_json(compared.folder / "results.json", content)
    report = write_report(compared, config, spec)
    best = compared.verdict.quality or compared.table.rows[0].name
    model = compared.cells[best][0].model
    text = (
        f"{result_lines(compared)}\n"
        f"Report {report}, figures {compared.folder / 'results.json'}.   "
        f"Next: atrous predict {shlex.quote(str(model))} IMAGES --overlay"
    )
    answer(text, {**content, "folder": compared.folder, "report": report})
    return 1 if compared.planned.failures or compared.together.failure else 0


def _again() -> str:
    """Return what was typed: the same command goes on."""
    return shlex.join(["atrous", *sys.argv[1:]])
