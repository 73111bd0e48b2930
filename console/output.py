"""The doors to a terminal: whatever passes them is printable, whoever wrote it.

`one_line_errors` puts a PrintableStream before stdout and stderr, which `print`, warnings, loggers
and tracebacks write to. Colours and movements are rich's own: a Console makes the texts printable
that it is given and writes past the stream, to the file beneath it.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import IO, Any, TextIO, cast

import rich.console
from rich.file_proxy import FileProxy
from rich.segment import Segment
from rich.text import Text

from console.outlet import Outlet, end_quietly, go_on, open_closed_streams, pass_over
from console.printable import printable


class PrintableStream(FileProxy):
    """A text stream before another one; rich, which knows FileProxy, finds the one beneath it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(rich.console.Console(file=stream), stream)
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, made printable."""
        self._stream.write(printable(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream beneath."""
        self._stream.flush()

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream beneath."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream beneath does with characters that its encoding lacks."""
        return self._stream.errors


class Console(rich.console.Console):
    """A rich console whose texts are printable, and are what they say: no markup, no emoji codes.

    A style is given as a style, or in a rich Text.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    @property
    def file(self) -> IO[str]:
        """The file that is written to, beneath every stream that stands before it."""
        file = super().file
        while inner := getattr(file, "rich_proxied_file", None):
            file = inner
        return file

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return a string as a Text, made printable before it is measured."""
        return super().render_str(printable(text), **settings)

    def render(
        self,
        renderable: rich.console.RenderableType,
        options: rich.console.ConsoleOptions | None = None,
    ) -> Iterable[Segment]:
        """Yield what a thing looks like, made printable; what rich itself controls stays."""
        if isinstance(renderable, Text):
            renderable = _printable_text(renderable)
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable(segment.text)
            yield segment if text == segment.text else segment._replace(text=text)


def _printable_text(text: Text) -> Text:
    """Return a Text made printable, before its lines are broken."""
    plain = printable(text.plain)
    if plain != text.plain:
        text = text.copy()
        text.plain = plain
    return text


def ask(prompt: str) -> str:
    """Return a line that the user types; `input` hands its prompt to a terminal past stdout."""
    return input(printable(prompt))


def be_quiet() -> int:
    """Send what this process and those it starts print to nowhere; errors and warnings stay.

    Returns the file descriptor of what stdout was.
    """
    sys.stdout.flush()
    before = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return before


def is_quiet() -> bool:
    """Return whether standard output goes nowhere, as with --quiet: then no progress is shown."""
    try:
        return os.path.samestat(os.fstat(1), os.stat(os.devnull))
    except OSError:
        return False


@contextmanager
def printable_streams(outlives_output: bool = False) -> Iterator[None]:
    """Make printable what is written to stdout and stderr, whatever their encoding.

    Where stdout cannot be written to, the command ends, or goes on if it outlives its output.
    """
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    outlets = (
        Outlet(sys.stdout, go_on if outlives_output else end_quietly),
        Outlet(sys.stderr, pass_over),
    )
    out, error = (PrintableStream(cast(TextIO, outlet)) for outlet in outlets)
    with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, error)):
        try:
            yield
        except BaseException:
            # An exit code that is on its way stays.
            with suppress(SystemExit):
                out.flush()
            raise
        out.flush()
