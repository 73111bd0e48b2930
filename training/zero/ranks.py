"""The processes that train together: joining, waiting for all, and ending when one fails."""

import atexit
import hashlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from pathlib import Path

import psutil
import torch
import torch.distributed as dist

from console.command import ERROR_GRACE_SECONDS, RankError, one_line
from training.zero.heartbeat import Heartbeat
from training.zero.installed import check_deepspeed

FROM_THE_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
START = "deepspeed --num_gpus=8 ds_finetune.py"
# How long a rank waits for the others: rank 0 alone writes and hashes the gathered weights, 140 GB
# of a 70B model.
TIMEOUT_MINUTES = 60
LAUNCHERS = {"deepspeed", "deepspeed.launcher.launch", "torchrun", "torch.distributed.run"}
# Counts that all ranks share: how many failed, and how many have left after a failure.
FAILED, LEFT = "failed", "left"


@dataclass(frozen=True)
class Ranks:
    """This process among the `world_size` that train together, and its device."""

    rank: int
    world_size: int
    device: torch.device


@contextmanager
def joined_ranks(device_name: str) -> Iterator[Ranks]:
    """Join the processes that a launcher started, and leave them again.

    `device_name` is the setting `model.device`. When ranks fail, one of them reports the error,
    with its number unless all failed alike.
    """
    check_deepspeed()
    ranks = _join(_find_device(device_name))
    _end_with_the_launcher()
    store = dist.distributed_c10d._get_default_store()
    heartbeat = Heartbeat(store, ranks.rank, ranks.world_size)
    processes = _processes()
    heartbeat.watch(processes)
    failed = True
    try:
        yield ranks
        wait_for_all(ranks.device)
        failed = False
    except Exception as error:
        if heartbeat.ending:
            raise SystemExit(1) from error
        report_failure(error, ranks, processes, store)
    finally:
        heartbeat.stop()
        _leave(store, ranks, failed)


def wait_for_all(device: torch.device) -> None:
    """Return once every rank has come here.

    On NCCL a collective holds the device's stream and the host goes on; reading its result waits.
    """
    arrived = torch.zeros(1, device=device)
    dist.all_reduce(arrived)
    arrived.item()


def _find_device(name: str) -> torch.device:
    missing = [variable for variable in FROM_THE_LAUNCHER if variable not in os.environ]
    if missing:
        raise ValueError(
            f"started without a launcher ({missing[0]} is not set); run: {START} "
            "(or torchrun --nproc_per_node=8 ds_finetune.py; finetune.py is for one device)"
        )
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError(
            f"model.device is {name!r}, and torch sees no CUDA device; to train on the processor "
            "add --model.device=cpu"
        )
    local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", local + 1))
    if processes > count:
        raise ValueError(
            f"{processes} processes were started on {socket.gethostname()}, which has {count} CUDA "
            f"devices; run: {START.replace('8', str(count))}"
        )
    return torch.device("cuda", local)


def _join(device: torch.device) -> Ranks:
    """Start the process group with DeepSpeed's backend for the device."""
    if device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    else:
        torch.cuda.set_device(device)
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # DeepSpeed uses deprecated names of torch.distributed; the user cannot change that.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    if device.type == "cpu":
        # Its collectives over shared memory need a compiler at the first start, and what killed
        # processes leave in /dev/shm is never removed; gloo has neither problem.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    minutes = float(os.environ.get("DEEPSPEED_TIMEOUT", TIMEOUT_MINUTES))
    try:
        deepspeed.init_distributed(
            "gloo" if device.type == "cpu" else "nccl", timeout=timedelta(minutes=minutes)
        )
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
        if "EADDRINUSE" not in str(error):
            raise ValueError(
                f"rank {os.environ['RANK']} on {socket.gethostname()} did not meet the others at "
                f"{address}:{port} ({one_line(error)}); start every node with the address and "
                "port of the first, and let no firewall stand between them"
            ) from None
        raise ValueError(
            f"port {port} of {socket.gethostname()} is in use, by another run perhaps; choose one: "
            f"deepspeed --master_port {int(port) + 1} ... (torchrun has the same flag)"
        ) from None
    return Ranks(dist.get_rank(), dist.get_world_size(), device)


def _end_with_the_launcher() -> None:
    """Send this process SIGTERM, which saves and ends the run, once a launcher above it is gone."""
    above = takewhile(_is_launcher, psutil.Process().parents())
    launchers = [process.pid for process in above]

    def watch() -> None:
        while all(_lives(process) for process in launchers):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if launchers:
        threading.Thread(target=watch, daemon=True).start()


