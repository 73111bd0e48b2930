"""One row, all sides: first the same losses and gradients, then speed and memory."""

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from typing import NamedTuple

import torch

from benchmarks.measure import matmul_rate, peak_of_process, peak_on_cuda, timed
from benchmarks.ours import Ours, prepared, random_base
from benchmarks.parity import Parity, Side, check_parity
from benchmarks.peer import Shared, TransformersPeft, hugging_face_base
from benchmarks.prediction import find_policy, least_bytes, method_of, predict, this_card
from benchmarks.report import Comparison, Figures, Settings
from benchmarks.sizes import SIZES
from model.kernels.choice import find_kernels
from training.flops import step_flops

# What the other side is made of, by method.
NEEDED = {"lora": ("peft",), "qlora": ("peft", "bitsandbytes"), "full": ()}

Say = Callable[[str], None]


class Row(NamedTuple):
    """A size and one of METHODS."""

    size: str
    method: str


def compare(
    row: Row,
    settings: Settings,
    seconds: float,
    say: Say,
    keep: Callable[[Comparison], None],
) -> Comparison:
    """Compare all sides on one row, repeating for at most about `seconds`.

    Raises ValueError when they do not compute the same, and MemoryError when the models will not
    fit. `say` is told what is under way, and `keep` is given what there is after every repetition.
    """
    start, config = time.perf_counter(), SIZES[row.size].model
    gc.collect()  # what an earlier row held
    if settings.device == "cuda":
        torch.cuda.empty_cache()
    _require_memory(row, settings)
    torch.set_num_threads(settings.threads)
    say("building all sides with the same random weights")
    ours, peers, policy = build(row, settings)
    say("checking in float32 that all compute the same")
    parity = list(check_parity(ours, peers, config))
    say(f"warming up in {settings.dtype}")
    measured = _Measurement(row, settings, policy, parity, ours, peers)
    for number in range(1, 1 + settings.repetitions):
        measured.time_step(number)
        say(f"timing, step {number} of {settings.repetitions}")
        keep(measured.result())
        if time.perf_counter() - start > seconds:
            break
    if settings.device == "cpu":
        say("measuring memory in fresh processes")
        measured.measure_memory()
    return measured.result()


class _Measurement:
    """What is known of a row so far: each side's first step, its speeds and its memory."""

    def __init__(
        self,
        row: Row,
        settings: Settings,
        policy: str,
        parity: list[Parity],
        ours: Ours,
        peers: Sequence[Side],
    ) -> None:
        """Take the first step of every side, and what the row is compared with."""
        self.row, self.settings, self.policy, self.parity = row, settings, policy, parity
        self.sides: list[Side] = [ours, *peers]
        self.speeds: list[list[float]] = [[] for _ in self.sides]
        firsts = [_first_step(side, settings) for side in self.sides]
        self.losses, self.peaks = [loss for loss, _ in firsts], [peak for _, peak in firsts]
        dtype = _dtype(settings)
        self.rate = matmul_rate(settings.device, settings.threads, dtype)
        steps = [ours.batches.step(number) for number in range(1, 1 + settings.repetitions)]
        batches = [batch for step in steps for batch in step]
        tokens = sum(len(batch.tokens) for batch in batches)
        self.operations = step_flops(ours.model, batches) / tokens
        self.trained_share = sum(len(batch.targets) for batch in batches) / tokens
        method = method_of(SIZES[row.size].model, row.method, dtype)
        self.prediction = predict(method, policy, batches, this_card(ours.device))

    def time_step(self, number: int) -> None:
        """Time one step on every side in turn, another of them first each time."""
        settings = self.settings
        for turn in range(len(self.sides)):
            index = (number + turn) % len(self.sides)
            step = self.sides[index].step
            speed = timed(step, number, settings.device, settings.threads)
            self.speeds[index].append(speed)

    def measure_memory(self) -> None:
        """Measure every side's peak in a process of its own."""
        for index in range(len(self.sides)):
            mode = (None, *self.settings.peers)[index]
            self.peaks[index] = _peak_in_fresh_process(mode, self.row, self.settings)

    def result(self) -> Comparison:
        """Return the figures that there are."""
        names = [side.name for side in self.sides]
        parts = zip(names, map(list, self.speeds), self.losses, self.peaks, strict=True)
        ours, *peers = (Figures(*part) for part in parts)
        return Comparison(
            *self.row,
            self.settings,
            self.policy,
            self.parity,
            ours,
            peers,
            self.operations,
            self.trained_share,
            self.rate,
            self.prediction,
        )


def build(row: Row, settings: Settings) -> tuple[Ours, list[TransformersPeft], str]:
    """Return all sides in float32 with the same weights, and what ours computes again.

    There are no peers where a library of theirs is missing.
    """
    size, device = SIZES[row.size], torch.device(settings.device)
    method = method_of(size.model, row.method, _dtype(settings))
    policy = find_policy(method, size.micro_batch_tokens, device)
    kernels = find_kernels(settings.kernels, device)
    base = random_base(size.model, device)
    modes = [] if missing_libraries(row.method) else settings.peers
    peer_base = hugging_face_base(base) if modes else None
    ours = Ours(prepared(base, row.method, kernels, policy), size)
    if not modes:
        return ours, [], policy
    shared = Shared(peer_base, ours, row.method)
    return ours, [TransformersPeft(shared, mode, ours.batches) for mode in modes], policy


def missing_libraries(method: str) -> list[str]:
    """Return what would have to be installed to run the other side."""
    needed = ("transformers", *NEEDED[method])
    return [library for library in needed if find_spec(library) is None]


def _dtype(settings: Settings) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, settings.dtype)
    return dtype


def _first_step(side: Side, settings: Settings) -> tuple[float, int | None]:
    """Start a side anew, take the first step; return its loss, and on CUDA its peak memory."""
    side.begin(_dtype(settings))
    if settings.device == "cuda":
        step, peak = peak_on_cuda(lambda: side.step(0))
        return step.loss, peak
    return side.step(0).loss, None


def _peak_in_fresh_process(mode: str | None, row: Row, settings: Settings) -> int | None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_over_base, mode, row, settings).result()


def _peak_over_base(mode: str | None, row: Row, settings: Settings) -> int | None:
    """Build a peer's mode, or ours for None; return the peak of its first two steps over it."""
    torch.set_num_threads(settings.threads)
    ours, peers, _ = build(row, replace(settings, peers=() if mode is None else (mode,)))
    side: Side = peers[0] if peers else ours
    del ours, peers
    side.begin(_dtype(settings))
    gc.collect()
    return peak_of_process(lambda: [side.step(number) for number in range(2)])


def _require_memory(row: Row, settings: Settings) -> None:
    """Raise MemoryError unless both sides in float32 and half as much again will fit."""
    method = method_of(SIZES[row.size].model, row.method, torch.float32)
    needed = 1.5 * 2 * least_bytes(method)
    if settings.device == "cuda":
        free, _ = torch.cuda.mem_get_info()
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > free:
        raise MemoryError(
            f"needs about {needed / 2**30:.0f} GiB of memory on {settings.device} for both sides "
            f"in float32, there are {free / 2**30:.0f}"
        )
