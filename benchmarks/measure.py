"""How time and memory are measured on each device."""

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks.ours import Step
from model.cpu_products import linear
from training import flops

Result = TypeVar("Result")


def timed(step: Callable[[int], Step], number: int, device: str, threads: int) -> float:
    """Return the useful tokens per second of step `number`.

    On CUDA by the clock on the wall, once the device is done. On CPU by the process's own CPU
    time divided by its threads: what the clock would show if nobody else used the machine.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        tokens = step(number).tokens
        torch.cuda.synchronize()
        return tokens / (time.perf_counter() - start)
    start = time.process_time()
    tokens = step(number).tokens
    return tokens * threads / (time.process_time() - start)


def matmul_rate(device: str, threads: int, dtype: torch.dtype = torch.bfloat16) -> float:
    """Return the operations per second of a large product, by the clock of `timed`.

    On CPU in float32 of the faster of the two libraries that this project chooses from.
    """
    if device == "cuda":
        return flops.matmul_rate(torch.device(device), dtype, seconds=1.0)
    size = 1024
    a, b = torch.randn(2, size, size).to(dtype)
    best = float("inf")
    for _ in range(100):
        for product in (torch.mm, linear):
            start = time.process_time()
            product(a, b)
            best = min(best, time.process_time() - start)
    return 2 * size**3 * threads / best


def peak_on_cuda(work: Callable[[], Result]) -> tuple[Result, int]:
    """Return what `work` returns, and the most bytes allocated meanwhile over those before."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = work()
    return result, torch.cuda.max_memory_allocated() - before


def peak_of_process(work: Callable[[], object]) -> int | None:
    """Return the peak resident bytes during `work` over those before it; None without /proc.

    For a fresh process that has loaded its model and nothing else: then it is what a user's
    machine must have free, allocator and libraries included, which a count of tensors is not.
    """
    if sys.platform != "linux":
        return None
    # Memory that loading has freed must not count as the base's.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {field}")
