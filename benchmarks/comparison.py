"""One size, both sides: first the same loss and gradients, then speed and memory."""

import gc
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.measure import matmul_rate, peak_of_process, peak_on_cuda, timed
from benchmarks.ours import Ours, Step, add_adapter, random_base, random_batches
from benchmarks.peer import TransformersPeft, hugging_face_base
from benchmarks.report import Comparison, Figures, Parity, Settings
from benchmarks.sizes import SIZES
from data.batches import Batches
from model.config import ModelConfig
from model.kernels.choice import find_kernels, use_kernels
from training.flops import step_flops
from weights.table import expected_shapes

LOSS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
# The float32 check takes this many conversations, in parts that fit beside two float32 models.
PARITY_CONVERSATIONS = 8
PARITY_TOKENS = 2048


class Side(Protocol):
    """What is compared: something that takes optimizer steps."""

    name: str

    def step(self, number: int) -> Step:
        """Take optimizer step `number`."""

    def loss_and_gradients(self, batches: Batches) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of the first step and its gradients, without an update."""

    def round_base(self) -> None:
        """Go on in bfloat16."""


def compare(
    name: str, settings: Settings, seconds: float, say: Callable[[str], None]
) -> Comparison:
    """Compare both sides at one size, repeating for at most about `seconds`.

    Raises ValueError when they do not compute the same, and MemoryError when the models will not
    fit. `say` is told what is under way.
    """
    start = time.perf_counter()
    gc.collect()  # what an earlier size held
    config = SIZES[name].model
    _require_memory(name, config, settings.device)
    torch.set_num_threads(settings.threads)
    say(f"{name}: building both sides with the same random weights")
    ours, peer = build(name, settings)
    say(f"{name}: checking in float32 that both compute the same")
    parity = check_parity(ours, peer, config)
    for side in (ours, peer):
        side.round_base()
    say(f"{name}: warming up in bfloat16")
    warm_ups = [_warm_up(side, settings.device) for side in (ours, peer)]
    samples = _repeat(ours, peer, settings, start + seconds, lambda n: say(f"{name}: timing, {n}"))
    steps = [ours.batches.step(number) for number in range(1, 1 + len(samples[0]))]
    operations = sum(step_flops(ours.model, batches) for batches in steps)
    tokens = sum(len(batch.tokens) for batches in steps for batch in batches)
    rate = matmul_rate(settings.device, settings.threads)
    (our_loss, our_peak), (peer_loss, peer_peak) = warm_ups
    if settings.device == "cpu":
        say(f"{name}: measuring memory in fresh processes")
        our_peak = _peak_in_fresh_process("ours", name, settings)
        peer_peak = _peak_in_fresh_process("peer", name, settings)
    return Comparison(
        name,
        settings,
        parity,
        Figures(ours.name, samples[0], our_loss, our_peak),
        Figures(peer.name, samples[1], peer_loss, peer_peak),
        operations / tokens,
        rate,
    )


def build(name: str, settings: Settings) -> tuple[Ours, TransformersPeft]:
    """Return both sides in float32, with the same base and the same adapter."""
    size, device = SIZES[name], torch.device(settings.device)
    kernels = find_kernels(settings.kernels, device)
    model = random_base(size.model, device)
    peer_base = hugging_face_base(model)
    add_adapter(model)
    use_kernels(model, kernels)
    ours = Ours(model, size)
    return ours, TransformersPeft(peer_base, ours, settings.peer)


def check_parity(ours: Side, peer: Side, config: ModelConfig) -> Parity:
    """Compare first loss and gradients; ValueError when they differ by more than rounding."""
    batches = random_batches(config, PARITY_CONVERSATIONS, PARITY_TOKENS)
    our_loss, our_gradients = ours.loss_and_gradients(batches)
    peer_loss, peer_gradients = peer.loss_and_gradients(batches)
    assert our_gradients.keys() == peer_gradients.keys()
    norm = _norm(peer_gradients)
    difference = _norm({n: our_gradients[n] - peer_gradients[n] for n in our_gradients}) / norm
    if abs(our_loss - peer_loss) > LOSS_TOLERANCE or not difference <= GRADIENT_TOLERANCE:
        raise ValueError(
            f"the two sides do not compute the same, so their speeds say nothing: losses "
            f"{our_loss:.7f} and {peer_loss:.7f} (may differ by {LOSS_TOLERANCE}), gradients "
            f"differ by {difference:.1e} of their norm {norm:.4f} (may by {GRADIENT_TOLERANCE})"
        )
    return Parity(our_loss, peer_loss, norm, difference)


def _norm(tensors: dict[str, Tensor]) -> float:
    return math.sqrt(sum(tensor.double().square().sum().item() for tensor in tensors.values()))


def _warm_up(side: Side, device: str) -> tuple[float, int | None]:
    """Take the first step; return its loss, and on CUDA its peak memory over the base."""
    if device == "cuda":
        step, peak = peak_on_cuda(lambda: side.step(0))
        return step.loss, peak
    return side.step(0).loss, None


def _repeat(
    ours: Side, peer: Side, settings: Settings, deadline: float, say: Callable[[str], None]
) -> tuple[list[float], list[float]]:
    """Time the same steps on both sides in turn, the first of a pair changing."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(1, 1 + settings.repetitions):
        pair = [(ours, samples[0]), (peer, samples[1])]
        for side, speeds in pair if number % 2 else reversed(pair):
            speeds.append(timed(side.step, number, settings.device, settings.threads))
        say(f"step {number} of {settings.repetitions}")
        if time.perf_counter() > deadline:
            break
    return samples


def _peak_in_fresh_process(which: str, name: str, settings: Settings) -> int | None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_over_base, which, name, settings).result()


def _peak_over_base(which: str, name: str, settings: Settings) -> int | None:
    """Build one side, then return the peak of its first two steps over the loaded base."""
    torch.set_num_threads(settings.threads)
    ours, peer = build(name, settings)
    side: Side = ours if which == "ours" else peer
    del ours, peer
    side.round_base()
    gc.collect()
    return peak_of_process(lambda: [side.step(number) for number in range(2)])


def _require_memory(name: str, config: ModelConfig, device: str) -> None:
    """Raise MemoryError unless two float32 models and half as much again will fit."""
    parameters = sum(math.prod(shape) for shape in expected_shapes(config).values())
    needed = 3 * 4 * parameters
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > free:
        raise MemoryError(
            f"{name} needs about {needed / 2**30:.0f} GiB of memory on {device} for two models in "
            f"float32, there are {free / 2**30:.0f}"
        )
