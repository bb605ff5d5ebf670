"""Check that a wheel holds every file of the package that git knows, and nothing over 8 MB in all.

Usage: python .ci/check_wheel.py WHEEL
"""

import subprocess
import sys
import zipfile
from pathlib import Path

MAX_BYTES = 8_000_000  # the model that ships has at most 6 MB


def main(wheel: Path) -> int:
    """Return 1 and say why if the wheel is not what it should be."""
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    listing = subprocess.run(
        ["git", "ls-files", "src/atrous"], capture_output=True, text=True, check=True
    )
    tracked = {name.removeprefix("src/") for name in listing.stdout.splitlines()}
    missing = sorted(tracked - packed)
    if missing:
        print(f"{wheel.name} lacks {', '.join(missing)}")
    too_large = wheel.stat().st_size > MAX_BYTES
    if too_large:
        print(f"{wheel.name} has {wheel.stat().st_size} bytes; at most {MAX_BYTES}")
    return int(bool(missing) or too_large)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
