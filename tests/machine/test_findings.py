"""Checks that fail are findings, and a report is readable in 80 columns."""

from collections.abc import Callable, Iterable

import pytest

from machine.findings import WIDTH, Finding, findings_of, format_findings, todos_of


def raising(error: BaseException) -> Callable[[], Iterable[Finding]]:
    def check() -> Iterable[Finding]:
        raise error

    return check


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such thing"),
        ModuleNotFoundError("No module named 'torch'"),
        SystemExit(3),
        RecursionError("too deep"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_check_that_fails_is_one_finding(error: BaseException) -> None:
    (finding,) = findings_of("a check", raising(error))
    assert (finding.name, finding.state) == ("a check", "wrong")
    assert str(error) in finding.detail


def test_lines_keep_within_80_columns_without_broken_words() -> None:
    words = ["nine-char"] * 40
    text = format_findings("Part", [Finding("a name", "ok", " ".join(words))])
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("nine-char") == len(words)


def test_escapes_of_others_do_not_reach_the_report() -> None:
    finding = Finding("name\x1b[2J", "wrong", "detail\x1b[31m\nnext", "do\x1b]0;this\x07")
    text = format_findings("Part", [finding]) + "".join(todos_of([finding]))
    assert "\x1b" not in text and "\x07" not in text
    assert len(format_findings("Part", [finding]).splitlines()) == 2


def test_a_todo_is_told_once_and_of_what_is_wrong_alone() -> None:
    findings = [
        Finding("first", "wrong", "is missing", "install it"),
        Finding("second", "wrong", "is missing", "install it"),
        Finding("third", "note", "is slow", "install it too"),
        Finding("fourth", "wrong", "is odd"),
    ]
    assert todos_of(findings) == ["install it", "fourth: is odd"]
