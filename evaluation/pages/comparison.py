"""The models of a run as one HTML page: accuracy by checkpoint, and where they disagree."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from console.charts import Point, line
from console.page import document, shown, table
from evaluation.checkpoints.candidates import BASE, Scored
from evaluation.checkpoints.comparison import Comparison, category_title, format_difference
from evaluation.checkpoints.significance import format_p_value
from evaluation.figures import Figure, percent
from evaluation.pages.evaluation import (
    ARGUMENTS,
    INTERVALS,
    about_part,
    meanings_part,
    refused_part,
)
from evaluation.pages.side_by_side import STYLE, first_of, item_html
from evaluation.results import Judged

_STYLE = """
.panels { display: grid; gap: .5rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)) }
.lead { font-size: 1.05rem }
"""
LUCK = "The best of many is also the luckiest: score it again on other items."
# How many checkpoints the table of all pairs has room for.
_MATRIX = 12


def comparison_page(comparison: Comparison, title: str, about: Mapping[str, Any]) -> str:
    """Return the page of a comparison."""
    return document(title, _parts(comparison, about), STYLE + _STYLE)


def _parts(comparison: Comparison, about: Mapping[str, Any]) -> Iterator[str]:
    metric = comparison.metric
    first, *rest = comparison.verdict()
    yield f'<p class="lead"><strong>{shown(first)}</strong> {shown(" ".join(rest))}</p>'
    yield f"<p>{INTERVALS} {LUCK}</p>"
    for name, reason in comparison.unread.items():
        yield f'<p class="bad">Not scored: {shown(name)}. {shown(reason)}</p>'
    models = {
        name: figures[metric] for name, figures in comparison.figures.items() if metric in figures
    }
    yield f"<h2>By checkpoint: {shown(metric)}</h2>" + _line(comparison, "", models, 260)
    yield _figures_table(comparison)
    yield from _pairs(comparison)
    if len(comparison.categories) > 1:
        panels = (
            (category_title(comparison, name), _of_category(comparison, name))
            for name in comparison.categories
        )
        yield "<h2>By category</h2>" + _panels(comparison, panels)
    argument_types = comparison.argument_types
    types = dict.fromkeys(kind for figures in argument_types.values() for kind in figures)
    if types:
        panels = (
            (
                kind,
                {
                    name: figures[kind]
                    for name, figures in argument_types.items()
                    if kind in figures
                },
            )
            for kind in types
        )
        yield f"<h2>By argument type</h2><p>{ARGUMENTS}</p>" + _panels(comparison, panels)
    yield from _disagreements(comparison)
    yield from refused_part(comparison.refused)
    yield meanings_part(next(iter(comparison.figures.values())))
    yield about_part(about)


def _of_category(comparison: Comparison, category: str) -> dict[str, Figure]:
    models = comparison.categories[category]
    metric = comparison.metric_of(next(iter(models.values())))
    return {name: model[metric] for name, model in models.items() if metric in model}


def _line(comparison: Comparison, title: str, figures: Mapping[str, Figure], height: int) -> str:
    """Return a chart of a figure by step, with the base as a horizontal level."""
    best = comparison.best
    points, base = [], None
    for model in comparison.scored:
        name = model.candidate.name
        if name not in figures:
            continue
        figure, step = figures[name], model.candidate.step
        marked = best is not None and name == best.candidate.name
        interval = figure.value, figure.low, figure.high
        if name == BASE:
            base = Point(f"base {percent(figure.value)}", *interval)
        else:
            label = name if step is None else f"{step:,}"
            points.append(Point(label, *interval, None if step is None else float(step), marked))
    return line(title, points, base, height)


def _panels(comparison: Comparison, panels: Iterator[tuple[str, dict[str, Figure]]]) -> str:
    parts = []
    for name, figures in panels:
        counts = {figure.count for figure in figures.values()}
        if counts:
            of = f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"
            parts.append(_line(comparison, f"{name}, of {of}", figures, 150))
    return f'<div class="panels">{"".join(parts)}</div>'


def _figures_table(comparison: Comparison) -> str:
    names = list(dict.fromkeys(name for figure in comparison.figures.values() for name in figure))
    rows = []
    for model in comparison.scored:
        figures = comparison.figures[model.candidate.name]
        values = (percent(figures[name].value) if name in figures else "" for name in names)
        rows.append((model.candidate.title, *values))
    return table(("checkpoint", *names), rows)


def _pairs(comparison: Comparison) -> Iterator[str]:
    """Yield the differences to base and best, and those of all pairs of up to _MATRIX models."""
    best = comparison.best
    if best is None or not comparison.differences:
        return
    yield f"<h2>Differences in {shown(comparison.metric)}</h2>"
    name = best.candidate.name
    rows = []
    for model in comparison.scored:
        own = model.candidate.name
        cells = [comparison.difference(own, other) for other in (BASE, name)]
        rows.append((own, *("" if cell is None else format_difference(cell) for cell in cells)))
    yield table(("checkpoint", "to the base", f"to the best, {name}"), rows)
    names = [model.candidate.name for model in comparison.scored]
    if 3 < len(names) <= _MATRIX:
        rows = [(one, *(_cell(comparison, one, other) for other in names)) for one in names]
        every = table(("row above column, p", *names), rows)
        yield f"<details><summary>Every pair</summary>{every}</details>"
    yield (
        "<p>Points of difference on the same items; intervals by resampling whole conversations "
        "10,000 times (paired bootstrap). p is how often a difference as large appears when a coin "
        "decides, conversation by conversation, whose answers are whose.</p>"
    )


def _cell(comparison: Comparison, one: str, other: str) -> str:
    found = comparison.difference(one, other)
    return "" if found is None else f"{100 * found.value:+.1f}, p {format_p_value(found.p)}"


def _disagreements(comparison: Comparison) -> Iterator[str]:
    """Yield the items that base or best get wrong: lost, wrong still, gained."""
    main = [model.candidate.name for model in _main_models(comparison)]
    if not main:
        return
    names = [model.candidate.name for model in comparison.scored]
    rows = zip(*(model.results.judged for model in comparison.scored), strict=True)
    first, best = main[0], main[-1]
    groups: dict[str, list[dict[str, Judged]]] = {
        f"Lost: {first} right, {best} wrong": [],
        f"Wrong with {best}{' too' if first != best else ''}": [],
        f"Gained: {first} wrong, {best} right": [],
    }
    lost, still, gained = groups.values()
    for row in (dict(zip(names, row, strict=True)) for row in rows):
        if not row[best].verdict.correct:
            (lost if row[first].verdict.correct else still).append(row)
        elif not row[first].verdict.correct:
            gained.append(row)
    for title, found in groups.items():
        if found:
            yield f"<h2>{shown(title)} ({len(found):,})</h2>"
            yield from first_of(found, lambda row: _row(row, main))


def _row(row: Mapping[str, Judged], main: Sequence[str]) -> str:
    wrong = next(row[name] for name in reversed(main) if not row[name].verdict.correct)
    return item_html(wrong.item, row, "; ".join(wrong.verdict.reasons[:2]), main)


def _main_models(comparison: Comparison) -> list[Scored]:
    """Return the base and the best checkpoint, as far as they were scored."""
    best = comparison.best
    base = [model for model in comparison.scored if model.candidate.name == BASE]
    return base if best is None else [*base, best]
