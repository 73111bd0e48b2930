"""Greedy decoding alone, beside what the memory's bandwidth allows.

    python -m benchmarks.decode_rate --size 8b --batches 1,16 --json-file F

A token cannot come sooner than every weight but the embedding's is read once, with the keys and
values of its row; how fast memory is read is measured in the same run, by copies. Passes as they
come and recorded ones (`--cuda-graphs`) are timed in turn, after prompts of 300 tokens. Both must
say the same tokens; in bfloat16 near ties may fall differently, and the share of equal tokens is
printed.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.ours import SEED, random_base
from benchmarks.sizes import SIZES
from console.output import Console
from inference.generate import Batch, Decoding, Row
from inference.packed import pack
from model.config import ModelConfig
from model.transformer import Transformer
from storage.json_file import write_json

PROMPT = 300
# Before them, passes that are not timed: two, in which recorded passes are recorded.
NEW_TOKENS, WARM_UP = 64, 2
PASSES = {"as they come": False, "recorded": True}


@dataclass(frozen=True)
class Result:
    """Tokens a second of a batch at its best run, and the share of the limit that they are."""

    size: str
    batch: int
    passes: str
    tokens_per_second: float
    share_of_bandwidth: float
    equal_tokens: float


def main() -> None:
    """Time every batch, print a table and write the figures where a file is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="8b", choices=SIZES, help="Default: 8b.")
    parser.add_argument("--batches", default="1,16", help="Rows at once. Default: 1,16.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repetitions", type=int, default=5, help="Default: 5.")
    parser.add_argument("--json-file", type=Path, help="Also write the figures there.")
    given = parser.parse_args()
    device = torch.device(given.device)
    rate = copy_rate(device)
    batches = [int(batch) for batch in given.batches.split(",")]
    about = {
        **about_run(device.type),
        "bytes_per_second": rate,
        "prompt_tokens": PROMPT,
        "new_tokens": NEW_TOKENS,
    }
    results: list[Result] = []
    for result in measure(given.size, batches, device, rate, given.repetitions):
        results.append(result)
        if given.json_file is not None:
            # After each, so that a run that is cut off leaves what it found.
            write_json(given.json_file, about | {"results": [asdict(found) for found in results]})
    _print(results, rate)


def measure(
    size: str, batches: list[int], device: torch.device, rate: float, repetitions: int
) -> Iterator[Result]:
    """Time passes of both kinds over batches of a shape in bfloat16, on seeded random weights.

    Yields the results of a batch size when both kinds are done.
    """
    model = random_base(SIZES[size].model, device).to(torch.bfloat16).eval()
    pack(model)
    for batch in batches:
        runs: dict[str, list[tuple[float, list[int]]]] = {name: [] for name in PASSES}
        for _ in range(repetitions):
            for name, recorded in PASSES.items():
                runs[name].append(decode(model, batch, recorded))
        wanted = runs["as they come"][0][1]
        limit = batch * rate / bytes_of_a_pass(model.config, batch)
        for name, found in runs.items():
            speed = batch * NEW_TOKENS / min(seconds for seconds, _ in found)
            pairs = zip(found[0][1], wanted, strict=True)
            equal = sum(one == other for one, other in pairs) / len(wanted)
            yield Result(size, batch, name, speed, speed / limit, equal)


def decode(model: Transformer, size: int, recorded: bool) -> tuple[float, list[int]]:
    """Decode a batch; return the seconds of its timed passes, and all tokens that they said."""
    length = PROMPT + WARM_UP + NEW_TOKENS + 1
    decoding = Decoding((), length)
    draw = torch.Generator().manual_seed(SEED)
    prompts = torch.randint(model.config.vocab_size, (size, PROMPT), generator=draw).tolist()
    batch = Batch(model, size, PROMPT + length, recorded)
    batch.rows = [Row.of(index, prompt, decoding) for index, prompt in enumerate(prompts)]
    for _ in range(1 + WARM_UP):
        batch.step()
    device = model.tok_embeddings.weight.device
    tokens: list[int] = []

    def timed() -> None:
        for _ in range(NEW_TOKENS):
            tokens.extend(token for _, token, _ in batch.step())

    return _seconds(timed, device), tokens


def bytes_of_a_pass(config: ModelConfig, batch: int) -> float:
    """Return the bytes in bfloat16 that a pass over single tokens reads at least, on average."""
    with torch.device("meta"):
        model = Transformer(config)
    blocks = sum(parameter.numel() for parameter in model.layers.parameters())
    numbers = float(blocks + model.output.weight.numel())
    held = PROMPT + WARM_UP + (1 + NEW_TOKENS) / 2
    numbers += batch * held * 2 * config.n_layers * config.n_kv_heads * config.head_dim
    return 2 * numbers


def copy_rate(device: torch.device, size: int = 2**30) -> float:
    """Return the bytes a second that copies of so many bytes read and write, at their best."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * size / min(_seconds(lambda: target.copy_(source), device) for _ in range(10))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of some work: by the clock on a GPU, on a CPU those of the process."""
    if device.type != "cuda":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _print(results: list[Result], rate: float) -> None:
    title = f"Memory is copied at {rate / 1e12:.2f} TB/s"
    table = Table("size", "batch", "passes", "tokens/s", "of the limit", "equal", title=title)
    for result in results:
        table.add_row(
            result.size,
            str(result.batch),
            result.passes,
            f"{result.tokens_per_second:,.0f}",
            f"{result.share_of_bandwidth:.2f}",
            f"{result.equal_tokens:.0%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
