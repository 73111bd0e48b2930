"""Text that others wrote leaves a command by no door but printable; colours are our own."""

import io
import logging
import sys
from collections.abc import Callable

import pytest
from commands import run_command
from rich.progress import Progress
from rich.style import Style
from rich.table import Table
from rich.text import Text

from console.command import print_next
from console.output import Console, ask, printable_streams
from console.printable import printable

# A title, a cleared screen, hidden text, a link, C1, directions, half a surrogate pair, a tag.
HOSTILE = "\x1b]0;t\x07\x1b[2J\x1b[8m\x1b]8;;http://a.b\x1b\\\x9b3m\u202e\u2066\u200f\u2028\ud800\U000e0041"
CLEAN = "�]0;t��[2J�[8m�]8;;http://a.b�\\�3m������"


def drawn(thing: object, width: int = 100) -> str:
    """What a console of a terminal writes for a thing."""
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system="standard", width=width).print(thing)
    return file.getvalue()


@pytest.mark.parametrize(
    "say",
    [
        print,
        lambda text: print(text, file=sys.stderr),
        lambda text: sys.stdout.writelines([text, text]),
        lambda text: logging.StreamHandler().handle(logging.makeLogRecord({"msg": text})),
        lambda text: Console().print(text),
        lambda text: Console(stderr=True).print(Text(text, "bold")),
        lambda text: Console().rule(text),
        lambda text: Console().out(text, end=""),
        lambda text: print_next(f"python a.py {text}"),
    ],
)
def test_a_command_prints_no_raw_text_by_any_door(
    say: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_command(lambda: say(f"id {HOSTILE}"), [], monkeypatch, capsys)
    printed = done.out + done.error
    assert done.code == 0
    assert printable(printed) == printed and "id �]0;t" in printed


@pytest.mark.parametrize("error", [ValueError, KeyError, FileNotFoundError, RuntimeError])
def test_an_error_is_printable_with_its_traceback(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error(HOSTILE)

    done = run_command(fail, ["--debug"], monkeypatch, capsys)
    assert done.code == 1 and "Traceback" in done.error
    assert printable(done.error) == done.error


def test_own_colours_stay_where_text_is_replaced() -> None:
    assert drawn(Text("a\x1b[2Jb", "bold red")) == "\x1b[1;31ma�[2Jb\x1b[0m\n"
    assert drawn(Text.assemble(("\x1b", "red"), "\x9b")) == "\x1b[31m�\x1b[0m�\n"


def test_a_console_writes_colours_past_the_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with printable_streams(), printable_streams():
        Console(force_terminal=True, color_system="standard").print("\x1b", style="red")
    assert capsys.readouterr().out == "\x1b[31m�\x1b[0m\n"


def test_a_table_of_hostile_cells_keeps_its_borders() -> None:
    table = Table("name\x1b[2J", "count")
    table.add_row(HOSTILE, "1")
    lines = drawn(table).splitlines()
    plain = [Text.from_ansi(line).plain for line in lines]
    assert len({len(line) for line in plain}) == 1 and CLEAN in plain[3]
    assert "\x1b[2J" not in drawn(table)


@pytest.mark.parametrize("text", ["[/x] [bold]b[/bold]", "[link=http://a.b]c", ":warning: 1:a:2"])
def test_a_console_reads_no_markup_and_no_emoji_codes(text: str) -> None:
    table = Table()
    table.add_row(text)
    assert drawn(text) == f"{text}\n" and text in drawn(table)


def test_text_printed_beside_a_bar_draws_no_links(capsys: pytest.CaptureFixture[str]) -> None:
    with printable_streams():
        console = Console(stderr=True, force_terminal=True)
        with Progress(console=console, auto_refresh=False) as progress:
            progress.add_task("going")
            print(HOSTILE)
            print(HOSTILE, file=sys.stderr)
    printed = capsys.readouterr()
    assert printed.out == f"{CLEAN}\n" and f"{CLEAN}\n" in printed.err
    assert "going" in printed.err and "\x1b]8" not in printed.err
    assert Style(link="http://a.b").render("x") not in printed.err


def test_a_question_is_asked_in_printable_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("an answer\n"))
    assert ask(f"{HOSTILE}? ") == "an answer"
    assert capsys.readouterr().out == f"{CLEAN}? "


def test_characters_that_an_encoding_lacks_are_written_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(file, encoding="latin-1"))
    with printable_streams():
        print("é 😀", flush=True)
        assert sys.stdout.encoding == "latin-1" and sys.stdout.writable()
    assert file.getvalue() == b"\xe9 \\U0001f600\n"
