"""How well a model predicts plain text: its loss in windows of a file, a token and a byte.

Windows are cut by bytes of the file, so models with other tokenizers have the same ones, and their
losses a byte compare. evaluation/scoring/text_loss.py computes the losses. Shapes: W windows.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluation.intervals import RESAMPLES, Array, resampled

WINDOW = 2048
SMALLEST_WINDOW = 64


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
class Text:
    """A file's text in windows; sha256 is that of the file."""

    file: str
    sha256: str
    windows: Sequence[str]

    @staticmethod
    def read(file: Path | str, window: int = WINDOW) -> "Text":
        """Read a UTF-8 text; `window` is the most bytes of a window."""
        path = Path(file).expanduser()
        if window < SMALLEST_WINDOW:
            raise ValueError(f"--text-window is {window}, wanted {SMALLEST_WINDOW} bytes or more")
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file; wanted a plain text in UTF-8")
        content = path.read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is no UTF-8 text: {error.reason} at byte {error.start:,}; save it as UTF-8"
            ) from None
        if not text:
            raise ValueError(f"{path} is empty; wanted a plain text")
        windows = [part.decode() for part in _cut(text.encode(), window)]
        return Text(str(file), hashlib.sha256(content).hexdigest(), windows)


@dataclass(frozen=True)
class TextScore:
    """The losses of the windows of a text; `start` is the token that each began with."""

    file: str
    sha256: str
    start: str
    windows: Sequence[Window]

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


def _cut(content: bytes, size: int) -> Iterator[bytes]:
    """Yield parts of at most `size` bytes, cut after a line, or a space, or between characters."""
    start = 0
    while len(content) - start > size:
        end = start + size
        for mark in (b"\n", b" "):
            if (found := content.rfind(mark, start + size // 2, end)) >= 0:
                end = found + 1
                break
        while content[end] & 0xC0 == 0x80:
            end -= 1
        yield content[start:end]
        start = end
    yield content[start:]
