"""Figures on prompts that the generator made, by what is asked for in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from evaluation.figures import BALANCED, Figure, Figures, figures_of, percent

# What calls are asked for in each of the generator's behaviours; in any other it is one.
CALLS = {
    "parallel_calls": "several at once",
    "call_sequence": "one after another",
    "missing_argument": "a call after asking",
}
# Behaviours in which the first reply that is right asks the user something.
ASK_FIRST = ("missing_argument", "invalid_value", "tool_error")
ONE_CALL, ALL_CALLS = "one call", "all calls"
ASKING = "no call: ask first"
NO_CALL = "no call: no tool fits"
KINDS = (ONE_CALL, *CALLS.values(), ALL_CALLS, ASKING, NO_CALL)
# Of the replies that call, right or wrong: those whose calls all fit the schemas of offered tools.
VALID = "calls made: valid"
_SHOWN = (BALANCED, *KINDS, VALID)
# The last rows of the parts of a table.
_LAST = (BALANCED, ALL_CALLS, NO_CALL)


def figures_by_behaviour(results_file: Path | str) -> Figures:
    """Return BALANCED, the share of right replies for each of KINDS, and VALID.

    The file is what scripts/evaluate.py wrote. Calls are right as a whole or not at all; where
    none is wanted, text without a call is right.
    """
    results = json.loads(Path(results_file).read_text(encoding="utf-8"))
    verdicts = results["verdicts"]
    counts: dict[str, list[tuple[int, ...]]] = {BALANCED: [_of_both(v) for v in verdicts]}
    for kind in KINDS:
        counts[kind] = [_one(v["verdict"], kind in kinds_of(v)) for v in verdicts]
    counts[VALID] = [_one(v.get("schema_valid", False), v["called"]) for v in verdicts]
    return figures_of(counts, [str(v["id"]).partition("/")[0] for v in verdicts])


def _of_both(verdict: Mapping[str, Any]) -> tuple[int, ...]:
    """Return what a verdict adds to the sides of BALANCED: calls wanted, and none wanted."""
    right, wanted = verdict["verdict"], verdict["should_call"]
    return *_one(right, wanted), *_one(right, not wanted)


def _one(right: bool, counts: bool) -> tuple[int, int]:
    """Return hits, and of how many, of one verdict."""
    return int(right and counts), int(counts)


def kinds_of(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of KINDS a verdict counts for; ValueError where the generator made no such id.

    Its ids are synthetic-BEHAVIOUR-NUMBER, with the place of the judged turn after a slash.
    """
    source, *rest = str(verdict["id"]).split("-")
    if source != "synthetic" or len(rest) != 2:
        raise ValueError(
            f"{verdict['id']} is no prompt of scripts/generate_dataset.py, whose ids tell what is "
            "asked for, as synthetic-single_call-000003/1"
        )
    if verdict["should_call"]:
        return CALLS.get(rest[0], ONE_CALL), ALL_CALLS
    return (ASKING if rest[0] in ASK_FIRST else NO_CALL,)


def behaviours_line(found: Figures) -> str:
    """Return the main figures as one line."""
    names = {BALANCED: BALANCED, ALL_CALLS: "calls", ASKING: "asking", NO_CALL: "no call"}
    return ", ".join(
        f"{short} {percent(found[kind].value)} of {found[kind].count}"
        for kind, short in names.items()
        if kind in found
    )


def behaviours_table(title: str, found: Mapping[str, Figures]) -> Table:
    """Return a table of what is wanted: how many prompts, and what each model has right of them."""
    table = Table(title=title)
    table.add_column("wanted", no_wrap=True)
    for column in ("of", *found):
        table.add_column(column, justify="right")
    for kind in _SHOWN:
        counts = {figures[kind].count for figures in found.values() if kind in figures}
        if counts:
            cells = [_rounded(figures.get(kind)) for figures in found.values()]
            prompts = "" if kind == VALID else str(max(counts))
            table.add_row(kind, prompts, *cells, end_section=kind in _LAST)
    return table


def _rounded(figure: Figure | None) -> str:
    if figure is None:
        return "none made"
    value, low, high = (f"{100 * share:.0f}" for share in (figure.value, figure.low, figure.high))
    return f"{value}% ({low}-{high})"
