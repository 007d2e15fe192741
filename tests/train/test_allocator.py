"""Memory that a step frees stays in the process, which changes the cost of a step and nothing else."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
{first}
import torch
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    torch.ones(2**24)  # 64 MiB, more than the C library keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


def faults(first=""):
    made = subprocess.run([sys.executable, "-c", COUNT.format(first=first)], capture_output=True, text=True, check=True)
    return int(made.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_not_mapped_anew():
    kept = faults("from standout.train.allocator import keep_freed_memory\nassert keep_freed_memory()")
    assert kept < faults() / 2
