"""Compare the models of a run by a figure: which is best, and how significant that is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from rich.table import Table
from rich.text import Text

from evaluation.checkpoints.candidates import BASE, Scored
from evaluation.checkpoints.significance import (
    SIGNIFICANCE_LEVEL,
    Difference,
    differences,
    format_p_value,
)
from evaluation.figures import (
    BALANCED,
    Figures,
    cells,
    format_figure,
    headline,
    percent,
    why,
)
from evaluation.results import Refused


@dataclass(frozen=True)
class Comparison:
    """The scored models of a run, compared by the figure `asked`; `unread` were not scored."""

    asked: str
    scored: Sequence[Scored]
    unread: Mapping[str, str]

    @cached_property
    def figures(self) -> dict[str, Figures]:
        """All figures of every model by its name."""
        return {model.candidate.name: model.results.summary.all for model in self.scored}

    @cached_property
    def metric(self) -> str:
        """The figure to compare by: `asked`, or for `balanced` that of the only side."""
        return self.metric_of(next(iter(self.figures.values())))

    def metric_of(self, figures: Figures) -> str:
        """Return the figure to compare by for some of the items, such as a category."""
        return headline(figures) if self.asked == BALANCED else self.asked

    @cached_property
    def categories(self) -> dict[str, dict[str, Figures]]:
        """The figures of every model, by category and name."""
        found: dict[str, dict[str, Figures]] = {}
        for model in self.scored:
            for category, figures in sorted(model.results.summary.categories.items()):
                found.setdefault(category, {})[model.candidate.name] = figures
        return found

    @cached_property
    def argument_types(self) -> dict[str, Figures]:
        """The share of right arguments by type, of every model by its name."""
        return {model.candidate.name: model.results.argument_types for model in self.scored}

    @cached_property
    def differences(self) -> list[Difference]:
        """Every two models compared."""
        verdicts = {
            model.candidate.name: [judged.verdict for judged in model.results.judged]
            for model in self.scored
        }
        conversations = [judged.item.conversation_id for judged in self.scored[0].results.judged]
        return differences(self.metric, verdicts, conversations)

    @property
    def refused(self) -> Sequence[Refused]:
        """The items that were not asked, the same for all models."""
        return self.scored[0].results.refused

    @property
    def best(self) -> Scored | None:
        """The checkpoint with the highest figure, of equals the earliest; None without any."""
        found = [
            model
            for model in self.scored
            if model.candidate.name != BASE and self.metric in self.figures[model.candidate.name]
        ]
        return max(
            found,
            key=lambda model: self.figures[model.candidate.name][self.metric].value,
            default=None,
        )

    def difference(self, one: str, other: str) -> Difference | None:
        """Return by how much `one` is above `other`; None where they were not compared."""
        for difference in self.differences:
            if (difference.one, difference.other) == (one, other):
                return difference
            if (difference.one, difference.other) == (other, one):
                # 0 - x, because -x of 0 is -0.
                return Difference(
                    one,
                    other,
                    value=0 - difference.value,
                    low=0 - difference.high,
                    high=0 - difference.low,
                    p=difference.p,
                    differing=difference.differing,
                )
        return None

    def verdict(self) -> list[str]:
        """Return as sentences the best checkpoint, its gain over the base, and its rivals."""
        best = self.best
        if best is None:
            return [f"No checkpoint has the figure {self.metric}."]
        name = best.candidate.name
        figure = format_figure(self.figures[name][self.metric])
        lines = [f"Best by {self.metric}: {best.candidate.title}, {figure}."]
        if self.metric != self.asked:
            lines.append(why(self.metric))
        if gain := self.difference(name, BASE):
            lines.append(f"Against the base: {format_difference(gain)}.")
            if gain.value <= 0:
                lines.insert(0, f"No checkpoint is above the base by {self.metric}.")
        rivals = [
            model.candidate.name
            for model in self.scored
            if (d := self.difference(name, model.candidate.name)) and d.p >= SIGNIFICANCE_LEVEL
        ]
        if rivals:
            lines.append(f"These items do not tell it apart from {', '.join(rivals)}.")
        return lines

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of the comparison."""
        best = self.best
        return {
            "metric": self.metric,
            "best": None if best is None else best.candidate.name,
            "checkpoints": {
                model.candidate.name: {
                    "step": model.candidate.step,
                    "also": list(model.candidate.also),
                    **model.results.to_record()["summary"],
                }
                for model in self.scored
            },
            "differences": [asdict(difference) for difference in self.differences],
            "not_scored": dict(self.unread),
            "refused": [refusal.to_record() for refusal in self.refused],
        }


def format_difference(difference: Difference) -> str:
    """Return a difference in points, with its interval and p."""
    low, high = f"{100 * difference.low:+.1f}", f"{100 * difference.high:+.1f}"
    return (
        f"{100 * difference.value:+.1f} points ({low} to {high}), p {format_p_value(difference.p)}"
    )


def comparison_table(comparison: Comparison) -> Table:
    """Return the table of all models, over all items and by category."""
    table = Table()
    table.add_column("", overflow="fold")
    for name in (comparison.metric, "95% interval", "counted", "to base", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    titles = {model.candidate.name: model.candidate.title for model in comparison.scored}
    groups = [("", comparison.figures)]
    if len(comparison.categories) > 1:
        groups += list(comparison.categories.items())
    for category, models in groups:
        metric = comparison.metric_of(next(iter(models.values())))
        if category:
            table.add_row(Text(category_title(comparison, category), "bold"))
        for name, found in models.items():
            if figure := found.get(metric):
                gain = None if category else comparison.difference(name, BASE)
                beside = (f"{100 * gain.value:+.1f}", format_p_value(gain.p)) if gain else ()
                row = percent(figure.value), *cells(figure, "\n"), *beside
                table.add_row(Text(titles[name]), *row)
        table.add_section()
    return table


def category_title(comparison: Comparison, category: str) -> str:
    """Return the name of a category, with the name of its figure where that is another one."""
    metric = comparison.metric_of(next(iter(comparison.categories[category].values())))
    return category if metric == comparison.metric else f"{category}: {metric}"
