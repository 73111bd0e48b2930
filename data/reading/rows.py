"""Read a file of rows one at a time in constant memory: JSON list, JSON Lines, or Parquet.

A list may stand in an object (`{"type": "conversation", "instances": [...]}`), and the objects of
a file may go over several lines.
"""

import codecs
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from chat.strict_json import MARKING_DECODER
from data.reading.fast_json import json_value
from data.reading.parquet import read_parquet
from data.reading.wrappers import HEAD, advice, after_wrapper, first_character, goes_over_lines

CHUNK = 1 << 20
TELL_EVERY = 1 << 16  # bytes; updating a progress bar takes longer than reading a short row
# The longest row: thousands of times a long conversation, and read by many processes at once.
LONGEST = 1 << 26
_WANTED = "wanted one conversation a row"
# How near the end of what was read an error may lie and still mean "read on".
_CUT_TOKEN = 16
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class RawRow:
    """One row: its place counted from 0, its value, the sha256 of its text as it stood.

    `place` is for messages ("line 3"), `position` how many bytes of the file have been read.
    `problem` says why the row is not JSON; its value is then None and `text` an excerpt.
    """

    index: int
    value: Any
    sha256: str
    place: str
    position: int = 0
    problem: str | None = None
    text: str = ""


# Not frozen, which takes five times as long: all processes wait while one is made for each row.
@dataclass
class Line:
    """A line of JSON Lines that is not parsed yet: another process may do that. Never changed."""

    path: Path
    index: int
    number: int
    raw: bytes
    position: int
    skip_malformed: bool

    def row(self) -> RawRow:
        """Parse the line; ValueError says where it is not JSON, unless such lines are skipped."""
        digest, place = hashlib.sha256(self.raw).hexdigest(), f"line {self.number}"
        try:
            return RawRow(self.index, json_value(self.raw), digest, place, self.position)
        except (ValueError, RecursionError) as error:
            problem = f"not JSON, {place}{_reason(error)}"
            if not self.skip_malformed:
                raise ValueError(
                    f"{self.path}: row {self.index} is {problem}; {advice(self.index, self.raw)}"
                ) from error
            text = self.raw[:1000].decode("utf-8", errors="replace")
            return RawRow(self.index, None, digest, place, self.position, problem, text)


Row = TypeVar("Row", bound=RawRow | Line)


def read_rows(path: Path | str, skip_malformed: bool = False) -> Iterator[RawRow]:
    """Yield the rows of a JSON list, of JSON Lines or of Parquet, whatever the file is called.

    A row that is not JSON raises ValueError with its line and column; with `skip_malformed` such
    lines of JSON Lines are yielded with their `problem` (a list cannot be read past one).
    """
    for row in read_unparsed(path, skip_malformed):
        yield parsed(row)


def parsed(row: RawRow | Line) -> RawRow:
    """Return a row of `read_unparsed`, parsed if it is still a line."""
    return row.row() if isinstance(row, Line) else row


def read_unparsed(path: Path | str, skip_malformed: bool = False) -> Iterator[RawRow | Line]:
    """Yield what `read_rows` yields, but JSON Lines as lines, for `parsed` to read."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name a JSON or JSON Lines file in it")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; name a JSON or JSON Lines file")
    with path.open("rb") as stream:
        if stream.read(len(_PARQUET)) == _PARQUET:
            yield from _read_table(path)
            return
        stream.seek(0)
        first = first_character(stream, path)
        stream.seek(0)
        head = stream.read(HEAD).decode("utf-8-sig", errors="replace") if first == b"{" else ""
        stream.seek(0)
        if first == b"[":
            yield from _ListReader(stream, path).rows()
        elif goes_over_lines(head):
            yield from _ListReader(stream, path).objects()
        else:
            yield from _read_lines(stream, path, skip_malformed)


def counted(rows: Iterable[Row], advance: Callable[[int], None]) -> Iterator[Row]:
    """Yield the rows, and call `advance` with the bytes of the file read since its last call."""
    told = position = 0
    for row in rows:
        position = row.position
        if position - told >= TELL_EVERY:
            advance(position - told)
            told = position
        yield row
    advance(position - told)


def size_of(path: Path) -> int:
    """Return a file's size in bytes, 0 where there is none (reading it says so)."""
    return path.stat().st_size if path.is_file() else 0


def _read_table(path: Path) -> Iterator[RawRow]:
    for index, (value, position) in enumerate(read_parquet(path)):
        digest = hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()
        yield RawRow(index, value, digest, f"row {index}", position)


