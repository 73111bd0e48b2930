"""An inspection on a terminal, readable without colours too."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.charts import Chart
from console.output import Console
from console.printable import printable
from data.inspection.charts import charts
from data.inspection.masks import Stretch, View
from data.inspection.statistics import Packing, Statistics

ROLE_STYLES = {
    "system": "magenta",
    "user": "cyan",
    "assistant": "white",
    "tool": "yellow",
}
TRAINED = "bold green underline"
STOP = "bold white on red"
LEGEND = (
    "⟦trained text⟧ is what the model learns to write; ⟦<stop>■⟧ is a trained stop token; "
    "all else is only read"
)


def figures_table(every: Sequence[Statistics]) -> Table:
    """Return the figures of all splits side by side."""
    table = Table("", *(figures.split for figures in every))
    for column in table.columns[1:]:
        column.justify = "right"
    rows = {
        "conversations": [f"{len(figures.lengths):,}" for figures in every],
        "tokens": [f"{int(figures.lengths.sum()):,}" for figures in every],
        "trained": [f"{figures.trained.sum() / figures.lengths.sum():.1%}" for figures in every],
        "calls that cannot be read": [f"{figures.unreadable:,}" for figures in every],
    }
    for percent in every[0].percentiles:
        name = {0: "shortest", 50: "length, median", 100: "longest"}.get(percent, f"{percent}%")
        rows[name] = [f"{figures.percentiles[percent]:,}" for figures in every]
    for name, texts in rows.items():
        table.add_row(name, *texts)
    return table


def packing_lines(packing: Packing | None) -> list[str]:
    """Return the lines that show how full sequences are."""
    if packing is None:
        return ["Packing: a conversation is longer than --micro-batch-tokens"]
    return [
        f"Packing into {packing.capacity:,} tokens: {packing.windows:.2%} full over windows of "
        "10,000 conversations (validation is packed so)",
        f"A step of {packing.batch_size} conversations: {packing.micro_batches:.2f} micro-batches, "
        f"{packing.steps:.1%} full; what is not full is not computed, so it costs nothing",
    ]


def plots(figures: Statistics, width: int = 40) -> RenderableType:
    """Return all charts of a split."""
    return Group(*(_plot(chart, width) for chart in charts(figures)))


def _plot(chart: Chart, width: int) -> Table:
    most = max(bar.value for bar in chart.bars)
    table = Table(title=chart.title, title_justify="left", box=None, show_header=False)
    table.add_column(justify="right", overflow="fold", max_width=36)
    table.add_column(no_wrap=True)
    table.add_column()
    for bar in chart.bars:
        length = round(bar.value / most * width) if most else 0
        table.add_row(bar.label, Text("█" * length or "▏", "cyan"), bar.note)
    return table


def sample_view(view: View) -> RenderableType:
    """Return one conversation with its mask, between its borders in a packed sequence."""
    text = Text()
    text.append(f"{view.about}\n", "bold")
    text.append(f"{LEGEND}\n")
    text.append("── document begins: nothing before this line is seen ──\n", "dim")
    text.append_text(masked_text(view.stretches))
    text.append("\n── document ends ──", "dim")
    return text


def masked_text(stretches: Sequence[Stretch]) -> Text:
    """Return stretches with brackets around what is trained."""
    text, learning = Text(), False
    for stretch in stretches:
        if stretch.trained != learning:
            text.append("⟦" if stretch.trained else "⟧", TRAINED)
            learning = stretch.trained
        style = ROLE_STYLES.get(stretch.role, "white")
        if stretch.trained:
            style = STOP if stretch.stop else TRAINED
        elif stretch.special:
            style = f"dim {style}"
        # rich would drop a carriage return.
        text.append(printable(stretch.text) + ("■" if stretch.stop else ""), style)
    text.append("⟧" if learning else "", TRAINED)
    return text


def show(
    console: Console, every: Sequence[Statistics], sources: Sequence[dict[str, object]]
) -> None:
    """Print the figures of all splits and the charts of the first."""
    console.print(figures_table(every))
    for line in packing_lines(every[0].packing):
        console.print(line, soft_wrap=True)
    for file in sources:
        taken = f"{file['train']:,} train, {file['validation']:,} validation"
        line = f"{file['file']}: {file['conversations']:,} conversations, weight {file['weight']}"
        console.print(f"{line}: {taken}", soft_wrap=True)
    console.print(plots(every[0]))
