"""Where there is no terminal, progress is a line now and then with the time left."""

import subprocess
import sys
from itertools import count

import pytest

from console.progress import with_progress


def test_lines_tell_count_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = count(0, 18)
    seen = list(with_progress(range(6), 6, "Answering", lambda: float(next(ticks))))
    assert seen == list(range(6))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Answering: 2 of 6, about 1 min left",
        "Answering: 4 of 6, about 1 min left",
    ]


def test_short_work_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_progress("abc", 3, "Answering")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_time_left_follows_the_work_that_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = count(0, 60)
    shares = {"long": 0.75, "short": 0.875, "last": 1.0}
    list(with_progress(shares, 3, "Answering", lambda: float(next(ticks)), shares.__getitem__))
    assert capsys.readouterr().err.splitlines() == [
        "Answering: 1 of 3, less than a minute left",
        "Answering: 2 of 3, less than a minute left",
    ]


def test_nothing_is_told_where_output_goes_nowhere() -> None:
    code = (
        "from itertools import count; from console.progress import with_progress; "
        "ticks = count(0, 18); list(with_progress(range(6), 6, 'Answering', lambda: next(ticks)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60
    )
    assert done.stderr == b""
