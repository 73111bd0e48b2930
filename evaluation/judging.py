"""Judge answers one by one, and write the results even where an error ends them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from console.printable import printable
from console.progress import with_progress
from evaluation.items import Item
from evaluation.pages.evaluation import results_page
from evaluation.plain_text import TextScore
from evaluation.regression import Against
from evaluation.results import Judged, Refused, Results, failure_lines, json_text
from evaluation.workload import Workload
from inference.chat_model import Answer, SkippedItem
from storage.atomic import new_file


@dataclass(frozen=True)
class Outputs:
    """The files to write: verdicts as JSON, failures as text, all of it as a page; None for none.

    title: The description beside the progress bar.
    """

    output_file: Path | str | None = None
    failures_file: Path | str | None = None
    report_file: Path | str | None = None
    title: str = "Answering"

    def check(self) -> None:
        """Raise ValueError for a file that cannot be written; called before the work begins."""
        check_writable(self.output_file, self.failures_file, self.report_file)

    def lines(self) -> Iterator[str]:
        """Yield what each file holds, and where it is."""
        named = {"Results": self.output_file, "Failures": self.failures_file}
        for name, file in {**named, "Page": self.report_file}.items():
            if file is not None:
                yield f"{name}: {file}"

    def unfinished(self) -> "Outputs":
        """Return where what was answered until an interruption goes.

        A file that is there already is of another run, and is not replaced.
        """
        return Outputs(
            _unfinished(self.output_file),
            _unfinished(self.failures_file),
            _unfinished(self.report_file),
            self.title,
        )

    def write(self, results: Results) -> None:
        """Write every file that is named."""
        if self.output_file is not None:
            write_text(self.output_file, json_text(results.to_record()))
        if self.failures_file is not None:
            lines = map(printable, failure_lines(results))
            write_text(self.failures_file, "\n".join(lines) + "\n")
        if self.report_file is not None:
            write_text(self.report_file, results_page(results))


def judge_all(
    items: Sequence[Item],
    answers: Iterator[tuple[int, Answer | SkippedItem]],
    about: Mapping[str, Any],
    outputs: Outputs,
    text: TextScore | None = None,
    against: Against | None = None,
    tell: Callable[[str], None] = print,
) -> Results:
    """Judge answers and write the results; after an error, those so far, beside earlier ones.

    `answers` yields (index of the item, answer) in any order; results have that of the items. An
    error of it is raised again, with the number of answers that were written; `tell` is called with
    it where the command is interrupted or terminated. `text` and the comparison with `against` are
    written with them.
    """
    outputs.check()
    judged, refused, order = list[Judged](), list[Refused](), dict[str, int]()
    places, workload = outputs.unfinished(), Workload(items)
    results = Results(judged, len(items), about, refused, text, against)
    try:
        for index, answer in with_progress(
            answers, len(items), outputs.title, work=lambda pair: workload.take(*pair)
        ):
            item = items[index]
            if isinstance(answer, SkippedItem):
                refused.append(Refused(item, answer.reason))
            else:
                judged.append(Judged(item, answer, item.judge(answer.reply)))
                order[item.id] = index
        places = outputs
    except (ValueError, OSError) as error:
        kept = _kept_text(judged, items, places)
        raise ValueError("; ".join([str(error), *kept])) from error
    except (KeyboardInterrupt, SystemExit):
        for line in _kept_text(judged, items, places):
            tell(line)
        raise
    finally:
        judged.sort(key=lambda judgement: order[judgement.item.id])
        if judged or text or places is outputs:
            places.write(results)
    return results


def _kept_text(judged: Sequence[Judged], items: Sequence[Item], places: Outputs) -> Iterator[str]:
    """Yield how many answers are in which file, where any are."""
    if judged and places.output_file:
        yield f"{len(judged):,} of {len(items):,} answers are in {places.output_file}"


def _unfinished(file: Path | str | None) -> Path | None:
    """Return the file itself where there is none yet, otherwise one beside it."""
    if file is None:
        return None
    path = Path(file).expanduser()
    return path.with_name(f"{path.stem}.unfinished{path.suffix}") if path.exists() else path


def check_writable(*paths: Path | str | None) -> None:
    """Raise ValueError for a file that cannot be written; called before the work begins."""
    for file in (Path(path).expanduser() for path in paths if path is not None):
        if file.is_dir():
            raise ValueError(f"{file} is a directory, wanted a file to write")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=file.parent):
                pass
        except OSError as error:
            raise ValueError(f"{file} cannot be written: {error.strerror}") from None


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    with new_file(Path(path).expanduser()) as partial:
        # Half a surrogate pair in a conversation cannot be encoded; it is written escaped.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
