"""A look through the data before anything is done with them: every fault at once."""

from pathlib import Path

from atrous.cli.console import number, progress, say, warn
from atrous.data import DataSpec, open_data
from atrous.errors import InputError, counted

__all__ = ["look_through"]


def look_through(source: Path, skip_bad: bool) -> DataSpec:
    """Open the data; print every fault and note, and what was found.

    Raises:
        InputError: There are faults, and they are not to be left out.
    """
    with progress(None, "looking through the data", unit="pair") as bar:
        spec = open_data(source, progress=bar)
    errors = [finding for finding in spec.findings if finding.severity == "error"]
    whole = next((finding for finding in errors if finding.path == spec.root), None)
    is_left_out = skip_bad and whole is None and any(spec.splits.values())
    for finding in spec.findings:
        if finding.severity == "warning":
            warn(str(finding))
        else:
            say(f"{'skipped' if is_left_out else 'error'}: {finding}")
    if whole is not None:  # every pair suffers from it
        raise InputError(f"no pair can be used: {whole}")
    if errors and not any(spec.splits.values()):
        raise InputError(f"no pair of {source} can be used; the first fault: {errors[0]}")
    if errors and not skip_bad:
        raise InputError(
            f"{source} has {counted(len(errors), 'fault')}, listed above; mend them, "
            "or leave those pairs out with --skip-bad"
        )
    if errors:
        files = {finding.path for finding in errors}
        say(f"Skipped  the pairs of {counted(len(files), 'file')} with faults, listed above")
    for note in spec.notes:
        say(f"Note     {note}")
    say(f"Data     {_describe(spec)}")
    return spec


def _describe(spec: DataSpec) -> str:
    """Return a line about the data: pairs, classes, the rarest class."""
    counts = ", ".join(f"{number(len(pairs))} {name}" for name, pairs in spec.splits.items())
    names = spec.label_set.names
    text = f"{counts}, {len(names)} classes"
    if "train" in spec.statistics:
        shares = spec.statistics["train"].shares
        rarest = min(range(len(names)), key=lambda label: shares[label])
        text += f"; {names[rarest]} covers {100 * shares[rarest]:.1f} % of the pixels"
    return text
