"""Read what `atrous demo` printed and refuse a mean IoU on unseen scenes below 0.85.

Usage: atrous demo | tee demo.txt; python .ci/check_demo.py demo.txt
"""

import re
import sys
from pathlib import Path

WANTED = 0.85


def main(said: Path) -> int:
    """Return 1 and say why if the demo has not learnt what it promises."""
    found = re.search(r"unseen scenes: mIoU (\d\.\d+)", said.read_text(encoding="utf-8"))
    if not found or float(found[1]) < WANTED:
        print(f"the demo must reach mIoU {WANTED}; it said: {found[0] if found else 'nothing'}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
