"""The devices that torch sees, and the memory that is free: trials."""

import os
import shutil
from pathlib import Path

from machine.trial import NotHereError, NoticeError, Trial

GB = 1e9
# Below it not even the demo runs.
LEAST_GB = 2.0
_CGROUP = Path("/sys/fs/cgroup")


def _processor() -> str:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    features = torch.backends.cpu.get_cpu_capability()
    return f"{usable} cores, {features}, torch computes with {torch.get_num_threads()} threads"


def _memory() -> str:
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    limit = _container_limit()
    if limit is not None:
        free, total = min(free, limit[0]), min(total, limit[1])
    return _at_least(LEAST_GB, free, total)


def _container_limit() -> tuple[int, int] | None:
    """Return what is left and the most of a container's memory, where it has a limit."""
    try:
        most = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        return most - int((_CGROUP / "memory.current").read_text(encoding="ascii")), most
    except (OSError, ValueError):
        return None


def _disk() -> str:
    usage = shutil.disk_usage(Path.cwd())
    return _at_least(LEAST_GB, usage.free, usage.total)


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        if Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi"):
            built = torch.version.cuda or "no CUDA"
            raise ValueError(
                f"there is a driver of NVIDIA's, and torch, built for {built}, sees no device"
            )
        raise NotHereError("torch sees no CUDA device; all runs on the processor")
    return "; ".join(map(_card, range(torch.cuda.device_count())))


def _card(index: int) -> str:
    import torch

    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return (
        f"{properties.name}, capability {properties.major}.{properties.minor}, "
        f"{free / GB:.1f} of {total / GB:.1f} GB free"
    )


def _shared_memory() -> str:
    """Ranks of one machine exchange through it: NCCL, and torch's loaders."""
    directory = Path("/dev/shm")
    if not directory.is_dir():
        raise NotHereError("this system has no /dev/shm")
    usage = shutil.disk_usage(directory)
    words = f"{usage.free / GB:.2f} of {usage.total / GB:.2f} GB free"
    if usage.total < GB:
        raise NoticeError(f"{words}; several ranks want 1 GB (docker run --shm-size=8g)")
    return words


def _at_least(least: float, free: int, total: int) -> str:
    words = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    if free < least * GB:
        raise ValueError(f"{words}, wanted {least:g} GB for the smallest runs")
    return words


TRIALS = {
    "processor": Trial(
        _processor, "install torch again: python -m pip install -r requirements.txt"
    ),
    "CUDA": Trial(_cuda, "compare torch's build with the driver's: nvidia-smi"),
    "memory": Trial(_memory, "free some memory; what takes most: ps -eo rss,comm --sort=-rss"),
    "disk (this directory)": Trial(_disk, "free some disk; what takes most: du -xsh * | sort -h"),
    "shared memory": Trial(_shared_memory, "give ranks shared memory: mount | grep shm"),
}
