"""Charts: lengths in percent of the width, so that words stay as large as others."""

import re

import pytest
from page_parser import read_page

from console.charts import Bar, Chart, Point, bars, line


def widths(html: str) -> list[str]:
    return re.findall(r'<rect x="0" y="3" width="([\d.]+)%"', html)


def test_the_longest_bar_is_full_unless_full_is_given() -> None:
    two = (Bar("a", 2, "2"), Bar("b", 4, "4"))
    assert widths(bars(Chart("t", two))) == ["50.00", "100.00"]
    assert widths(bars(Chart("t", two, full=8))) == ["25.00", "50.00"]
    assert widths(bars(Chart("t", (Bar("a", 0, "0"),)))) == ["0.00"]


def test_an_interval_is_drawn_at_its_values() -> None:
    html = bars(Chart("t", (Bar("a", 0.5, "", 0.25, 0.75),), full=1))
    assert '<line x1="25.00%" x2="75.00%"' in html


def test_points_stand_at_their_steps() -> None:
    points = [Point(f"{step}", 0.5, 0.4, 0.6, step) for step in (0, 100, 400)]
    found = [float(x) for x in re.findall(r'cx="([\d.]+)%"', line("t", points, None))]
    assert (found[1] - found[0]) * 4 == pytest.approx(found[2] - found[0])


def test_points_with_missing_or_equal_steps_stand_evenly() -> None:
    for places in ([0, None, 400], [100, 100, 400]):
        points = [Point("x", 0.5, 0.4, 0.6, place) for place in places]
        one, two, three = (float(x) for x in re.findall(r'cx="([\d.]+)%"', line("t", points, None)))
        assert two - one == pytest.approx(three - two)


def test_a_higher_share_stands_higher_and_one_point_is_enough() -> None:
    low, high = Point("low", 0.1, 0, 0.2), Point("high", 0.9, 0.8, 1.0, marked=True)
    ys = [float(y) for y in re.findall(r'cy="([\d.]+)"', line("t", [low, high], low))]
    assert ys[1] < ys[0]
    assert line("t", [high], None).count("<circle") == 1
    assert line("t", [], low).count("<circle") == 0


def test_labels_are_escaped() -> None:
    odd = "<b>&"
    for html in (bars(Chart(odd, (Bar(odd, 1, odd),))), line(odd, [Point(odd, 1, 1, 1)], None)):
        assert "b" not in read_page(html).tags
        assert odd in read_page(html).text