def _read_lines(stream: BinaryIO, path: Path, skip_malformed: bool) -> Iterator[Line]:
    index = position = 0
    lines = iter(partial(stream.readline, LONGEST + 1), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST:
            raise ValueError(f"{path}: line {number} is longer than {LONGEST >> 20} MiB; {_WANTED}")
        position += len(line)
        raw = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if raw:
            yield Line(path, index, number, raw, position, skip_malformed)
            index += 1


class _ListReader:
    """A window that moves over the text of a JSON list; it holds one row and a chunk at most."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self.path = path
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.window = ""
        self.at = 0
        self.line = 1
        self.line_known_at = 0
        self.line_start = 0  # relative to the window, so negative where the line began before it
        self.ended = False

    def rows(self) -> Iterator[RawRow]:
        """Yield the rows; ValueError names the row, line and column of what is not JSON."""
        self._take_mark("[", "before the list")
        yield from self._members(0)
        if self._peek():
            raise self._error(self.at, "after the list", "wanted nothing more")

    def objects(self) -> Iterator[RawRow]:
        """Yield objects that stand one after the other, and the rows of those that hold a list."""
        index = 0
        while self._peek():
            while len(self.window) - self.at < HEAD and self._read_more():
                pass
            inside = after_wrapper(self.window, self.at)
            if inside is not None:
                self.at = inside
            for row in self._one(index) if inside is None else self._members(index):
                yield row
                index += 1
            if inside is not None:
                self._pass_rest(index)
            if self._peek() == ",":
                self.at += 1

    def _one(self, index: int) -> Iterator[RawRow]:
        start_line = self._line(self.at)
        value, raw = self._value(index)
        digest = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
        yield RawRow(index, value, digest, f"line {start_line}", self.stream.tell())

    def _members(self, index: int) -> Iterator[RawRow]:
        """Yield the members of a list up to its closing bracket, its opening one being taken."""
        first = index
        while self._peek() != "]" or index > first:
            yield from self._one(index)
            if self._peek() == "]":
                break
            self._take_mark(",", f"after row {index}")
            index += 1
        self._take_mark("]", "in the list")

    def _pass_rest(self, index: int) -> None:
        """Pass over what follows the list in the object that holds it."""
        while self._peek() == ",":
            self.at += 1
            self._value(index)
            self._take_mark(":", "in the object around the rows")
            self._value(index)
        self._take_mark("}", "after the list")

    def _value(self, index: int) -> tuple[Any, str]:
        """Decode the value at the window's place, reading on while it is cut off."""
        self._peek()
        while True:
            try:
                value, end = MARKING_DECODER.raw_decode(self.window, self.at)
            except json.JSONDecodeError as error:
                unterminated = error.msg.startswith("Unterminated string")
                may_be_cut = unterminated or error.pos > len(self.window) - _CUT_TOKEN
                if self.ended or not may_be_cut:
                    raise self._error(error.pos, f"in row {index}", error.msg) from error
                self._read_more()
                continue
            except (ValueError, RecursionError) as error:
                raise self._error(self.at, f"in row {index}", str(error)) from error
            # A number that ends where the window ends may go on.
            if end < len(self.window) or self.ended:
                break
            self._read_more()
        raw = self.window[self.at : end]
        self.at = end
        return value, raw

    def _peek(self) -> str:
        """Return the next character that is not white space, or "" at the end of the file."""
        while True:
            while self.at < len(self.window) and self.window[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.window):
                return self.window[self.at]
            if not self._read_more():
                return ""

    def _take_mark(self, mark: str, where: str) -> None:
        if self._peek() != mark:
            raise self._error(self.at, where, f"wanted {mark!r}")
        self.at += 1

    def _read_more(self) -> bool:
        """Append a chunk as long as what is held, dropping what was read; False at the end."""
        if self.ended:
            return False
        rest = self.window[self.at :]
        if len(rest) > LONGEST:
            where = f"{self.path}: what begins in line {self._line(self.at)}"
            raise ValueError(f"{where} is longer than {LONGEST >> 20} MiB; {_WANTED}")
        try:
            raw = self.stream.read(max(CHUNK, len(rest)))
            chunk = self.decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path} is not UTF-8 text ({error.reason} near byte {self.stream.tell()})"
            ) from error
        self._line(self.at)
        self.line_start -= self.at
        self.window, self.at, self.line_known_at, self.ended = rest + chunk, 0, 0, not raw
        return bool(raw)

    def _line(self, position: int) -> int:
        """Return the line of a place no earlier than the one asked for before."""
        newest = self.window.rfind("\n", self.line_known_at, position)
        if newest >= 0:
            self.line += self.window.count("\n", self.line_known_at, position)
            self.line_start = newest + 1
        self.line_known_at = position
        return self.line

    def _error(self, position: int, where: str, reason: str) -> ValueError:
        line, column = self._line(position), position - self.line_start + 1
        found = self.window[position : position + 40] or "the end of the file"
        return ValueError(
            f"{self.path}: not JSON {where}, line {line}, column {column}: "
            f"{reason.removesuffix(' starting at')}, found {found!r}"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        found = error.doc[error.pos : error.pos + 40] or "the end of the line"
        return f", column {error.pos + 1}: {error.msg}, found {found!r}"
    if isinstance(error, UnicodeDecodeError):
        return f": not UTF-8 ({error.reason} at byte {error.start})"
    return f": {error}"
