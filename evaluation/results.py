"""Judge answers as they come, and keep what was judged: verdicts as JSON, failures as text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from chat.transcript import call_lines, conversation_lines
from evaluation.items import Item, call_record
from evaluation.replies import Answer
from evaluation.summary import Summary, summarise
from evaluation.tool_calls import Verdict
from storage.atomic import new_file


@dataclass(frozen=True)
class Judged:
    """An item with the answer it got and the verdict on it."""

    item: Item
    answer: Answer
    verdict: Verdict

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this verdict."""
        verdict, reply = self.verdict, self.answer.reply
        facts = {
            name: value
            for name in ("names_right", "exact_match", "json_equal", "readable", "schema_valid")
            if (value := getattr(verdict, name)) is not None
        }
        return {
            "id": self.item.id,
            "verdict": verdict.correct,
            "category": self.item.category,
            "should_call": verdict.should_call,
            "called": verdict.called,
            **facts,
            "arguments_wanted": verdict.arguments_wanted,
            "arguments_found": verdict.arguments_found,
            "arguments_right": verdict.arguments_right,
            "cut_off": not self.answer.whole,
            "reasons": list(verdict.reasons),
            "calls": [call_record(call) for call in reply.tool_calls],
            "text": self.answer.text,
        }

    def lines(self) -> Iterator[str]:
        """Yield for people to read what was asked, wanted and found, and what is wrong with it."""
        yield from conversation_lines(self.item.conversation)
        yield "wanted:"
        expected = self.item.expected
        lines = expected if isinstance(expected, list) else [expected]
        yield from (f"  {_shown(line)}" for line in lines)
        yield "found:"
        yield from _found_lines(self.answer)
        yield from (f"because: {reason}" for reason in self.verdict.reasons)


@dataclass(frozen=True)
class Results:
    """All that was judged of so many items, and what was evaluated."""

    judged: Sequence[Judged]
    items: int
    about: Mapping[str, Any]

    @property
    def summary(self) -> Summary:
        """The figures of what was judged."""
        categories = [each.item.category for each in self.judged]
        return summarise([each.verdict for each in self.judged], categories)

    @property
    def failures(self) -> list[Judged]:
        """What was judged wrong."""
        return [each for each in self.judged if not each.verdict.correct]

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of the results: `summary`, and `verdicts` by id."""
        counts = {
            "items": self.items,
            "answered": len(self.judged),
            "cut_off": sum(not each.answer.whole for each in self.judged),
        }
        return {
            "summary": {"about": dict(self.about), **counts, **self.summary.to_record()},
            "verdicts": [each.to_record() for each in self.judged],
        }

    def write(self, output_file: str | None, failures_file: str | None) -> None:
        """Write the verdicts as JSON and the failures as text, where a file is named."""
        if output_file is not None:
            text = json.dumps(self.to_record(), ensure_ascii=False, indent=1, default=str)
            _write(output_file, text + "\n")
        if failures_file is not None:
            _write(failures_file, "\n".join(self._failure_lines()) + "\n")

    def _failure_lines(self) -> Iterator[str]:
        yield f"{len(self.failures)} of {len(self.judged)} answers are wrong"
        for each in self.failures:
            yield from ("", f"== {each.item.id} ({each.item.category})")
            yield from each.lines()


def judge_all(
    items: Sequence[Item],
    answers: Iterator[tuple[int, Answer]],
    about: Mapping[str, Any],
    output_file: str | None = None,
    failures_file: str | None = None,
) -> Results:
    """Judge answers and write the results, also of as many as came when there is an error.

    `answers` yields the index of an item with each answer. What it raises, this raises too, with
    a word on what was kept.
    """
    judged: list[Judged] = []
    results = Results(judged, len(items), about)
    try:
        for index, answer in _shown_progress(answers, len(items)):
            item = items[index]
            judged.append(Judged(item, answer, item.judge(answer.reply)))
    except (ValueError, OSError) as error:
        count = f"{len(judged):,} of {len(items):,} answers"
        kept = f"; {count} are in {output_file}" if judged and output_file else ""
        raise ValueError(f"{error}{kept}") from error
    finally:
        if judged:
            results.write(output_file, failures_file)
    return results


def _shown_progress(
    answers: Iterator[tuple[int, Answer]], total: int
) -> Iterator[tuple[int, Answer]]:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(answers, total=total, description="Answering")


def _write(path: str, text: str) -> None:
    with new_file(Path(path).expanduser()) as partial:
        # A model may have been given half a surrogate pair; it must not stop the writing.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _found_lines(answer: Answer) -> Iterator[str]:
    reply = answer.reply
    if reply.content or not reply.tool_calls:
        yield f"  {reply.content!r}" + ("" if answer.whole else " (cut off)")
    yield from call_lines(reply.tool_calls)
