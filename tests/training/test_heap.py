import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
from atrous.training.heap import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(64 << 20)  # 16 384 pages of 4 KiB
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(choice: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, choice], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a choice of glibc's")
def test_memory_freed_once_is_used_again_without_page_faults() -> None:
    assert faults("keep") < 100
    assert faults("default") > 100  # or this test proves nothing
