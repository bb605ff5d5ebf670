"""On what a run was trained: versions, machine and data, and what of it changed on the way."""

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from atrous.errors import InputError
from atrous.files import write_json

__all__ = ["check_data", "read_environment", "write_environment"]

PACKAGES = (
    "atrous",
    "torch",
    "lightning",
    "timm",
    "torchvision",
    "numpy",
    "opencv-python-headless",
)


def write_environment(
    folder: Path,
    *,
    done: int,
    device: str,
    precision: str,
    began: Mapping[str, object],
    processes: int = 1,
) -> None:
    """Write `environment.json`: versions, machine, data, and the weights that a run began with.

    A run that goes on elsewhere, or with other versions, keeps it: what is other then goes to
    `environment-2.json`, ..., with the iteration from which it holds.

    Args:
        folder: The run folder.
        done: Iterations done before.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16-mixed".
        began: What cannot change in the middle of a run; JSON values.
        processes: How many share each batch.
    """
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": _versions(),
        "precision": precision,
        "device": device,
        "processes": processes,
    }
    path, number = folder / "environment.json", 1
    if not path.exists():
        write_json(path, {**machine, **began})
        return
    while path.exists():
        latest, number = read_environment(path), number + 1
        path = folder / f"environment-{number}.json"
    if any(latest.get(key) != value for key, value in machine.items()):
        write_json(path, {**machine, "from_iteration": done})


def read_environment(path: Path) -> dict[str, object]:
    """Return what an environment file holds; {} if it is lost or damaged."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def check_data(folder: Path, fingerprint: str) -> None:
    """Require the data that the run in `folder` was begun on, wherever they lie now.

    Raises:
        InputError: Files were added, removed or changed, or the classes are others.
    """
    known = read_environment(folder / "environment.json").get("data", fingerprint)
    if known != fingerprint:
        raise InputError(
            f"the data have changed since {folder} began, so it cannot go on step-exact; "
            "restore them, or start a new run with --data"
        )


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
