"""On what a run was trained: versions, machine and data, and what of it changed on the way."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from atrous.errors import InputError
from atrous.files import write_json

__all__ = ["check_data", "write_environment"]

PACKAGES = (
    "atrous",
    "torch",
    "lightning",
    "timm",
    "torchvision",
    "numpy",
    "opencv-python-headless",
)


def write_environment(folder: Path, done: int, **facts: object) -> None:
    """Write `environment.json`: versions, machine, and whatever else is worth keeping.

    A run that goes on elsewhere, or with other versions, keeps what it began with: the new facts
    go to `environment-2.json`, ..., with the iteration from which they hold.

    Args:
        folder: The run folder.
        done: Iterations done before.
        facts: JSON values.
    """
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    content = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": versions,
        **facts,
    }
    path, number, latest = folder / "environment.json", 1, None
    while path.exists():
        latest, number = _facts(path), number + 1
        path = folder / f"environment-{number}.json"
    if latest is None:
        write_json(path, content)
    elif latest != content:
        write_json(path, {**content, "from_iteration": done})


def check_data(folder: Path, fingerprint: str) -> None:
    """Require the data that the run in `folder` was begun on, wherever they lie now.

    Raises:
        InputError: Files were added, removed or changed, or the classes are others.
    """
    known = _facts(folder / "environment.json").get("data", fingerprint)  # lost: nothing to compare
    if known != fingerprint:
        raise InputError(
            f"the data have changed since {folder} began, so it cannot go on step-exact; "
            "restore them, or start a new run with --data"
        )


def _facts(path: Path) -> dict[str, object]:
    """Return what an environment file holds but for its iteration; {} if it is damaged."""
    try:
        content = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
    content.pop("from_iteration", None)
    return content


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
