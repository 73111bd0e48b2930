"""A plain text in windows: to measure how well a model predicts it.

Windows are cut by bytes of the file, so models with other tokenizers have the same ones, and their
losses a byte compare. Each begins with the token that begins a text in pretraining.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chat.formats.format import ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import special_id
from chat.tokenizers.tokenizer import Tokenizer

WINDOW = 2048
SMALLEST_WINDOW = 64
# What a text begins with, as the families name it.
_BEGINNINGS = ("<|begin_of_text|>", "<s>", "<|endoftext|>")


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


def start_token(format: ChatFormat, tokenizer: Tokenizer) -> str:
    """Return the special token that a text begins with, whatever chat format is spoken."""
    names = (*_BEGINNINGS, format.begin, *format.stop_tokens)
    return next(name for name in names if name in tokenizer.special_tokens)


class TextWindows:
    """The windows of a text as conversations of which every token is to be predicted.

    bytes, sha256: Of the text that is read.
    """

    def __init__(self, text: Text, tokenizer: Tokenizer, format: ChatFormat) -> None:
        begin = special_id(start_token(format, tokenizer), tokenizer)
        self._tokens = [np.array([begin, *tokenizer.encode(part)]) for part in text.windows]
        self.lengths = np.array([len(tokens) for tokens in self._tokens], dtype=np.int64)
        content = "".join(text.windows).encode()
        self.bytes, self.sha256 = len(content), hashlib.sha256(content).hexdigest()

    @staticmethod
    def read(
        file: Path | str, most_bytes: int, window: int, tokenizer_file: Path, chat_format: str
    ) -> "TextWindows":
        """Read the first `most_bytes` of a text, or so, for the tokenizer of a model."""
        text, format = Text.read(file, window), find_format(chat_format)
        windows = list(_first(text.windows, most_bytes))
        tokenizer = format.load_tokenizer(tokenizer_file)
        return TextWindows(Text(text.file, text.sha256, windows), tokenizer, format)

    def __len__(self) -> int:
        return len(self._tokens)

    def tokens(self, index: int) -> np.ndarray:
        """Return the token ids of one window."""
        return self._tokens[index]

    def trained(self, index: int) -> np.ndarray:
        """Return that every token is to be predicted; a batch leaves out the first."""
        return np.ones(len(self._tokens[index]), dtype=bool)


def _first(windows: Sequence[str], most_bytes: int) -> Iterator[str]:
    """Yield windows until they hold so many bytes."""
    held = 0
    for window in windows:
        if held >= most_bytes:
            return
        yield window
        held += len(window.encode())


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
