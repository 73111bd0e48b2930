"""What a terminal shows of results: lines and tables."""

from collections.abc import Iterator

from rich.table import Table

from evaluation.figures import categories_table, figures_table
from evaluation.leaderboard import leaderboard_table
from evaluation.pages.regression import P_LINE, regression_table
from evaluation.results import Results, refusal_lines


def terminal_parts(results: Results) -> Iterator[str | Table]:
    """Yield the parts one below the other."""
    yield from refusal_lines(results.refused)
    if results.items:
        yield results.headline
        yield figures_table(results.summary.all)
        yield categories_table(results.summary)
    if results.by_leaderboard is not None:
        yield leaderboard_table(results.by_leaderboard)
    if results.text is not None:
        yield results.text.line
    if results.regression is not None:
        yield regression_table(results.regression)
        if results.regression.lines:
            yield P_LINE
        yield from (*results.regression.notes, results.regression.headline)
