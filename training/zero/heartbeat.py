"""Signs of life: a rank whose process or node is frozen is found in minutes, and all end.

A collective waits an hour for a rank that is late, because one that writes a large checkpoint may
be. That rank still beats: a thread of its own counts up in the store that all ranks share. Rank 0
watches the counts of the others, and the others watch that of rank 0. A watcher counts its own
turns and no clock, so a job that was stopped as a whole and goes on finds nothing.
"""

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import torch.distributed as dist

from console.command import ERROR_GRACE_SECONDS, print_error

LIMIT_VARIABLE, LIMIT_MINUTES = "FROZEN_RANK_MINUTES", 5.0
LONGEST_INTERVAL_SECONDS = 5.0
BEATS = 6  # in the time after which a rank counts as frozen, at least
# What rank 0 tells the others.
FROZEN = "frozen"


class Heartbeat:
    """Beats for this rank and watches others, from `watch` until `stop`.

    `ending` says that a frozen rank was found, and errors that follow from it are no news.
    """

    def __init__(self, store: dist.Store, rank: int, world_size: int) -> None:
        """Give the first sign of life; the others may be watched once each rank has done so."""
        self.rank, self.world_size = rank, world_size
        # Its types leave it out: a connection of its own.
        self.store: dist.Store = cast(Any, store).clone()
        self.minutes = float(os.environ.get(LIMIT_VARIABLE, LIMIT_MINUTES))
        self.interval = min(LONGEST_INTERVAL_SECONDS, 60 * self.minutes / BEATS)
        self.ending = False
        self.seen: dict[int, bytes] = {}
        self.told = b"0"
        self.stopped = threading.Event()
        self._beat(0)
        if rank == 0:
            self.store.set(FROZEN, "0")

    def watch(self, processes: Sequence[tuple[str, int]]) -> None:
        """Begin to beat and to watch; `processes` are the host and process number of each rank."""
        self.processes = processes
        if self.world_size > 1 and self.minutes > 0:
            for work in (self._keep_beating, self._keep_watching):
                threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        """Give no more signs of life, and miss nobody's."""
        self.stopped.set()

    def _beat(self, count: int) -> None:
        self.store.set(f"alive/{self.rank}", str(count))

    def _keep_beating(self) -> None:
        watched = range(1, self.world_size) if self.rank == 0 else [0]
        keys = [f"alive/{rank}" for rank in watched]
        count = 0
        while not self.stopped.wait(self.interval):
            count += 1
            try:
                self._beat(count)
                *counts, self.told = self.store.multi_get([*keys, FROZEN])
            except (RuntimeError, dist.DistError):
                continue  # rank 0 keeps the store: while it is away, nothing new is seen of it
            self.seen = dict(zip(watched, counts, strict=True))

    def _keep_watching(self) -> None:
        watched = range(1, self.world_size) if self.rank == 0 else [0]
        silent, before = Counter[int](), dict[int, bytes]()
        while not self.stopped.wait(self.interval):
            now = self.seen
            for rank in watched:
                silent[rank] = silent[rank] + 1 if now.get(rank) == before.get(rank) else 0
            before = now
            frozen = [r for r in watched if silent[r] * self.interval >= 60 * self.minutes]
            if frozen or self.told != b"0":
                self._end(frozen)

    def _end(self, frozen: list[int]) -> None:
        """End this process, whatever its main thread waits for; one rank of a machine says why."""
        self.ending = True
        host = socket.gethostname()
        if self.rank == 0:
            self.store.set(FROZEN, "1")
        others = range(1, self.rank)
        if frozen and not any(self.processes[rank][0] == host for rank in others):
            places = ((rank, *self.processes[rank]) for rank in frozen)
            names = " and ".join(f"{rank} (process {p} on {where})" for rank, where, p in places)
            print_error(
                f"rank {names} gave no sign of life for {self.minutes:g} minutes: it is frozen, or "
                "its node is. All ranks end; add --resume to the same command to continue from the "
                "last checkpoint"
            )
        # A launcher terminates all when one ends; the others must have found or heard it by then.
        # That takes one interval until they ask, one until they look, and one for a busy machine.
        time.sleep(max(ERROR_GRACE_SECONDS, 3 * self.interval) * (1 if frozen else 2))
        for where, process in (self.processes[rank] for rank in frozen):
            if where == host:
                os.kill(process, signal.SIGKILL)
        os._exit(1)
