"""Greedy decoding beside Transformers' `generate`: the same weights, prompts, stops and tokens.

    python benchmarks/decode.py --json-file F

Two kinds of work. `equal`: prompts of one length, nothing stops. `mixed`, at batch 16: prompts of
60 to 500 tokens and replies that end at a stop token, as in an evaluation. Both sides
must produce the same tokens in float32, or there is no result; in bfloat16 near ties may fall
differently, and the share of equal tokens is printed. They are timed in turn by the process's CPU
time, and the best run of each counts. Ours is packed first (inference/packed.py), as what loads a
model to answer with does.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.ours import SEED, random_base
from benchmarks.peer import hugging_face_base
from benchmarks.sizes import SIZES
from console.command import run
from console.output import Console
from inference.generate import generate
from inference.packed import pack
from model.config import ModelConfig
from model.transformer import Transformer
from storage.json_file import write_json

NEW_TOKENS = 64
PROMPT = 300
SHORTEST, LONGEST = 60, 500
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Work:
    """Prompts of equal or mixed length, and the tokens that end a reply."""

    name: str
    prompts: list[list[int]]
    stops: tuple[int, ...] = ()


@dataclass(frozen=True)
class Result:
    """How many tokens both sides made, in which seconds of CPU time at every run."""

    size: str
    dtype: str
    batch: int
    work: str
    tokens: int
    ours_seconds: list[float]
    peer_seconds: list[float]
    equal_tokens: float
    ratio: float


def main(
    sizes: str = "tiny,mid",
    batches: str = "1,16",
    dtypes: str = "float32,bfloat16",
    repetitions: int = 5,
    json_file: str | None = None,
) -> None:
    """Time both sides at every size, batch and dtype.

    Args:
        sizes: Shapes of benchmarks/sizes.py, with commas between them.
        batches: How many rows are decoded at once.
        dtypes: float32, bfloat16 or both.
        repetitions: How often each side runs; the best run of each counts.
        json_file: Also write the figures there.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    found = []
    for size in sizes.split(","):
        for dtype in dtypes.split(","):
            found += compare(size, dtype, [int(size) for size in batches.split(",")], repetitions)
    _print(found)
    if json_file is not None:
        record = {
            **about_run(),
            "threads": torch.get_num_threads(),
            "prompt_tokens": PROMPT,
            "new_tokens": NEW_TOKENS,
            "results": [asdict(result) for result in found],
        }
        write_json(Path(json_file), record)


def compare(size: str, dtype: str, batches: list[int], repetitions: int) -> list[Result]:
    """Build both sides once and time every kind of work; ValueError when tokens differ."""
    config = SIZES[size].model
    model = random_base(config, torch.device("cpu")).eval()
    peer = hugging_face_base(model).eval()
    works = [work for batch in batches for work in _works(model, config, batch)]
    model.to(DTYPES[dtype])
    peer.to(DTYPES[dtype])
    pack(model)
    results = []
    for work in works:
        sides: list[Callable[[], list[list[int]]]] = [
            lambda work=work: _ours(model, work),  # type: ignore[misc]
            lambda work=work: _peers(peer, work),  # type: ignore[misc]
        ]
        seconds: tuple[list[float], list[float]] = ([], [])
        ours, peers = (side() for side in sides)
        equal = _equal_share(ours, peers)
        if dtype == "float32" and equal < 1:
            raise ValueError(f"{size} {work.name}: the sides differ in {1 - equal:.1%} of tokens")
        for number in range(repetitions):
            for side in (0, 1) if number % 2 else (1, 0):
                start = time.process_time()
                sides[side]()
                seconds[side].append(time.process_time() - start)
        tokens, batch = sum(map(len, ours)), len(work.prompts)
        ratio = min(seconds[1]) / min(seconds[0])
        found = (size, dtype, batch, work.name, tokens, seconds[0], seconds[1], equal, ratio)
        results.append(Result(*found))
    return results


def _works(model: Transformer, config: ModelConfig, batch: int) -> list[Work]:
    """Return the work at one batch size; stops are taken from what the model says in float32."""
    source = random.Random(SEED)

    def prompts(lengths: list[int]) -> list[list[int]]:
        return [[source.randrange(config.vocab_size) for _ in range(n)] for n in lengths]

    works = [Work("equal", prompts([PROMPT] * batch))]
    if batch > 1:
        mixed = prompts([source.randint(SHORTEST, LONGEST) for _ in range(batch)])
        free = generate(model, mixed, stop_ids=(), max_new_tokens=NEW_TOKENS)
        ends = {reply[source.randrange(NEW_TOKENS // 2, NEW_TOKENS)] for reply in free[::4]}
        works.append(Work("mixed", mixed, tuple(sorted(ends))))
    return works


def _ours(model: Transformer, work: Work) -> list[list[int]]:
    return generate(model, work.prompts, stop_ids=work.stops, max_new_tokens=NEW_TOKENS)


@torch.no_grad()
def _peers(model: Any, work: Work) -> list[list[int]]:
    """Let Transformers decode the prompts padded on the left, as its documentation advises."""
    longest = max(map(len, work.prompts))
    padded = [[0] * (longest - len(prompt)) + prompt for prompt in work.prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in work.prompts]
    replies = model.generate(
        torch.tensor(padded),
        attention_mask=torch.tensor(mask),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
        eos_token_id=list(work.stops) or None,
    )[:, longest:].tolist()
    return [list(takewhile(lambda token: token not in work.stops, reply)) for reply in replies]


def _equal_share(ours: list[list[int]], peers: list[list[int]]) -> float:
    """Return the share of equal tokens; those of the longer reply have none to be equal to."""
    pairs = [pair for replies in zip(ours, peers, strict=True) for pair in zip_longest(*replies)]
    return sum(a == b for a, b in pairs) / len(pairs)


def _print(results: list[Result]) -> None:
    table = Table(
        "size", "dtype", "batch", "work", "ours tokens/s", "Transformers", "ratio", "equal"
    )
    for result in results:
        speeds = (result.tokens / min(s) for s in (result.ours_seconds, result.peer_seconds))
        table.add_row(
            result.size,
            result.dtype,
            str(result.batch),
            result.work,
            *(f"{speed:,.0f}" for speed in speeds),
            f"{result.ratio:.2f}x",
            f"{result.equal_tokens:.0%}",
        )
    Console().print(table)


if __name__ == "__main__":
    run(main)
