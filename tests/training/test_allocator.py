"""mmctr_kit.training.allocator: memory that is freed stays with the process, in huge pages."""

import subprocess
import sys
from pathlib import Path

import pytest

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[madvise]" not in HUGE_PAGES.read_text(),
    reason="huge pages are not given on request here",
)
def test_large_tensors_are_in_huge_pages_which_are_kept_when_they_are_freed() -> None:
    code = """
import torch
from pathlib import Path
from mmctr_kit.training.allocator import keep_freed_memory
keep_freed_memory()
def huge():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))
before = huge()
first = torch.zeros(64 << 18)
print(huge() - before)
del first
print(huge() - before)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    gained, kept = map(int, done.stdout.split())
    assert gained >= 48 << 10
    assert kept >= 48 << 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_if_memory_is_limited_none_is_requested_that_may_stay_unused() -> None:
    code = """
import resource
import torch
from pathlib import Path
from mmctr_kit.training.allocator import keep_freed_memory
def size():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (32 << 30, resource.RLIM_INFINITY))
before = size()
keep_freed_memory()
print(size() - before)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1 << 20
