"""How well a model predicts plain text: its loss in windows of a file, a token and a byte.

evaluation/scoring/text_loss.py computes the losses. Shapes: W windows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from evaluation.intervals import RESAMPLES, Array, resampled


class Window(NamedTuple):
    """A window of a text: its bytes and tokens, and their summed loss in nats."""

    bytes: int
    tokens: int
    loss: float


class Rate(NamedTuple):
    """A figure with its 95% interval, None where there is one window alone."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TextScore:
    """The losses of the windows of a text; `start` is the token that each began with."""

    file: str
    sha256: str
    start: str
    windows: Sequence[Window]

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "TextScore":
        """Return the score that `to_record` made this of."""
        windows = [Window(**window) for window in record["windows"]]
        return TextScore(record["file"], record["sha256"], record["start_token"], windows)

    @cached_property
    def figures(self) -> Mapping[str, Rate]:
        """The figures; lower is better. The windows are resampled for the intervals."""
        sums = np.asarray(self.windows, dtype=np.float64)
        drawn = resampled(sums, RESAMPLES) if len(sums) > 1 else None
        return {name: _rate(figure, sums, drawn) for name, figure in TEXT_FIGURES.items()}

    @property
    def total(self) -> Window:
        """Bytes, tokens and loss of the whole text."""
        counts = [(window.bytes, window.tokens) for window in self.windows]
        size, tokens = map(sum, zip(*counts, strict=True))
        return Window(size, tokens, math.fsum(window.loss for window in self.windows))

    @property
    def line(self) -> str:
        """The figures as one line."""
        figures = [
            f"{name.replace('_', ' ')} {text_figure(rate)}" for name, rate in self.figures.items()
        ]
        whole = self.total
        counts = f"{whole.tokens:,} tokens, {whole.bytes:,} bytes, {len(self.windows):,} windows"
        return f"Plain text {self.file}: {'; '.join(figures)}; {counts}."

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of the score; losses are in nats."""
        whole = self.total
        return {
            "file": self.file,
            "sha256": self.sha256,
            "start_token": self.start,
            "bytes": whole.bytes,
            "tokens": whole.tokens,
            "negative_log_likelihood": whole.loss,
            "figures": {name: rate._asdict() for name, rate in self.figures.items()},
            "windows": [window._asdict() for window in self.windows],
        }


def _per(column: int) -> Callable[[Array], Array]:
    return lambda sums: sums[..., 2] / sums[..., column]


# Of sums [..., 3] of bytes, tokens and loss.
TEXT_FIGURES: Mapping[str, Callable[[Array], Array]] = {
    "perplexity": lambda sums: np.exp(np.minimum(_per(1)(sums), 700)),
    "nats_per_token": _per(1),
    "nats_per_byte": _per(0),
    "bits_per_byte": lambda sums: _per(0)(sums) / math.log(2),
}


def _rate(figure: Callable[[Array], Array], sums: Array, drawn: Array | None) -> Rate:
    value = float(figure(sums.sum(0)))
    if drawn is None:
        return Rate(value, None, None)
    low, high = np.quantile(figure(drawn), (0.025, 0.975))
    return Rate(value, float(low), float(high))


def text_figure(rate: Rate) -> str:
    """Return a figure as text, with its interval where it has one."""
    if rate.low is None:
        return f"{rate.value:.4g} (one window, no interval)"
    return f"{rate.value:.4g} ({rate.low:.4g} to {rate.high:.4g})"
