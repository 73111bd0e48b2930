"""What a comparison found, as a JSON file and as a table."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from storage.atomic import new_file
from storage.json_file import write_json

LIBRARIES = ("torch", "transformers", "peft", "numpy")


@dataclass(frozen=True)
class Settings:
    """How to compare: the device, its threads, the peer's mode, how often, and our kernels."""

    device: str
    threads: int
    peer: str
    repetitions: int
    kernels: str = "plain"


@dataclass(frozen=True)
class Parity:
    """The float32 check: both losses, the gradient's norm, and the norm of the difference."""

    ours: float
    peer: float
    gradient_norm: float
    gradient_difference: float

    def sentence(self, size: str) -> str:
        """Say it in one line."""
        return (
            f"{size}: in float32 losses {self.ours:.6f} and {self.peer:.6f}, gradients of norm "
            f"{self.gradient_norm:.4f} that differ by {self.gradient_difference:.1e} of it"
        )


@dataclass(frozen=True)
class Figures:
    """One side's result: useful tokens per second of every repetition, and memory."""

    name: str
    tokens_per_second: list[float]
    bfloat16_loss: float
    peak_bytes_over_base: int | None

    @property
    def median(self) -> float:
        """The median of the repetitions."""
        return statistics.median(self.tokens_per_second)


@dataclass(frozen=True)
class Comparison:
    """The result at one size; ratios pair the repetitions of the same step."""

    size: str
    settings: Settings
    parity: Parity
    ours: Figures
    peer: Figures
    operations_per_token: float
    matmul_rate: float

    @property
    def ratios(self) -> list[float]:
        """How many times the peer's tokens per second, for each repetition."""
        pairs = zip(self.ours.tokens_per_second, self.peer.tokens_per_second, strict=True)
        return [ours / peer for ours, peer in pairs]

    @property
    def memory_ratio(self) -> float | None:
        """What part of the peer's peak over the base."""
        if self.ours.peak_bytes_over_base is None or not self.peer.peak_bytes_over_base:
            return None
        return self.ours.peak_bytes_over_base / self.peer.peak_bytes_over_base

    def share_of_matmul_rate(self, side: Figures) -> float:
        """What part of the machine's matmul rate a side turns into useful operations."""
        return side.median * self.operations_per_token / self.matmul_rate

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this result."""
        return {
            **asdict(self),
            "speed_ratio": statistics.median(self.ratios),
            "speed_ratios": self.ratios,
            "memory_ratio": self.memory_ratio,
            "ours_tokens_per_second": self.ours.median,
            "peer_tokens_per_second": self.peer.median,
            "ours_share_of_matmul_rate": self.share_of_matmul_rate(self.ours),
            "peer_share_of_matmul_rate": self.share_of_matmul_rate(self.peer),
        }


def write_results(
    file: Path, comparisons: Sequence[Comparison], skipped: Sequence[str], device: str
) -> None:
    """Write all figures with the date, the versions and the machine."""
    record = {
        "date": date.today().isoformat(),
        "machine": machine(device),
        "versions": {"python": platform.python_version()}
        | {library: version(library) for library in LIBRARIES},
        "comparisons": [comparison.to_record() for comparison in comparisons],
        "skipped": list(skipped),
    }
    with new_file(file) as partial:
        write_json(partial, record)


def machine(device: str) -> dict[str, Any]:
    """Return what the machine is, without its name."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
    return found


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def print_results(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Print the float32 check of every size and the table of figures."""
    for comparison in comparisons:
        console.print(comparison.parity.sentence(comparison.size), soft_wrap=True)
    console.print(_table(comparisons))


def _table(comparisons: Sequence[Comparison]) -> Table:
    """Return one line per size and side, and their ratio."""
    result = Table(
        title="useful (unpadded) tokens a second, bfloat16 base, LoRA r16",
        caption="of matmul: useful operations as a share of the machine's matmul rate; "
        "peak: memory over the loaded base",
    )
    result.add_column("size")
    result.add_column("side", no_wrap=True)
    for column in ("tokens/s", "spread", "of matmul", "peak MiB"):
        result.add_column(column, justify="right", no_wrap=True)
    for found in comparisons:
        for side in (found.ours, found.peer):
            peak = side.peak_bytes_over_base
            result.add_row(
                found.size,
                side.name,
                f"{side.median:,.0f}",
                f"{min(side.tokens_per_second):,.0f}-{max(side.tokens_per_second):,.0f}",
                f"{found.share_of_matmul_rate(side):.2f}",
                "?" if peak is None else f"{peak / 2**20:,.0f}",
            )
        share = found.memory_ratio
        result.add_row(
            found.size,
            "[bold]ratio",
            f"[bold]{statistics.median(found.ratios):.2f}x",
            f"{min(found.ratios):.2f}-{max(found.ratios):.2f}",
            "",
            "" if share is None else f"[bold]{share:.2f}x",
            end_section=True,
        )
    return result
