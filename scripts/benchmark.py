"""This project beside Transformers + PEFT on the same work, in one run.

    python scripts/benchmark.py --device cpu --size mid --json F
    python scripts/benchmark.py --device cuda --size 8b,8b:qlora,1b:full

All sides start from the same random weights and adapter and see the same conversations; before
anything is timed, they must give the same losses and gradients in float32, step by step. The file
is written after every repetition, so a run that is cut off leaves what it found.

Unlike the other commands this one parses its flags with argparse: it also runs on GPU images that
have torch, Transformers and PEFT, but not fire.
"""

import argparse
import os
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchmarks.sizes import DEFAULT_PEERS, DEFAULT_SIZES, METHODS, PEERS, SIZES
from console.command import UsageError, one_line_errors
from console.output import Console
from training.allocator import let_segments_grow

if TYPE_CHECKING:
    from benchmarks.report import Comparison, Settings

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
REPETITIONS = {"cpu": 7, "cuda": 10}


class Parser(argparse.ArgumentParser):
    """Leaves usage errors to the caller."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with what argparse has to say."""
        raise UsageError(message)


def parser() -> Parser:
    """Return what reads the command line and writes the help."""
    parser = Parser(
        prog="python scripts/benchmark.py",
        description="Compare speed and memory with Transformers + PEFT.",
        formatter_class=partial(argparse.HelpFormatter, width=100),
    )
    flag = parser.add_argument
    flag("--device", choices=("cpu", "cuda"), help="Where to run. Default: CUDA if there is one.")
    sizes, methods, modes = (", ".join(names) for names in (SIZES, METHODS, PEERS))
    flag(
        "--size",
        help=f"Of {sizes}, comma-separated, each alone or with a method of {methods} "
        "(1b:full). Default: mid, on CUDA 8b.",
    )
    flag("--json", help="File to write. Default: benchmarks/results/DATE-DEVICE-SIZE.json.")
    flag(
        "--peer",
        help=f"How Transformers is used: {modes}, comma-separated. Default: padded,best, on CUDA "
        "all.",
    )
    flag("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="Of the products.")
    flag("--kernels", choices=("plain", "triton"), default="plain", help="Ours; triton on CUDA.")
    flag("--repetitions", type=int, help="Timed steps of each side. Default: 7, on CUDA 10.")
    flag("--seconds", type=float, default=480, help="When to stop repeating. Default: 480.")
    flag("--threads", type=int, help="CPU threads. Default: all cores.")
    flag("--debug", action="store_true", help="Show the traceback of an error.")
    return parser


def arguments() -> argparse.Namespace:
    """Read the command line."""
    return parser().parse_args()


def chosen(flag: str, words: str | None, default: list[str], known: tuple[str, ...]) -> list[str]:
    """Return the comma-separated words of a flag; UsageError for one that is not known."""
    found = words.split(",") if words else default
    if unknown := [word for word in found if word not in known]:
        raise UsageError(f"unknown {flag} {unknown[0]!r}; there are {', '.join(known)}")
    return found


def main() -> None:
    """Compare every row, print a table and write the figures."""
    given = arguments()
    # Threads that spin while they wait would count as work when the machine is shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    let_segments_grow()
    import torch

    from benchmarks.report import Settings

    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, and torch sees no CUDA device; use --device cpu")
    if device == "cpu" and given.kernels == "triton":
        raise ValueError("--kernels is triton, which runs on CUDA, and --device cpu; leave it out")
    words = given.size.split(",") if given.size else DEFAULT_SIZES[device]
    rows = [(word.partition(":")[0], word.partition(":")[2] or "lora") for word in words]
    chosen("--size", ",".join(size for size, _ in rows), [], tuple(SIZES))
    chosen("--size, after its colon,", ",".join(method for _, method in rows), [], METHODS)
    peers = chosen("--peer", given.peer, DEFAULT_PEERS[device], PEERS)
    threads = given.threads or torch.get_num_threads()
    repetitions = given.repetitions or REPETITIONS[device]
    settings = Settings(device, threads, tuple(peers), repetitions, given.kernels, given.dtype)
    parts = [date.today().isoformat(), device, *words, given.dtype, given.kernels]
    plain = [part.replace(":", "_") for part in parts if part not in ("bfloat16", "plain")]
    file = Path(given.json) if given.json else RESULTS / f"{'-'.join(plain)}.json"
    compare_all(rows, settings, given.seconds, file)


def compare_all(
    rows: list[tuple[str, str]], settings: "Settings", seconds: float, file: Path
) -> None:
    """Compare the sizes and methods of `rows`, writing the file whenever there is more.

    Raises ValueError where no row could be compared.
    """
    import torch

    from benchmarks.comparison import Row, compare, missing_libraries
    from benchmarks.report import print_results, write_results

    console = Console()
    found: list[Comparison] = []
    skipped: list[str] = []
    end = time.perf_counter() + seconds

    def keep(partial_result: "Comparison") -> None:
        write_results(file, [*found, partial_result], skipped, settings.device)

    for index, row in enumerate(map(Row._make, rows)):
        share = (end - time.perf_counter()) / (len(rows) - index)
        name = f"{row.size}:{row.method}"
        if missing := missing_libraries(row.method):
            skipped.append(f"{name}: Transformers, without {' and '.join(missing)}")
            console.print(f"left out {skipped[-1]}")
        try:
            found.append(compare(row, settings, share, partial(_say, console, name), keep))
        except (MemoryError, ValueError, torch.OutOfMemoryError) as error:
            skipped.append(f"{name}: {str(error).splitlines()[0]}")
            console.print(f"skipped {skipped[-1]}")
        write_results(file, found, skipped, settings.device)
    print_results(console, found)
    console.print(f"Figures: {file}", soft_wrap=True)
    if not found:
        raise ValueError(f"no row could be compared: {'; '.join(skipped)}")


def _say(console: Console, name: str, line: str) -> None:
    console.print(f"{name}: {line}")


if __name__ == "__main__":
    with one_line_errors():
        main()
