"""Charts for a page: bars with their intervals, and values along a line, as inline SVG.

Lengths are percentages and words are text of the page, so that a chart is as wide as the screen
and its words stay as large as all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from console.page import shown

# Where the first and last point of a line stand, in percent of the width; left of it are labels.
_LEFT, _RIGHT = 12.0, 94.0
# Above and below the drawing, in pixels: for a label of the highest point, and for those of x.
_TOP, _BOTTOM = 22, 26
# About so many labels of x fit beside one another on a small screen.
_LABELS = 5


@dataclass(frozen=True)
class Bar:
    """One bar; `note` stands behind it, `low` and `high` are the ends of its interval."""

    label: str
    value: float
    note: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Chart:
    """Bars under a title; `full` is the value of a bar of full length, by default the longest."""

    title: str
    bars: tuple[Bar, ...]
    full: float | None = None


@dataclass(frozen=True)
class Point:
    """A share at a place on a line; `place` None leaves it to the order of the points.

    marked: Whether it is highlighted and its value printed.
    """

    label: str
    value: float
    low: float
    high: float
    place: float | None = None
    marked: bool = False


def bars(chart: Chart) -> str:
    """Return a chart of bars as HTML."""
    full = chart.full or max((bar.value for bar in chart.bars), default=0) or 1
    title = f"<figcaption>{shown(chart.title)}</figcaption>" if chart.title else ""
    return f'<figure class="bars">{title}{"".join(_bar(bar, full) for bar in chart.bars)}</figure>'


def _bar(bar: Bar, full: float) -> str:
    length = f'<rect x="0" y="3" width="{_percent(bar.value / full)}" height="14"/>'
    interval = ""
    if bar.low is not None and bar.high is not None:
        low, high = _percent(bar.low / full), _percent(bar.high / full)
        ends = "".join(f'<line x1="{x}" x2="{x}" y1="6" y2="14"/>' for x in (low, high))
        interval = f'<g class="interval"><line x1="{low}" x2="{high}" y1="10" y2="10"/>{ends}</g>'
    drawing = f'<svg height="20" aria-hidden="true">{length}{interval}</svg>'
    return (
        f'<div class="bar"><span class="label">{shown(bar.label)}</span>{drawing}'
        f'<span class="note">{shown(bar.note)}</span></div>'
    )


def line(title: str, points: Sequence[Point], reference: Point | None, height: int = 240) -> str:
    """Return shares along a line as HTML, each with its interval, beside a level for reference."""
    parts = [_level(share, height) for share in (0.0, 0.5, 1.0)]
    if reference is not None:
        parts.append(_reference(reference, height))
    placed = list(zip(_places(points), points, strict=True))
    for (x1, one), (x2, other) in pairwise(placed):
        y1, y2 = _y(one.value, height), _y(other.value, height)
        parts.append(f'<line class="path" x1="{x1}%" y1="{y1}" x2="{x2}%" y2="{y2}"/>')
    parts += [_point(x, point, height) for x, point in placed]
    every = max(1, round(len(points) / _LABELS))
    for x, point in placed[::-1][::every]:
        place = f'x="{x}%" y="{height - 6}" text-anchor="middle"'
        parts.append(f"<text {place}>{shown(point.label)}</text>")
    spoken = f'role="img" aria-label="{shown(title)}"'
    drawing = f'<svg height="{height}" {spoken}>{"".join(parts)}</svg>'
    return f'<figure class="line"><figcaption>{shown(title)}</figcaption>{drawing}</figure>'


def _level(share: float, height: int) -> str:
    y = _y(share, height)
    return (
        f'<line class="level" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text class="soft" x="0" y="{y - 3}">{share:.0%}</text>'
    )


def _reference(point: Point, height: int) -> str:
    low, high = _y(point.low, height), _y(point.high, height)
    y = _y(point.value, height)
    title = f"<title>{shown(point.label)}: {point.value:.1%}</title>"
    return (
        f'<g class="reference">{title}<rect x="0" width="100%" y="{high}" '
        f'height="{max(1.0, low - high):.1f}"/><line x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text x="100%" y="{y - 4}" text-anchor="end">{shown(point.label)}</text></g>'
    )


def _point(x: float, point: Point, height: int) -> str:
    y, low, high = (_y(value, height) for value in (point.value, point.low, point.high))
    title = f"{point.label}: {point.value:.1%} ({point.low:.1%} to {point.high:.1%})"
    label = ""
    if point.marked:
        above = max(12.0, high - 6)
        label = f'<text x="{x}%" y="{above}" text-anchor="middle">{point.value:.1%}</text>'
    return (
        f'<g class="{"marked" if point.marked else "point"}"><title>{shown(title)}</title>'
        f'<line x1="{x}%" x2="{x}%" y1="{low}" y2="{high}"/>'
        f'<circle cx="{x}%" cy="{y}" r="{5 if point.marked else 4}"/>{label}</g>'
    )


def _places(points: Sequence[Point]) -> list[float]:
    """Return where points stand in percent of the width, by their places where all have one."""
    places = [float(i) if p.place is None else p.place for i, p in enumerate(points)]
    if any(p.place is None for p in points) or len(set(places)) < len(places):
        places = [float(i) for i in range(len(points))]
    if len(points) < 2:
        return [(_LEFT + _RIGHT) / 2] * len(points)
    first, last = min(places), max(places)
    return [round(_LEFT + (_RIGHT - _LEFT) * (x - first) / (last - first), 2) for x in places]


def _y(share: float, height: int) -> float:
    return round(_TOP + (1 - share) * (height - _TOP - _BOTTOM), 1)


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"
