"""What the rounds of scripts/improve.py came to: lines of its steps, and tables at the end."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.table import Table

from evaluation.behaviours import behaviours_line, figures_by_behaviour
from evaluation.figures import Figures, cells, percent
from rewards.tally import ALL
from storage.json_file import read_json_object
from teaching.scores import own_figures

# When what is held out is scored.
SCORED = ("start", "end")


def scores_file(when: str) -> str:
    """Return where the verdicts on what is held out are written, under the output."""
    return f"scores/{when}.json"


def tables(directory: Path, rounds: int) -> Iterator[Table]:
    """Yield the rounds side by side, then what is held out at the start and the end."""
    table = Table(title="rounds")
    for column in ("round", "prompts", "all right", "some", "none", "replies", "kept"):
        table.add_column(column, justify="right", no_wrap=True)
    for round in range(1, rounds + 1):
        counts = read_json_object(directory / f"round-{round}.report.json")["kinds"][ALL]
        names = ("prompts", "all_right", "some_right", "none_right")
        numbers = [f"{counts[name]:,}" for name in names]
        share = percent(counts["right"] / counts["replies"])
        table.add_row(str(round), *numbers, share, f"{counts['kept']:,}")
    yield table
    yield held_out_table({when: held_out_figures(directory / scores_file(when)) for when in SCORED})


def held_out_figures(results_file: Path) -> Figures:
    """Return the figures of stored results: by behaviour where the generator made the prompts."""
    try:
        return figures_by_behaviour(results_file)
    except ValueError:
        return own_figures(results_file)


def held_out_table(found: Mapping[str, Figures]) -> Table:
    """Return a table of figures with their intervals, a column for each time they were scored."""
    table = Table(title="what is held out")
    table.add_column("figure", no_wrap=True)
    for column in ("of", *found):
        table.add_column(column, justify="right", no_wrap=True)
    for name, first in next(iter(found.values())).items():
        shown = [figures[name] for figures in found.values() if name in figures]
        shares = [f"{percent(figure.value)} ({cells(figure)[0]})" for figure in shown]
        table.add_row(name, f"{first.count:,}", *shares)
    return table


def score_line(results_file: Path) -> str:
    figures = held_out_figures(results_file)
    if line := behaviours_line(figures):
        return line
    return ", ".join(f"{name} {percent(figure.value)}" for name, figure in figures.items())


def sampled_line(report_file: Path) -> str:
    """Return in words what came of drawing replies."""
    report = read_json_object(report_file)
    counts = report["kinds"][ALL]
    return (
        f"{percent(counts['right'] / counts['replies'])} of {counts['replies']:,} replies right; "
        f"of {counts['prompts']:,} prompts {counts['all_right']:,} all, "
        f"{counts['some_right']:,} some, {counts['none_right']:,} none; {counts['kept']:,} kept, "
        f"{report['replayed']:,} replayed"
    )
