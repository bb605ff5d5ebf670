"""Data that a run can learn from and be scored on."""

from collections.abc import Sequence

from atrous.data import DataSpec
from atrous.errors import InputError, counted

__all__ = ["sound"]


def sound(spec: DataSpec, skip_bad: bool, splits: Sequence[str] = ("train", "val")) -> DataSpec:
    """Return `spec` if it can be trained on, or scored on the `splits` that are named.

    Raises:
        InputError: There are faults and they are not to be skipped, or a split is missing or void.
    """
    faults = [finding for finding in spec.findings if finding.severity == "error"]
    if faults and not skip_bad:  # else they are left out: `splits` holds usable pairs only
        first = faults[0]
        raise InputError(
            f"{counted(len(faults), 'fault')} in {spec.root}; the first: {first.path}: "
            f"{first.what} -> {first.remedy} (or leave such pairs out: --skip-bad)"
        )
    for split in splits:
        if not spec.splits.get(split):
            raise InputError(
                f"{spec.root} has no {split} pairs; put some into {split}/images and {split}/masks"
            )
        if not any(spec.statistics[split].pixels):
            raise InputError(
                f"every mask of {split} in {spec.root} is void, so there is nothing to "
                f"{'learn' if split == 'train' else 'score'}; label some of them"
            )
    return spec
