"""Free RAM is what the kernel and every control group above the process leave, not one of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from atrous.training import cost as cost_module
from atrous.training.memory import ASSUMED_PER_IMAGE, free_ram

GIGA = 10**9


def machine(root: Path, groups: str, files: dict[str, object], available: int = 9 * GIGA) -> Path:
    """Write a /proc and a /sys/fs/cgroup."""
    files = {
        "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {available // 1024} kB\n",
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": content for name, content in files.items()},
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


def test_without_limits_it_is_what_the_kernel_has_available(tmp_path: Path) -> None:
    files = {"job/memory.max": "max", "job/memory.current": GIGA}
    assert free_ram(machine(tmp_path, "0::/job", files)) == 9 * GIGA // 1024 * 1024


def test_a_container_of_version_2_lowers_it_and_cached_files_do_not_count(tmp_path: Path) -> None:
    files = {
        "memory.max": 4 * GIGA,
        "memory.current": 3 * GIGA,
        "memory.stat": f"anon 5\ninactive_file {GIGA}\nactive_file 7",
    }
    assert free_ram(machine(tmp_path, "0::/", files)) == 2 * GIGA


def test_a_limit_further_up_holds_too(tmp_path: Path) -> None:
    files = {
        "memory.max": "max",
        "memory.current": 8 * GIGA,
        "user/memory.max": 2 * GIGA,
        "user/memory.current": 2 * GIGA - 500,
        "user/job/memory.max": 4 * GIGA,
        "user/job/memory.current": GIGA,
    }
    assert free_ram(machine(tmp_path, "0::/user/job", files)) == 500


def test_the_kernel_may_leave_less_than_the_container(tmp_path: Path) -> None:
    files = {"memory.max": 4 * GIGA, "memory.current": GIGA}
    assert free_ram(machine(tmp_path, "0::/", files, available=2**30)) == 2**30


@pytest.mark.parametrize("mounted", ["memory/slurm/job", "memory"])  # a container sees its own only
def test_version_1_has_other_names(tmp_path: Path, mounted: str) -> None:
    files = {
        f"{mounted}/memory.limit_in_bytes": 3 * GIGA,
        f"{mounted}/memory.usage_in_bytes": 2 * GIGA,
        f"{mounted}/memory.stat": f"inactive_file 3\ntotal_inactive_file {GIGA // 2}",
    }
    groups = "5:cpu,cpuacct:/slurm\n4:memory:/slurm/job\n0::/"
    assert free_ram(machine(tmp_path, groups, files)) == 1.5 * GIGA


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {"memory.max": GIGA, "memory.current": GIGA + 5}
    assert free_ram(machine(tmp_path, "0::/", files)) == 0


def test_without_proc_it_is_half_of_the_ram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**20}.__getitem__)
    assert free_ram(tmp_path) == 2 * 2**30
    monkeypatch.delattr(os, "sysconf")  # Windows
    assert free_ram(tmp_path) == 4 * 2**30


def test_the_peak_grows_by_what_is_allocated() -> None:
    program = (  # of its own: this one may hold freed memory that is taken again
        "import torch; from atrous.training.memory import read_peak, start_peak; "
        "before = start_peak('cpu'); held = torch.ones(64 * 2**20, dtype=torch.uint8); "
        "print(read_peak('cpu') - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) > 0.9 * 64 * 2**20


def test_where_nothing_can_be_measured_four_images_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost_module, "start_peak", lambda device: 0)
    monkeypatch.setattr(cost_module, "read_peak", lambda device: 0)
    monkeypatch.setattr(cost_module, "free_memory", lambda device: 4 * 2**30)
    cost = cost_module.measure_cost(
        lambda model, images, labels: model(images).sum(),
        lambda model: torch.optim.SGD(model.parameters(), lr=1.0),
        nn.Conv2d(3, 2, 1),
        torch.rand(2, 3, 8, 8),
        torch.zeros(2, 8, 8),
        precision="fp32",
        at_once=2,
        processes=1,
    )
    assert cost.bytes_per_image == ASSUMED_PER_IMAGE
    assert cost_module.largest_fitting(16, cost) == 4
