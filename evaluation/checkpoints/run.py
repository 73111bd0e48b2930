"""Compare a run: score its models one after the other and write the results after each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.flags import check_known
from console.printable import printable
from evaluation.checkpoints.candidates import Run, Scored, Setting, score_run
from evaluation.checkpoints.comparison import Comparison
from evaluation.figures import BALANCED, MEANINGS
from evaluation.items import Item
from evaluation.judging import check_writable, write_text
from evaluation.measurable import check_measurable
from evaluation.pages.comparison import comparison_page
from evaluation.results import failure_lines, json_text


@dataclass(frozen=True)
class ComparisonFiles:
    """The files of a comparison, and `about`: the settings of the command."""

    output_file: Path
    report_file: Path | None
    failures_file: Path | None
    about: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the verdicts on each model go."""
        return self.output_file.with_name(f"{self.output_file.stem}.verdicts")

    def write(self, comparison: Comparison, run_name: str) -> None:
        """Write figures and differences as JSON; failures and a page where a file is named."""
        record = {"about": dict(self.about), **comparison.to_record()}
        write_text(self.output_file, json_text(record))
        if self.report_file is not None:
            page = comparison_page(comparison, f"Checkpoints of {run_name}", self.about)
            write_text(self.report_file, page)
        if self.failures_file is not None:
            lines = map(printable, _failure_lines(comparison.scored))
            write_text(self.failures_file, "\n".join(lines) + "\n")


def compare(
    run: Run,
    items: Sequence[Item],
    setting: Setting,
    metric: str,
    files: ComparisonFiles,
    tell: Callable[[str], None] = print,
) -> Comparison:
    """Score the models of a run and compare them; the results are written after each model.

    Raises UsageError for an unknown figure, ValueError for one that no reply to these items counts
    for.
    """
    check_known("--metric", metric, MEANINGS)
    if metric != BALANCED:
        # Without `balanced`, the figure of the only side leads.
        check_measurable(items, metric)
    check_writable(files.output_file, files.report_file, files.failures_file)
    scored: list[Scored] = []
    for model in score_run(run, items, setting, files.folder, tell):
        scored.append(model)
        files.write(Comparison(metric, tuple(scored), run.unread), run.name)
    comparison = Comparison(metric, scored, run.unread)
    # Again, with the checkpoints found damaged after the last score.
    files.write(comparison, run.name)
    if not any(comparison.metric in figures for figures in comparison.figures.values()):
        names = (name for figures in comparison.figures.values() for name in figures)
        there = ", ".join(dict.fromkeys(names))
        raise ValueError(f"no reply of these models counts for {metric}; there are {there}")
    return comparison


def _failure_lines(scored: Sequence[Scored]) -> Iterator[str]:
    """Yield what each model failed under its name, the base first."""
    for model in scored:
        yield f"==== {model.candidate.title}"
        yield from failure_lines(model.results)
        yield ""
