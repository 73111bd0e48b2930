"""An inspection as one HTML file: no scripts, nothing loaded from anywhere."""

from collections.abc import Sequence

from console.charts import bars
from console.page import document, shown, table
from data.inspection.charts import charts
from data.inspection.masks import View
from data.inspection.statistics import Statistics
from data.inspection.terminal import LEGEND, figures_table, packing_lines

STYLE = """
pre { border: 1px solid var(--rule); padding: 1rem }
.system { color: #a04a9c } .user { color: #17829b } .tool { color: #a37500 }
.special { opacity: .6 }
.trained { color: inherit; background: #2e9e4d33; text-decoration: underline #2e9e4d 2px }
.stop { background: #c9362c; color: #fff; text-decoration: none }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1rem }
"""


def page(
    title: str,
    every: Sequence[Statistics],
    sources: Sequence[dict[str, object]],
    samples: Sequence[View],
    group_size: int = 1,
) -> str:
    """Return the page of a dataset: figures, charts of each split, conversations with masks.

    Of a `group_size` of 2, the samples are pairs, which stand side by side.
    """
    parts = [_figures(every), _sources(sources)]
    for figures in every:
        parts.append(f"<h2>{shown(figures.split)}</h2>")
        parts += [f"<p>{shown(line)}</p>" for line in packing_lines(figures.packing)]
        parts += [bars(chart) for chart in charts(figures)]
    if samples:
        parts.append(f"<h2>Masks</h2><p>{shown(LEGEND)}</p>")
    for first in range(0, len(samples), group_size):
        group = "".join(map(_sample, samples[first : first + group_size]))
        parts.append(f'<div class="pair">{group}</div>' if group_size > 1 else group)
    return document(title, parts, STYLE)


def _figures(every: Sequence[Statistics]) -> str:
    made = figures_table(every)
    columns = [[str(cell) for cell in column.cells] for column in made.columns]
    return table([str(column.header) for column in made.columns], zip(*columns, strict=True))


def _sources(sources: Sequence[dict[str, object]]) -> str:
    if not sources:
        return ""
    names = ("file", "weight", "conversations", "train", "validation")
    return table(names, [[str(source[name]) for name in names] for source in sources])


def _sample(view: View) -> str:
    parts, learning = [], False
    for stretch in view.stretches:
        if stretch.trained != learning:
            parts.append("⟦" if stretch.trained else "⟧")
            learning = stretch.trained
        kinds = [stretch.role or "begin"]
        kinds += ["trained"] * stretch.trained + ["special"] * stretch.special
        kinds += ["stop"] * stretch.stop
        title = f"{stretch.length} tokens from {stretch.start}"
        text = shown(stretch.text) + ("■" if stretch.stop else "")
        parts.append(f'<span class="{" ".join(kinds)}" title="{title}">{text}</span>')
    text = "".join(parts) + ("⟧" if learning else "")
    return f"<div><h3>{shown(view.about)}</h3><pre>{text}</pre></div>"
