"""The extension that a run is in, written down: a command that is given again adds nothing again.

`--extend N` is an order to add, unlike `--iterations N`. A queue that starts a killed job anew, or
a hand that presses the up arrow, repeats the whole command; so while the run has not come to the
end of an extension by N, `--extend N` goes on with that one. `extension.json` in the run folder
says by how much it was extended, to which length and at which step.
"""

import json
from pathlib import Path

from atrous.errors import InputError
from atrous.files import write_json
from atrous.training.checkpoints import read_progress
from atrous.training.config import TrainConfig
from atrous.training.watch import has_stopped

__all__ = ["begins_extension", "extended_length", "lacks_report", "record_extension"]


def extended_length(folder: Path, stored: TrainConfig, by: int) -> int:
    """Return the iterations in all of a run that `--extend` is given for.

    Args:
        folder: The run folder.
        stored: What its `config.yaml` says.
        by: What was given.

    Raises:
        InputError: The length is not known yet: the last of several phases has not begun.
    """
    if stored.iterations is None:
        raise InputError(
            f"--extend {by} needs a run whose length is known, and the last phase of {folder} has "
            f"not begun; go on without it first: atrous train --resume {folder}"
        )
    return stored.iterations + (0 if _is_in(folder, stored, by) else by)


def record_extension(folder: Path, *, by: int, to: int, at: int) -> None:
    """Write down that a run is extended; before its configuration has the new length.

    Args:
        folder: The run folder.
        by: Iterations added.
        to: Iterations in all.
        at: Iterations done.
    """
    write_json(folder / "extension.json", {"by": by, "to": to, "at": at})


def begins_extension(folder: Path, stored: TrainConfig, step: int) -> bool:
    """Return whether the run was extended at this very step, and has not taken another since."""
    record = _record(folder)
    return (record.get("to"), record.get("at")) == (stored.iterations, step)


def lacks_report(folder: Path) -> bool:
    """Return whether the report is older than the last step: the run was killed between them."""
    report, last = folder / "report.html", folder / "last.ckpt"
    return report.exists() and report.stat().st_mtime < last.stat().st_mtime


def _is_in(folder: Path, stored: TrainConfig, by: int) -> bool:
    """Return whether the run is in an extension by that number."""
    record, progress = _record(folder), read_progress(folder / "last.ckpt")
    if (record.get("by"), record.get("to")) != (by, stored.iterations):
        return False
    if progress is None or begins_extension(folder, stored, progress.step) or lacks_report(folder):
        return True
    has_waited = has_stopped(progress.scores, stored.patience, progress.patient_since)
    return progress.step < record["to"] and not has_waited


def _record(folder: Path) -> dict[str, int]:
    """Return what was written down; {} if nothing was, or it is damaged."""
    try:
        return dict(json.loads((folder / "extension.json").read_text()))
    except (OSError, ValueError, TypeError):
        return {}
