"""What was judged, as records for a file and as lines for people."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chat.transcript import call_lines, conversation_lines
from evaluation.failures import is_broken
from evaluation.figures import Figures, Summary, headline_text, records, summarise
from evaluation.items import Item, call_record
from evaluation.leaderboard import Counts, counts_of, leaderboard_record
from evaluation.plain_text import TextScore
from evaluation.regression import Against, Regression
from evaluation.scoring.argument_types import by_argument_type
from evaluation.scoring.bfcl_turns import PlayedReply
from evaluation.scoring.calls import Verdict
from inference.chat_model import Answer

# How many texts that count as right but are broken a file of failures shows.
_MOST_BROKEN = 20


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
            "conversation_id": self.item.conversation_id,
            "should_call": verdict.should_call,
            "called": verdict.called,
            "empty": verdict.empty,
            **facts,
            "arguments_wanted": verdict.arguments_wanted,
            "arguments_found": verdict.arguments_found,
            "arguments_right": verdict.arguments_right,
            "cut_off": not self.answer.whole,
            "reasons": list(verdict.reasons),
            "calls": [call_record(call) for call in reply.tool_calls],
            "text": self.answer.text,
            **({"stopped": reply.stopped} if isinstance(reply, PlayedReply) else {}),
        }

    def lines(self) -> Iterator[str]:
        """Yield readable lines: the conversation, the wanted and the found reply, the reasons."""
        yield from conversation_lines(self.item.conversation)
        yield "wanted:"
        expected = self.item.expected
        for wanted in expected if isinstance(expected, list) else [expected]:
            text = wanted if isinstance(wanted, str) else json.dumps(wanted, ensure_ascii=False)
            yield f"  {text}"
        yield "found:"
        reply = self.answer.reply
        if reply.content or not reply.tool_calls:
            yield f"  {reply.content!r}" + ("" if self.answer.whole else " (cut off)")
        yield from call_lines(reply.tool_calls)
        yield from (f"because: {reason}" for reason in self.verdict.reasons)


@dataclass(frozen=True)
class Refused:
    """An item that was not asked, and why."""

    item: Item
    reason: str

    def to_record(self) -> dict[str, str]:
        """Return the JSON object of this item."""
        return {"id": self.item.id, "category": self.item.category, "reason": self.reason}


@dataclass(frozen=True)
class Results:
    """What was judged of `items` items, which were not asked, and what was evaluated.

    text: How well the model predicts a plain text, None where none was asked about.
    against: What to compare with, None for nothing.
    The figures are computed once and cached: read them only when every answer is judged.
    """

    judged: Sequence[Judged]
    items: int
    about: Mapping[str, Any]
    refused: Sequence[Refused] = ()
    text: TextScore | None = None
    against: Against | None = None

    @cached_property
    def summary(self) -> Summary:
        """The figures of what was judged."""
        categories = [judged.item.category for judged in self.judged]
        verdicts = [judged.verdict for judged in self.judged]
        return summarise(verdicts, categories, self._conversations)

    @cached_property
    def argument_types(self) -> Figures:
        """The share of right arguments by their type."""
        verdicts = ((judged.verdict, judged.item.conversation.tools) for judged in self.judged)
        return by_argument_type(verdicts, self._conversations)

    @property
    def by_leaderboard(self) -> Counts | None:
        """What BFCL's leaderboard counts; None where no folder of its categories was scored."""
        if self.about.get("benchmark_dir") is None:
            return None
        return counts_of(self.summary.categories)

    @property
    def _conversations(self) -> list[str]:
        return [judged.item.conversation_id for judged in self.judged]

    @property
    def headline(self) -> str:
        """The leading figure, `correct`, and the number of empty replies and of broken texts."""
        parts = [headline_text(self.summary.all)]
        if self.empty:
            parts.append(f"Empty replies: {self.empty:,}.")
        if self.broken:
            parts.append(f"{self.broken_line}.")
        return " ".join(parts)

    @property
    def empty(self) -> int:
        """The number of replies without text and calls."""
        return sum(judged.verdict.empty for judged in self.judged)

    @cached_property
    def right_texts(self) -> list[Judged]:
        """What counts as right without a call."""
        verdicts = ((judged, judged.verdict) for judged in self.judged)
        return [judged for judged, found in verdicts if found.correct and not found.called]

    @cached_property
    def broken(self) -> list[Judged]:
        """The right texts that a limit cut off, or that are garbled: any text counts as right."""
        return [judged for judged in self.right_texts if is_broken(judged.to_record())]

    @property
    def broken_line(self) -> str:
        """How many of the right texts are broken."""
        return (
            f"{len(self.broken):,} of {len(self.right_texts):,} replies counted right as texts "
            "were cut off at the limit (never ended) or are garbled"
        )

    @property
    def failures(self) -> list[Judged]:
        """What was judged wrong."""
        return [judgement for judgement in self.judged if not judgement.verdict.correct]

    @cached_property
    def regression(self) -> Regression | None:
        """The comparison with the base, where one is named."""
        if self.against is None:
            return None
        return Regression([judged.item for judged in self.judged], self._record, self.against)

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object: `summary`, `verdicts`, `refused`, `plain_text`, `against`."""
        compared = {"against": self.regression.to_record()} if self.regression else {}
        return {**self._record, **compared}

    @cached_property
    def _record(self) -> dict[str, Any]:
        counts = {
            "items": self.items,
            "answered": len(self.judged),
            "cut_off": sum(not judgement.answer.whole for judgement in self.judged),
            "empty": self.empty,
            "right_texts": len(self.right_texts),
            "right_texts_broken": len(self.broken),
            "refused": len(self.refused),
        }
        figures = {**self.summary.to_record(), "argument_types": records(self.argument_types)}
        if self.by_leaderboard is not None:
            figures["leaderboard"] = leaderboard_record(self.by_leaderboard)
        return {
            "summary": {"about": dict(self.about), **counts, **figures},
            "verdicts": [judgement.to_record() for judgement in self.judged],
            "refused": [refusal.to_record() for refusal in self.refused],
            **({} if self.text is None else {"plain_text": self.text.to_record()}),
        }


def failure_lines(results: Results) -> Iterator[str]:
    """Yield readable lines: wrong answers, broken texts that count as right, what was not asked."""
    yield f"{len(results.failures)} of {len(results.judged)} answers are wrong"
    yield from _item_lines(results.failures)
    if results.broken:
        first = f"; the first {_MOST_BROKEN}:" if len(results.broken) > _MOST_BROKEN else ":"
        yield from ("", f"{results.broken_line}{first}")
        yield from _item_lines(results.broken[:_MOST_BROKEN])
    if results.refused:
        yield ""
    yield from refusal_lines(results.refused)


def _item_lines(judged: Sequence[Judged]) -> Iterator[str]:
    for judgement in judged:
        yield from ("", f"== {judgement.item.id} ({judgement.item.category})")
        yield from judgement.lines()


def refusal_lines(refused: Sequence[Refused]) -> Iterator[str]:
    """Yield how many items were not asked, then each with the reason."""
    if refused:
        yield f"Not asked, and counted in no figure ({len(refused):,}):"
        yield from (f"  {refusal.item.id}: {refusal.reason}" for refusal in refused)


def json_text(record: Mapping[str, Any]) -> str:
    """Return a record as the text of a file."""
    return json.dumps(record, ensure_ascii=False, indent=1, default=str) + "\n"
