"""Measure the two weight conversions on a checkpoint of Llama 3 8B's shape: memory, time, bits.

    python benchmarks/convert_8b.py --folder /tmp/convert_8b

Writes 16 GB of random bfloat16 numbers as two Meta shards, converts them to a native directory and
back with the commands a user would type, compares every tensor with the first shards bit for bit,
and removes what it made. It needs 50 GB of disk and Linux, whose /proc tells anonymous memory.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.about_run import about_run
from benchmarks.sizes import LLAMA_3_8B
from console.command import run
from console.output import Console
from console.progress import byte_bar
from model.config import ModelConfig
from storage.json_file import write_json
from weights.conversion import require_space
from weights.directory import Layout, layout_bytes, open_weights
from weights.meta_params import meta_params
from weights.pth import write_pth
from weights.shard_names import shard_file
from weights.table import bitwise_equal, expected_shapes, shard, weights
from weights.tokenizer_file import SPECIAL_TOKENS

ROOT = Path(__file__).parents[1]
SHARDS = 2
SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Measurement:
    """One command: its wall time and the highest anonymous memory seen while it ran."""

    command: str
    seconds: float
    peak_anonymous_bytes: int
    samples: int


def main(folder: str, results: str = "benchmarks/results") -> None:
    """Convert a generated 8B checkpoint both ways and write what it took as JSON.

    Args:
        folder: A directory that does not exist yet, on a disk with 50 GB free; removed at the end.
        results: The directory of the JSON file.
    """
    place = Path(folder).expanduser()
    place.mkdir(parents=True)
    try:
        layout = shard_layout(LLAMA_3_8B)
        require_space(place, 3 * SHARDS * layout_bytes(layout))
        write_checkpoint(place / "meta", LLAMA_3_8B, layout)
        measurements = [measure(arguments, place) for arguments in commands()]
        compared = compare(place / "meta", place / "back")
        report(measurements, layout, compared, Path(results))
    finally:
        shutil.rmtree(place)


def shard_layout(config: ModelConfig) -> Layout:
    """Return the shape and dtype of every tensor of one shard."""
    shapes, rows = expected_shapes(config), weights(config)
    empty = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    return {
        name: (tuple(shard(tensor, rows[name].axis, 0, SHARDS).shape), torch.bfloat16)
        for name, tensor in empty.items()
    }


def write_checkpoint(directory: Path, config: ModelConfig, layout: Layout) -> None:
    """Write random shards, tensor by tensor, with a params.json and a tokenizer that fits."""
    directory.mkdir()
    with byte_bar("generating", SHARDS * layout_bytes(layout)) as advance:
        for index in range(SHARDS):
            tensors = random_tensors(config, layout, index)
            write_pth(directory / shard_file(index), layout, tensors, advance)
    given = {"multiple_of": 1024, "ffn_dim_multiplier": 1.3}
    (directory / "params.json").write_text(json.dumps(meta_params(given, config)))
    ranks = (f"AAAA {rank}\n" for rank in range(config.vocab_size - SPECIAL_TOKENS))
    (directory / "tokenizer.model").write_text("".join(ranks))


def random_tensors(config: ModelConfig, layout: Layout, index: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of one shard; what every shard holds whole is the same in all of them."""
    rows = weights(config)
    for number, (name, (shape, dtype)) in enumerate(layout.items()):
        seed = number if rows[name].axis is None else number + (index + 1) * len(layout)
        generator = torch.Generator().manual_seed(seed)
        yield name, torch.empty(shape, dtype=dtype).uniform_(-0.05, 0.05, generator=generator)


def commands() -> list[list[str]]:
    """Return the two conversions as a user types them, in a folder that holds `meta`."""
    return [
        ["convert_from_meta_weights.py", "--llama3-dir", "meta", "--output-dir", "native"],
        [
            "convert_to_meta_weights.py",
            *("--config-file", "native/params.json"),
            *("--ckpt-file", "native/consolidated.safetensors"),
            *("--num-shards", str(SHARDS)),
            *("--output-dir", "back"),
        ],
    ]


def measure(arguments: list[str], place: Path) -> Measurement:
    """Run a script in `place` and watch its anonymous memory."""
    script, *flags = arguments
    started, peak, samples = time.monotonic(), 0, 0
    child = subprocess.Popen([sys.executable, str(ROOT / "scripts" / script), *flags], cwd=place)
    while child.poll() is None:
        peak, samples = max(peak, anonymous_bytes(child.pid)), samples + 1
        time.sleep(SAMPLE_SECONDS)
    if child.returncode:
        raise ValueError(f"{script} ended with exit code {child.returncode}, wanted 0")
    command = " ".join(["python", f"scripts/{script}", *flags])
    return Measurement(command, round(time.monotonic() - started, 1), peak, samples)


def anonymous_bytes(process: int) -> int:
    """Return the RssAnon of a process, 0 once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except ProcessLookupError:
        return 0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
    return int(kilobytes[0]) * 1024 if kilobytes else 0


def compare(first: Path, second: Path) -> int:
    """Return how many tensors two Meta directories hold; ValueError unless all bits agree."""
    compared = 0
    for index in range(SHARDS):
        a, b = (open_weights(directory / shard_file(index)) for directory in (first, second))
        if a.keys() != b.keys():
            raise ValueError(f"{shard_file(index)} came back with other tensors")
        for name, tensor in a.items():
            if not bitwise_equal(tensor, b[name]):
                raise ValueError(f"{name} came back with other bits in {shard_file(index)}")
            compared += 1
    return compared


def report(measurements: list[Measurement], layout: Layout, compared: int, results: Path) -> None:
    """Print the table and write it as a dated JSON file."""
    table = Table("command", "seconds", "peak RssAnon")
    for row in measurements:
        table.add_row(row.command, f"{row.seconds:.0f}", f"{row.peak_anonymous_bytes / 1e9:.2f} GB")
    Console().print(table, f"{compared} tensors came back bit for bit")
    record = {
        **about_run(),
        "command": "python benchmarks/convert_8b.py --folder F",
        "checkpoint": {
            "shards": SHARDS,
            "bytes": SHARDS * layout_bytes(layout),
            "dtype": "bfloat16",
        },
        "measurements": [asdict(row) for row in measurements],
        "tensors_compared_bit_for_bit": compared,
    }
    results.mkdir(parents=True, exist_ok=True)
    file = results / f"convert_8b_{record['date']}.json"
    write_json(file, record)
    print(f"written to {file}")


if __name__ == "__main__":
    run(main)
