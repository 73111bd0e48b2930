"""This project beside Transformers + PEFT on the same work, in one run.

    python scripts/benchmark.py --device cpu --size mid --json F

Both sides start from the same random weights and adapter and see the same conversations; before
anything is timed, both must give the same loss and gradients in float32.

Unlike the other commands this one parses its flags with argparse: it also runs on GPU images that
have torch, Transformers and PEFT, but not fire.
"""

import argparse
import os
import time
from datetime import date
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from benchmarks.sizes import DEFAULT_SIZES, PEERS, SIZES
from console.command import UsageError, one_line_errors

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
REPETITIONS = {"cpu": 7, "cuda": 20}


class Parser(argparse.ArgumentParser):
    """Leaves usage errors to the caller."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with what argparse has to say."""
        raise UsageError(message)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description="Compare speed and memory with Transformers + PEFT.")
    flag = parser.add_argument
    flag("--device", choices=("cpu", "cuda"), help="Where to run. Default: CUDA if there is one.")
    sizes = ", ".join(SIZES)
    flag("--size", help=f"Of {sizes}, comma-separated. Default: mid, on CUDA 1b,8b.")
    flag("--json", help="File to write. Default: benchmarks/results/DATE-DEVICE-SIZE.json.")
    flag("--peer", choices=PEERS, default="padded", help="How Transformers is used.")
    flag("--kernels", choices=("plain", "triton"), default="plain", help="Ours; triton on CUDA.")
    flag("--repetitions", type=int, help="Timed steps of each side. Default: 7, on CUDA 20.")
    flag("--seconds", type=float, default=480, help="When to stop repeating. Default: 480.")
    flag("--threads", type=int, help="CPU threads. Default: all cores.")
    flag("--debug", action="store_true", help="Show the traceback of an error.")
    return parser.parse_args()


def main() -> None:
    """Compare every size, print a table and write the figures."""
    given = arguments()
    # Threads that spin while they wait would count as work when the machine is shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch

    from benchmarks.comparison import compare
    from benchmarks.report import Comparison, Settings, print_results, write_results

    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, and torch sees no CUDA device; use --device cpu")
    if device == "cpu" and given.kernels == "triton":
        raise ValueError("--kernels is triton, which runs on CUDA, and --device cpu; leave it out")
    sizes = given.size.split(",") if given.size else DEFAULT_SIZES[device]
    if unknown := [size for size in sizes if size not in SIZES]:
        raise UsageError(f"unknown --size {unknown[0]!r}; there are {', '.join(SIZES)}")
    threads = given.threads or torch.get_num_threads()
    repetitions = given.repetitions or REPETITIONS[device]
    settings = Settings(device, threads, given.peer, repetitions, given.kernels)
    name = "-".join([date.today().isoformat(), device, *sizes])
    file = Path(given.json) if given.json else RESULTS / f"{name}.json"

    console = Console(highlight=False)
    found: list[Comparison] = []
    skipped: list[str] = []
    end = time.perf_counter() + given.seconds
    for index, size in enumerate(sizes):
        share = (end - time.perf_counter()) / (len(sizes) - index)
        try:
            found.append(compare(size, settings, share, console.print))
        except (MemoryError, torch.OutOfMemoryError) as error:
            skipped.append(f"{size}: {str(error).splitlines()[0]}")
            console.print(f"skipped {skipped[-1]}")
        write_results(file, found, skipped, device)
    print_results(console, found)
    console.print(f"Figures: {file}", soft_wrap=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
