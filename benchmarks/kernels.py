"""Triton's kernels beside PyTorch's operators, at the widths of Llama 3 8B on a CUDA device.

    python -m benchmarks.kernels --json F

Takes seconds. A call is timed with its backward pass. Its bytes are those that no kernel can avoid,
so that gigabytes a second stand beside the device's bandwidth.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor

from benchmarks.about_run import about_run
from console.command import one_line_errors
from console.output import Console
from model.kernels.choice import PLAIN, Kernels, find_kernels
from model.rope import rotation
from model.shapes import SHAPES
from storage.json_file import write_json

CONFIG = SHAPES["8b"]
REPETITIONS = 20


class Work(NamedTuple):
    """What a kernel is given: tensors that get gradients, and the rest; the bytes both ways."""

    trained: list[Tensor]
    rest: list[Any]
    bytes: int


def work_of(kernel: str, tokens: int, device: torch.device, dtype: torch.dtype) -> Work:
    """Return seeded inputs of one of the fields of Kernels."""
    torch.manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(tokens, *shape, device=device).to(dtype)

    size, stream = dtype.itemsize, tokens * CONFIG.dim
    if kernel == "swiglu":
        # Two read and one written; three read and two written.
        inputs = [draw(CONFIG.hidden_dim) for _ in range(2)]
        return Work(inputs, [], 8 * size * inputs[0].numel())
    if kernel == "rotate":
        heads = [draw(count, CONFIG.head_dim) for count in (CONFIG.n_heads, CONFIG.n_kv_heads)]
        turns = rotation(CONFIG, torch.arange(tokens, device=device))
        moved = 4 * size * sum(x.numel() for x in heads) + 2 * turns.numel() * 8
        return Work(heads, [turns], moved)
    weight = (1 + 0.1 * torch.randn(CONFIG.dim, device=device)).to(dtype)
    # Two read and two written; three read and one written. The weight is frozen.
    return Work([draw(CONFIG.dim), draw(CONFIG.dim)], [weight, CONFIG.norm_eps], 8 * size * stream)


def both_ways(function: Callable[..., Any], work: Work) -> Callable[[], None]:
    """Return what computes the outputs and the inputs' gradients."""
    inputs = [x.detach().requires_grad_() for x in work.trained]
    outputs = function(*inputs, *work.rest)
    shares = [torch.randn_like(o) for o in (outputs if isinstance(outputs, tuple) else [outputs])]

    def call() -> None:
        outputs = function(*inputs, *work.rest)
        outputs = outputs if isinstance(outputs, tuple) else [outputs]
        torch.autograd.grad(outputs, inputs, shares)

    return call


def milliseconds(call: Callable[[], None]) -> float:
    """Return the median time of a call on the CUDA device, warmed up."""
    times = []
    for _ in range(REPETITIONS + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return median(times[3:])


def measure(kinds: dict[str, Kernels], tokens: int) -> list[dict[str, Any]]:
    """Return a row of figures for every kernel of every kind."""
    device, rows = torch.device("cuda"), []
    for kernel in PLAIN._fields:
        work = work_of(kernel, tokens, device, torch.bfloat16)
        for kind, kernels in kinds.items():
            took = milliseconds(both_ways(getattr(kernels, kernel), work))
            rate = work.bytes / took / 1e6
            rows.append({"kernel": kernel, "kind": kind, "ms": took, "gigabytes_per_second": rate})
    return rows


def main() -> None:
    """Measure both kinds, print a table and write the figures."""
    parser = argparse.ArgumentParser(description="Time Triton's kernels beside PyTorch's.")
    parser.add_argument("--tokens", type=int, default=16384, help="Tokens at once.")
    parser.add_argument("--json", help="File to write.")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device, and Triton's kernels run on CUDA alone")
    kinds = {kind: find_kernels(kind, torch.device("cuda")) for kind in ("plain", "triton")}
    rows = measure(kinds, given.tokens)
    table = Table("kernel", "kind", "ms both ways", "GB/s")
    for row in rows:
        figures = f"{row['ms']:.3f}", f"{row['gigabytes_per_second']:,.0f}"
        table.add_row(row["kernel"], row["kind"], *figures)
    Console().print(table)
    if given.json:
        about = about_run("cuda")
        write_json(Path(given.json), {**about, "tokens": given.tokens, "results": rows})


if __name__ == "__main__":
    with one_line_errors():
        main()
