"""Replies drawn from a model in training, beside greedy ones of the same model packed to generate.

    python benchmarks/reward_decode.py --json-file F

What docs/rewards.md calls a draw: the base with its adapter, as the trainer holds it, at
temperature 1 and with log-probabilities, against `generate` as benchmarks/decode.py times it.
Both get the same prompts of 300 tokens, each for a group of eight, and write 64 tokens a reply.
They are timed in turn by the process's CPU time, and the best run of each counts.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.decode import DTYPES, NEW_TOKENS, PROMPT
from benchmarks.ours import SEED, Optimizer, cast_frozen, prepared, random_base
from benchmarks.sizes import SIZES
from console.command import run
from console.output import Console
from inference.generate import Decoding, complete, generate
from inference.packed import pack
from storage.json_file import write_json
from training.backends import NativeBackend

GROUP = 8
Prompts = list[list[int]]


@dataclass(frozen=True)
class Result:
    """Replies a second of CPU time at the best run of each side, and the seconds of every run."""

    size: str
    dtype: str
    batch: int
    in_training: float
    alone: float
    ratio: float
    seconds_in_training: list[float]
    seconds_alone: list[float]


def main(
    sizes: str = "tiny",
    batches: str = "16,64",
    dtypes: str = "float32,bfloat16",
    repetitions: int = 5,
    json_file: str | None = None,
) -> None:
    """Time both sides at every size, batch and dtype.

    Args:
        sizes: Shapes of benchmarks/sizes.py, with commas between them.
        batches: How many replies are under way at once, multiples of eight.
        dtypes: float32, bfloat16 or both.
        repetitions: How often each side runs; the best run of each counts.
        json_file: Also write the figures there.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    at_once = [int(batch) for batch in batches.split(",")]
    found = [
        result
        for size in sizes.split(",")
        for dtype in dtypes.split(",")
        for result in compare(size, dtype, at_once, repetitions)
    ]
    _print(found)
    if json_file is not None:
        record = {
            **about_run(),
            "threads": torch.get_num_threads(),
            "prompt_tokens": PROMPT,
            "new_tokens": NEW_TOKENS,
            "group_size": GROUP,
            "results": [asdict(result) for result in found],
        }
        write_json(Path(json_file), record)


def compare(size: str, dtype: str, batches: list[int], repetitions: int) -> list[Result]:
    """Build both sides once and time every batch."""
    config, device = SIZES[size].model, torch.device("cpu")
    packed = random_base(config, device).eval().to(DTYPES[dtype])
    pack(packed)
    trained = prepared(random_base(config, device))
    cast_frozen(trained.parameters(), DTYPES[dtype])
    settings: Any = Optimizer()
    backend = NativeBackend(trained, settings, device, DTYPES[dtype])
    results = []
    for batch in batches:
        prompts = _prompts(batch, config.vocab_size)
        sides: list[Callable[[], int]] = [
            lambda prompts=prompts: _draw(backend, prompts),  # type: ignore[misc]
            lambda prompts=prompts: _greedy(packed, prompts),  # type: ignore[misc]
        ]
        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(repetitions):
            for side in (0, 1) if number % 2 else (1, 0):
                start = time.process_time()
                tokens = sides[side]()
                seconds[side].append(time.process_time() - start)
                assert tokens == batch * NEW_TOKENS, "nothing stops a reply"
        training, alone = (batch / min(runs) for runs in seconds)
        ratio = training / alone
        results.append(Result(size, dtype, batch, training, alone, ratio, seconds[0], seconds[1]))
    return results


def _prompts(batch: int, vocab_size: int) -> Prompts:
    """Return prompts in groups: each stands so many times as replies are drawn to it."""
    source = random.Random(SEED)
    each = [[source.randrange(vocab_size) for _ in range(PROMPT)] for _ in range(batch // GROUP)]
    return [prompt for prompt in each for _ in range(GROUP)]


def _draw(backend: NativeBackend, prompts: Prompts) -> int:
    """Draw as rewards/rollouts.py does; return how many tokens came."""
    decoding = Decoding((), NEW_TOKENS, temperature=1.0, keep_logprobs=True)
    with backend.computing():
        drawn = complete(
            backend.model, prompts, decoding, draws=lambda row: random.Random(f"{SEED}/{row}")
        )
        return sum(len(reply.logprobs) for _, reply in drawn)


def _greedy(model: Any, prompts: Prompts) -> int:
    replies = generate(model, prompts, stop_ids=(), max_new_tokens=NEW_TOKENS)
    return sum(map(len, replies))


def _print(results: list[Result]) -> None:
    table = Table("size", "dtype", "batch", "in training replies/s", "alone", "ratio")
    for result in results:
        table.add_row(
            result.size,
            result.dtype,
            str(result.batch),
            f"{result.in_training:.1f}",
            f"{result.alone:.1f}",
            f"{result.ratio:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    run(main)
