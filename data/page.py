"""An inspection as one HTML file: no scripts, nothing loaded from anywhere."""

from collections.abc import Sequence
from html import escape

from data.charts import Chart, charts
from data.inspection import Statistics
from data.masks import View
from data.terminal import LEGEND, figures_table, packing_lines

STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .15rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left }
svg { display: block; max-width: 100%; fill: currentColor; font: 12px system-ui, sans-serif }
svg rect { fill: #2a78b8 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8886; padding: 1rem }
.system { color: #a04a9c } .user { color: #17829b } .tool { color: #a37500 }
.special { opacity: .6 }
.trained { color: inherit; background: #2e9e4d33; text-decoration: underline #2e9e4d 2px }
.stop { background: #c9362c; color: #fff; text-decoration: none }
"""


def page(
    title: str,
    every: Sequence[Statistics],
    sources: Sequence[dict[str, object]],
    samples: Sequence[View],
) -> str:
    """Return the page of a dataset: figures, charts of each split, conversations with masks."""
    parts = [_figures(every), _sources(sources)]
    for figures in every:
        parts.append(f"<h2>{escape(figures.split)}</h2>")
        parts += [f"<p>{escape(line)}</p>" for line in packing_lines(figures.packing)]
        parts += [_svg(chart) for chart in charts(figures)]
    if samples:
        parts.append(f"<h2>Masks</h2><p>{escape(LEGEND)}</p>")
    parts += [_sample(view) for view in samples]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _figures(every: Sequence[Statistics]) -> str:
    table = figures_table(every)
    columns = [list(column.cells) for column in table.columns]
    head = "".join(f"<th>{escape(str(column.header))}</th>" for column in table.columns)
    rows = [
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
        for cells in zip(*columns, strict=True)
    ]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _sources(sources: Sequence[dict[str, object]]) -> str:
    if not sources:
        return ""
    names = ("file", "weight", "conversations", "train", "validation")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = [
        "<tr>" + "".join(f"<td>{escape(str(source[name]))}</td>" for name in names) + "</tr>"
        for source in sources
    ]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _svg(chart: Chart) -> str:
    height, label, width = 20, 240, 420
    most = max(bar.value for bar in chart.bars) or 1
    lines = []
    for number, bar in enumerate(chart.bars):
        y = number * height
        length = max(1.0, bar.value / most * width)
        lines.append(
            f'<text x="{label - 8}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>'
            f'<rect x="{label}" y="{y + 3}" width="{length:.1f}" height="{height - 6}"/>'
            f'<text x="{label + length + 8:.1f}" y="{y + 14}">{escape(bar.note)}</text>'
        )
    size = f'viewBox="0 0 {label + width + 240} {len(chart.bars) * height}"'
    title = escape(chart.title)
    return f'<h3>{title}</h3><svg role="img" aria-label="{title}" {size}>{"".join(lines)}</svg>'


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
        text = escape(stretch.text) + ("■" if stretch.stop else "")
        parts.append(f'<span class="{" ".join(kinds)}" title="{title}">{text}</span>')
    return f"<h3>{escape(view.about)}</h3><pre>{''.join(parts)}{'⟧' if learning else ''}</pre>"
