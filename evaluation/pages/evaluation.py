"""An evaluation as one HTML page: figures, categories, argument types, failures side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from console.charts import Bar, Chart, bars
from console.page import document, shown, table
from evaluation.figures import MEANINGS, Figure, Figures, cells, headline, percent
from evaluation.leaderboard import HEAD, TITLE, leaderboard_rows
from evaluation.pages.regression import regression_part
from evaluation.pages.side_by_side import STYLE, first_of, item_html
from evaluation.plain_text import TextScore, text_figure
from evaluation.results import Judged, Refused, Results


def results_page(results: Results) -> str:
    """Return the page of one evaluation."""
    about = results.about
    names = ("lora_ckpt_path", "ckpt_dir", "model", "endpoint", "predictions")
    subject = next((str(about[name]) for name in names if about.get(name)), "results")
    return document(f"Tool calls: {subject}", _parts(results), STYLE)


def _parts(results: Results) -> Iterator[str]:
    if results.regression is not None:
        yield from regression_part(results.regression)
    if results.items:
        yield from _items_parts(results)
    if results.text is not None:
        yield from _text_part(results.text)
    yield about_part(results.about)


def _items_parts(results: Results) -> Iterator[str]:
    yield f"<p><strong>{shown(results.headline)}</strong> {INTERVALS}</p>"
    if missing := results.items - len(results.judged) - len(results.refused):
        yield f'<p class="bad">{missing:,} of {results.items:,} items were not answered.</p>'
    yield "<h2>Figures</h2>" + figure_bars("", results.summary.all)
    categories = {
        f"{name}: {headline(figures)}": figures[headline(figures)]
        for name, figures in sorted(results.summary.categories.items())
    }
    if len(categories) > 1:
        yield "<h2>By category</h2>" + figure_bars("", categories)
    if results.by_leaderboard is not None:
        rows = leaderboard_rows(results.by_leaderboard)
        yield f"<h2>{TITLE}</h2>{table(HEAD, rows)}"
    if types := results.argument_types:
        yield f"<h2>By argument type</h2><p>{ARGUMENTS}</p>" + figure_bars("", types)
    yield f"<h2>Failures</h2><p>{len(results.failures):,} replies are wrong.</p>"
    where = ", and --failures-file holds them all"
    yield from first_of(results.failures, _failure, where)
    yield from refused_part(results.refused)
    yield meanings_part(results.summary.all)


def _text_part(score: TextScore) -> Iterator[str]:
    whole = score.total
    yield f"<h2>Plain text: {shown(score.file)}</h2>"
    rows = [(name.replace("_", " "), text_figure(rate)) for name, rate in score.figures.items()]
    yield table(("figure, lower is better", "value (95% interval)"), rows)
    yield (
        f"<p>{whole.tokens:,} tokens, {whole.bytes:,} bytes in {len(score.windows):,} windows, "
        f"each after {shown(score.start)}; the loss in all is {whole.loss:,.1f} nats. Windows are "
        "resampled for the intervals. A byte compares models of other tokenizers too.</p>"
    )


def _failure(judged: Judged) -> str:
    return item_html(judged.item, {"Came": judged}, "; ".join(judged.verdict.reasons[:2]))


INTERVALS = (
    "Thin lines, and the numbers in brackets, are 95% intervals: what these conversations alone "
    "leave open."
)
ARGUMENTS = (
    "How many of the arguments wanted are given right, by the type that the tool's schema declares."
)


def figure_bars(title: str, figures: Mapping[str, Figure]) -> str:
    """Return shares as bars with their intervals."""
    rows = []
    for name, figure in figures.items():
        _, counts = cells(figure)
        note = f"{percent(figure.value)}, {counts}"
        rows.append(Bar(name, figure.value, note, figure.low, figure.high))
    return bars(Chart(title, tuple(rows), full=1.0))


def refused_part(refused: Sequence[Refused]) -> Iterator[str]:
    """Yield the items that were not asked, with the reason."""
    if not refused:
        return
    yield "<h2>Not asked</h2>"
    yield f"<p>{len(refused):,} items count in no figure.</p>"
    yield from first_of(
        refused,
        lambda refusal: f"<p><b>{shown(refusal.item.id)}</b>: {shown(refusal.reason)}</p>",
    )


def meanings_part(figures: Figures) -> str:
    """Return what each figure says."""
    rows = [(name, meaning) for name, meaning in MEANINGS.items() if name in figures]
    return f"<h2>What the figures say</h2>{table(('figure', 'what it says'), rows)}"


def about_part(about: Mapping[str, Any]) -> str:
    """Return what was evaluated, and how."""
    rows = [(name, str(value)) for name, value in about.items()]
    return f"<h2>Settings</h2>{table(('setting', 'value'), rows)}"
