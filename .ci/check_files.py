"""Refuse files over 250 kB and text that does not end in exactly one newline.

Usage: python .ci/check_files.py FILE...
"""

import sys
from pathlib import Path

MAX_BYTES = 250_000
PAGES = {"docs/compare-camvid/report.html": 2_000_000}  # one file with its pictures in it
WEIGHTS = ("zoo/", "src/atrous/weights/street_scenes/")  # trained models; they may be larger
ANY_ENDING = ("zoo/", "src/atrous/weights/street_scenes/", "LICENSE")


def faults(name: str) -> list[str]:
    """Return what is wrong with one file, as lines to print."""
    path = Path(name)
    if not path.is_file():  # deleted, or a link to nowhere
        return []
    content = path.read_bytes()
    found = []
    most = PAGES.get(name, MAX_BYTES)
    if len(content) > most and not name.startswith(WEIGHTS):
        found.append(f"{name} has {len(content)} bytes; at most {most} outside zoo/")
    is_text = b"\0" not in content[:8192] and not name.startswith(ANY_ENDING)
    if content and is_text and (not content.endswith(b"\n") or content.endswith(b"\n\n")):
        found.append(f"{name} must end in exactly one newline")
    return found


if __name__ == "__main__":
    lines = [line for name in sys.argv[1:] for line in faults(name)]
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(bool(lines))
