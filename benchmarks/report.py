"""What a comparison found, as a JSON file and as a table."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.parity import Parity
from benchmarks.prediction import Prediction
from console.output import Console
from storage.atomic import new_file

TABLE_WIDTH = 120


@dataclass(frozen=True)
class Settings:
    """How to compare: device, its threads, the peer's modes, how often, kernels, and dtype."""

    device: str
    threads: int
    peers: tuple[str, ...]
    repetitions: int
    kernels: str = "plain"
    dtype: str = "bfloat16"


@dataclass(frozen=True)
class Figures:
    """One side's result: useful tokens per second of every repetition, and memory."""

    name: str
    tokens_per_second: list[float]
    first_loss: float
    peak_bytes_over_base: int | None

    @property
    def median(self) -> float:
        """The median of the repetitions."""
        return statistics.median(self.tokens_per_second)

    def ratios(self, other: "Figures") -> list[float]:
        """How many times the other's tokens per second, step by step."""
        pairs = zip(self.tokens_per_second, other.tokens_per_second, strict=True)
        return [own / others for own, others in pairs]

    def memory_ratio(self, other: "Figures") -> float | None:
        """What part of the other's peak over the base."""
        if self.peak_bytes_over_base is None or not other.peak_bytes_over_base:
            return None
        return self.peak_bytes_over_base / other.peak_bytes_over_base


@dataclass(frozen=True)
class Comparison:
    """The result of a row; ratios pair the repetitions of the same step.

    trained_share: Trained tokens of all in the timed steps.
    policy: What this project computes again in the backward pass.
    """

    size: str
    method: str
    settings: Settings
    policy: str
    parity: list[Parity]
    ours: Figures
    peers: list[Figures]
    operations_per_token: float
    trained_share: float
    matmul_rate: float
    prediction: Prediction | None = None

    @property
    def row(self) -> str:
        """The size, and the method where it is not lora."""
        return self.size if self.method == "lora" else f"{self.size}:{self.method}"

    def share_of_matmul_rate(self, side: Figures) -> float:
        """What part of the machine's matmul rate a side turns into useful operations."""
        return side.median * self.operations_per_token / self.matmul_rate

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this result."""
        return {
            "size": self.size,
            "method": self.method,
            "settings": asdict(self.settings),
            "activation_checkpointing": self.policy,
            "parity": [found.to_record() for found in self.parity],
            "operations_per_token": round(self.operations_per_token),
            "trained_share": self.trained_share,
            "matmul_rate": round(self.matmul_rate),
            "predicted": self.prediction and asdict(self.prediction),
            "ours": self._side(self.ours),
            "peers": [self._side(peer) | self._beside(peer) for peer in self.peers],
        }

    def _side(self, side: Figures) -> dict[str, Any]:
        return {
            "name": side.name,
            "useful_tokens_per_second": round(side.median, 1),
            "trained_tokens_per_second": round(side.median * self.trained_share, 1),
            "share_of_matmul_rate": round(self.share_of_matmul_rate(side), 4),
            "peak_bytes_over_base": side.peak_bytes_over_base,
            "first_loss": side.first_loss,
            "steps": [round(speed) for speed in side.tokens_per_second],
        }

    def _beside(self, peer: Figures) -> dict[str, Any]:
        speed, memory = statistics.median(self.ours.ratios(peer)), self.ours.memory_ratio(peer)
        return {
            "speed_ratio": round(speed, 3),
            "memory_ratio": None if memory is None else round(memory, 3),
        }


def write_results(
    file: Path, comparisons: Sequence[Comparison], skipped: Sequence[str], device: str
) -> None:
    """Write all figures with the date, the versions and the machine."""
    record = {**about_run(device), "skipped": list(skipped)}
    # A line a comparison: indented, the numbers of every step would be most of the file.
    lines = ",\n".join(json.dumps(comparison.to_record()) for comparison in comparisons)
    with new_file(file) as partial:
        text = json.dumps(record, indent=1).removesuffix("\n}")
        partial.write_text(f'{text},\n "comparisons": [\n{lines}\n]}}\n', encoding="utf-8")


def print_results(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Print the float32 check of every row and the table of figures."""
    for comparison in comparisons:
        for parity in comparison.parity:
            console.print(parity.sentence(comparison.row), soft_wrap=True)
    # On a narrow terminal its lines are broken rather than its figures cut.
    Console(width=max(console.width, TABLE_WIDTH)).print(_table(comparisons))


def _table(comparisons: Sequence[Comparison]) -> Table:
    """Return a line for every side of every row, and where there is one for the prediction."""
    result = Table(
        title="useful (unpadded) and trained tokens a second, and what this project is of each",
        caption="of matmul: useful operations as a share of the machine's matmul rate; "
        "peak: memory over the loaded base",
    )
    result.add_column("row", no_wrap=True)
    result.add_column("side", no_wrap=True)
    for column in ("useful/s", "spread", "trained/s", "of matmul", "peak MiB"):
        result.add_column(column, justify="right", no_wrap=True)
    for column in ("speed", "memory"):
        result.add_column(column, justify="right", no_wrap=True, style="bold")
    for found in comparisons:
        if found.prediction is not None:
            speed, peak = found.prediction.tokens_per_second, found.prediction.peak_bytes_over_base
            share = f"{speed * found.operations_per_token / found.matmul_rate:.2f}"
            figures = f"{speed:,.0f}", "", f"{speed * found.trained_share:,.0f}", share
            result.add_row(found.row, "planned", *figures, f"{peak / 2**20:,.0f}")
        for side in (found.ours, *found.peers):
            result.add_row(*_cells(found, side))
        result.add_section()
    return result


def _cells(found: Comparison, side: Figures) -> list[str]:
    peak, memory = side.peak_bytes_over_base, found.ours.memory_ratio(side)
    is_peer = side is not found.ours
    return [
        f"{found.row} {found.settings.dtype}",
        side.name,
        f"{side.median:,.0f}",
        f"{min(side.tokens_per_second):,.0f}-{max(side.tokens_per_second):,.0f}",
        f"{side.median * found.trained_share:,.0f}",
        f"{found.share_of_matmul_rate(side):.2f}",
        "?" if peak is None else f"{peak / 2**20:,.0f}",
        f"{statistics.median(found.ours.ratios(side)):.2f}x" if is_peer else "",
        f"{memory:.2f}x" if is_peer and memory is not None else "",
    ]