def _is_launcher(process: psutil.Process) -> bool:
    """Return whether a launcher is among the words of a process's command line."""
    try:
        return any(Path(word).name in LAUNCHERS for word in process.cmdline())
    except psutil.Error:
        return False


def _processes() -> list[tuple[str, int]]:
    """Return the host and process number of every rank."""
    own = (socket.gethostname(), os.getpid())
    found: list[tuple[str, int]] = [own] * dist.get_world_size()
    dist.all_gather_object(found, own)
    return found


def report_failure(
    error: Exception, ranks: Ranks, processes: list[tuple[str, int]], store: dist.Store
) -> None:
    """Raise the error that this rank reports, or SystemExit where another rank reports it."""
    # The launcher terminates all when one ends; the error must be printed before that.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    message, host = one_line(error), socket.gethostname()
    if isinstance(error, RuntimeError):
        # It may only follow from the end of another rank.
        if _add_to_shared_count(store, FAILED) > 0:
            raise SystemExit(1) from error
        if dead := _dead_ranks(ranks, processes):
            names = " and ".join(f"{rank} (process {processes[rank][1]})" for rank in dead)
            message = (
                f"rank {names} on {host} died: killed, or out of memory. The others stopped; add "
                "--resume to the same command to continue from the last checkpoint"
            )
            if not _reports_first(store, FAILED, ranks, processes):
                raise SystemExit(1) from error
            raise RankError(message) from error
        if "onnection" in message and {where for where, _ in processes} != {host}:
            message = (
                "the connection to a rank on another node is lost; the output of that node says "
                "why. Add --resume to the same command to continue from the last checkpoint"
            )
    _add_to_shared_count(store, FAILED, 1)
    # The store ends the connection of a rank that sends it a key of some megabytes.
    key = hashlib.sha256(message.encode()).hexdigest()
    if not _reports_first(store, key, ranks, processes):
        raise SystemExit(1) from error
    alike = _wait_for(lambda: _add_to_shared_count(store, key), ranks.world_size)
    if alike < ranks.world_size:
        message = f"rank {ranks.rank} on {host}: {message}"
    raise RankError(message) from error


def _reports_first(
    store: dist.Store, key: str, ranks: Ranks, processes: list[tuple[str, int]]
) -> bool:
    """Return whether no rank has reported yet; without a count, no earlier rank of this machine."""
    if count := _add_to_shared_count(store, key, 1):
        return count == 1
    host = socket.gethostname()
    before = [process for where, process in processes[: ranks.rank] if where == host]
    return not any(map(_lives, before))


def _leave(store: dist.Store, ranks: Ranks, failed: bool) -> None:
    """Leave the process group; after a failure wait a while for the others to leave too."""
    if failed and ranks.device.type == "cuda":
        # Destroying would wait for collectives that the others never join.
        dist.distributed_c10d._abort_process_group()
    else:
        dist.destroy_process_group()
    if failed:
        _add_to_shared_count(store, LEFT, 1)
        _wait_for(lambda: _add_to_shared_count(store, LEFT), ranks.world_size)
    elif ranks.device.type == "cpu":
        atexit.register(_end_at_once)


def _end_at_once() -> None:
    """End without Python's finalisation, in which gloo's threads, kept alive by DeepSpeed's
    references, abort the process every thirtieth time.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _add_to_shared_count(store: dist.Store, key: str, more: int = 0) -> int:
    """Add to a count that all ranks share and return it; 0 when rank 0, which keeps it, is gone."""
    try:
        return int(store.add(key, more))
    except (RuntimeError, dist.DistError):
        return 0


def _wait_for(count: Callable[[], int], wanted: int) -> int:
    """Return the count once it is as high as wanted, or after ERROR_GRACE_SECONDS."""
    end = time.monotonic() + ERROR_GRACE_SECONDS
    while (found := count()) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _dead_ranks(ranks: Ranks, processes: list[tuple[str, int]]) -> list[int]:
    """Return the ranks of this machine whose processes have ended, waiting a while for one."""
    host = socket.gethostname()
    beside = [r for r, (where, _) in enumerate(processes) if where == host and r != ranks.rank]

    def dead() -> list[int]:
        return [rank for rank in beside if not _lives(processes[rank][1])]

    _wait_for(lambda: len(dead()), 1)
    return dead()


def _lives(process: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(process).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False
