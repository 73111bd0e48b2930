"""A model beside its base, line by line: for the terminal and for a page."""

from collections.abc import Iterator

from rich.table import Table

from console.page import shown, table
from evaluation.checkpoints.significance import (
    LEAST_DIFFERING,
    SIGNIFICANCE_LEVEL,
    format_p_value,
)
from evaluation.regression import Line, Regression


def cells_of_line(line: Line) -> tuple[str, ...]:
    """Return a line as cells: name, of how many, both values, difference, interval, p, verdict."""
    unit = (lambda value, sign: f"{value:{sign}.3f}") if line.lower else _points
    found = line.difference
    return (
        line.name,
        f"{line.of:,}",
        unit(line.base, ""),
        unit(line.model, ""),
        unit(found.value, "+"),
        f"{unit(found.low, '+')} to {unit(found.high, '+')}",
        format_p_value(found.p),
        line.verdict,
    )


def _points(value: float, sign: str) -> str:
    return f"{100 * value:{sign}.1f}"


PAIRED = (
    "Shares in percent, plain text in bits a byte, where less is better. Differences are of the "
    "same items: intervals by resampling whole conversations 10,000 times, p by exchanging at "
    "random, conversation by conversation, whose answers are whose. A line is better or worse "
    f"where p is below {SIGNIFICANCE_LEVEL}, which fewer than {LEAST_DIFFERING} conversations or "
    "windows that differ cannot give; of five lines without a change, one in four "
    "comparisons has one that is called so by luck."
)
HEAD = ("", "of", "base", "model", "change", "95% interval", "p", "verdict")
# For the terminal, below the table.
P_LINE = (
    "p: how often chance alone gives a difference at least as large; "
    f"below {SIGNIFICANCE_LEVEL} the two are told apart."
)


def regression_table(regression: Regression) -> Table:
    """Return the table of the lines; shares are percentages."""
    found = Table(pad_edge=False)
    for name in HEAD:
        found.add_column(
            name,
            justify="right" if name not in ("", "verdict") else "left",
            overflow="fold",
        )
    for line in regression.lines:
        found.add_row(*cells_of_line(line))
    return found


def regression_part(regression: Regression) -> Iterator[str]:
    """Yield the comparison as parts of a page."""
    yield f"<h2>{shown(regression.headline)}</h2>"
    if regression.lines:
        yield table(HEAD, [cells_of_line(line) for line in regression.lines])
        yield f"<p>{PAIRED}</p>"
        yield from (f"<p>{shown(note)}</p>" for note in regression.notes)
        yield table(
            ("line", "what it says"), [(line.name, line.meaning) for line in regression.lines]
        )
