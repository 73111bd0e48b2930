"""Twice the input takes twice the time, whatever reads it: every second reader, and the rule."""

from statistics import median

import growth
import pytest


@pytest.mark.long
@pytest.mark.parametrize("name", growth.READERS[::2])
def test_twice_the_input_takes_about_twice_the_time(name: str) -> None:
    growth.assert_linear(name)


@pytest.mark.long
def test_quadratic_time_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def quadratic(size: int) -> list[int]:
        return [place for place in range(size) for _ in range(size)]

    reader = growth.doubling.reading(quadratic, lambda n: n)
    monkeypatch.setitem(growth.doubling.READERS, "quadratic", reader)
    seconds = [median(runs) for runs in growth.doubling.measured("quadratic")["seconds"]]
    assert seconds[2] / seconds[0] > growth.MOST**2
