"""Did a model lose what its base could do: both on the same items and text, line by line.

A line is a figure of a part of what was scored, paired: its difference comes from the items that
both models were judged on. What is compared are records, as `--output-file` holds them, so an
earlier run's file serves as well as a base that is scored now.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluation.abilities import ABILITIES, Ability, Record
from evaluation.checkpoints.significance import (
    LEAST_DIFFERING,
    SIGNIFICANCE_LEVEL,
    Difference,
    count_differences,
)
from evaluation.intervals import by_conversation, share
from evaluation.items import Item

BETTER, WORSE, NOT_TOLD_APART = "better", "worse", "not told apart"
TOO_FEW = "too few differ"
PLAIN_TEXT = "plain text, bits a byte"
# Settings of the command that decide what is answered.
_SETTINGS = (
    "chat_format",
    "max_new_tokens",
    "max_seq_len",
    "temperature",
    "top_p",
    "seed",
    "constrain",
)


@dataclass(frozen=True)
class Line:
    """A figure of both models; `model` and `base` are its values, `of` counts items or windows.

    lower: Whether less of it is better.
    """

    name: str
    meaning: str
    of: int
    model: float
    base: float
    difference: Difference
    lower: bool = False

    @property
    def verdict(self) -> str:
        """Whether the model is better or worse than the base, or the two are not told apart.

        Too few differ where no difference of these items could tell them apart.
        """
        if 0 < self.difference.differing < LEAST_DIFFERING:
            return TOO_FEW
        if not self.difference.p < SIGNIFICANCE_LEVEL:
            return NOT_TOLD_APART
        return BETTER if (self.difference.value > 0) != self.lower else WORSE

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this line."""
        difference = asdict(self.difference)
        found = {name: difference[name] for name in ("value", "low", "high", "p", "differing")}
        names = ("name", "meaning", "of", "model", "base")
        return {name: getattr(self, name) for name in names} | {
            "difference": found,
            "lower_is_better": self.lower,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Against:
    """What a model is compared with: the record of the base's results, and what it is called."""

    name: str
    record: Record

    @staticmethod
    def read(file: Path) -> "Against":
        """Read the results of an earlier run; ValueError for a file that is none."""
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            known = _are_results(record)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            known = False
        if not known:
            raise ValueError(
                f"{file} holds no results; wanted what scripts/evaluate.py --output-file wrote, or "
                "the directory of a model"
            )
        return Against(str(file), record)

    def check(self, items: Iterable[Item]) -> None:
        """Raise ValueError where an id is that of another item than the base was judged on."""
        here = {item.id: item for item in items}
        for verdict in self.record["verdicts"]:
            if verdict["id"] not in here:
                continue
            for fact in ("category", "conversation_id"):
                found = getattr(here[verdict["id"]], fact)
                # Earlier results do not name the conversation.
                if verdict.get(fact, found) != found:
                    raise ValueError(
                        f"{self.name} judged other items: {verdict['id']} has {fact} "
                        f"{verdict[fact]!r} there and {found!r} here; give --against the "
                        "directory of the base, which is then scored on these items"
                    )


@dataclass(frozen=True)
class Regression:
    """A model's record compared with that of its base, over the items that both have.

    items: Those of the model's record, in any order.
    """

    items: Sequence[Item]
    record: Record
    against: Against

    @cached_property
    def lines(self) -> list[Line]:
        """Every line that both have something of."""
        pairs = list(self._pairs())
        lines = [_line(name, part, pairs) for name, part in ABILITIES.items()]
        lines.append(_text_line(self.record.get("plain_text"), self._base.get("plain_text")))
        return [line for line in lines if line is not None]

    @property
    def _base(self) -> Record:
        return self.against.record

    def _pairs(self) -> Iterator[tuple[Item, Record, Record]]:
        """Yield the items that both were judged on."""
        base = {verdict["id"]: verdict for verdict in self._base["verdicts"]}
        items = {item.id: item for item in self.items}
        for verdict in self.record["verdicts"]:
            if other := base.get(verdict["id"]):
                yield items[verdict["id"]], verdict, other

    @cached_property
    def notes(self) -> list[str]:
        """What the lines leave out, and what was set differently, as sentences."""
        ids = [{verdict["id"] for verdict in r["verdicts"]} for r in (self.record, self._base)]
        found = []
        if alone := len(ids[0] ^ ids[1]):
            found.append(
                f"{alone:,} items were judged for one of the two alone, and count nowhere."
            )
        texts = [record.get("plain_text") for record in (self.record, self._base)]
        if any(texts) and not _same_windows(*texts):
            found.append("The two were not measured on the same windows of a plain text.")
        ours, theirs = (record["summary"].get("about", {}) for record in (self.record, self._base))
        found += [
            f"{name} is {ours.get(name)} here and was {theirs.get(name)} for the base."
            for name in _SETTINGS
            if ours.get(name) != theirs.get(name)
        ]
        return found

    @property
    def headline(self) -> str:
        """The names of the lines by verdict, in a sentence each."""
        if not self.lines:
            return f"Nothing was measured for both this model and {self.against.name}."
        told = []
        for verdict in (WORSE, BETTER, NOT_TOLD_APART):
            names = [line.name for line in self.lines if line.verdict == verdict]
            told += [f"{verdict}: {', '.join(names)}"] * bool(names)
        few = [line for line in self.lines if line.verdict == TOO_FEW]
        if few:
            names = [f"{line.name} ({line.difference.differing})" for line in few]
            told.append(f"{TOO_FEW} to tell ({LEAST_DIFFERING} at least): {', '.join(names)}")
        return f"Against {self.against.name}: {'; '.join(told)}."

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of the comparison."""
        return {
            "base": self.against.name,
            "base_about": self._base["summary"].get("about", {}),
            "lines": [line.to_record() for line in self.lines],
            "notes": self.notes,
        }


def _are_results(record: Any) -> bool:
    """Return whether a record has what lines are made of; errors too say that it has not."""
    facts, text = {"id", "category", "should_call", "verdict"}, record.get("plain_text")
    windows = [] if text is None else text["windows"]
    return (
        all(facts <= verdict.keys() for verdict in record["verdicts"])
        and isinstance(record["summary"], dict)
        and (text is None or {"file", "sha256"} <= text.keys())
        and all({"bytes", "loss"} <= window.keys() for window in windows)
    )


def _line(name: str, part: Ability, pairs: Sequence[tuple[Item, Record, Record]]) -> Line | None:
    chosen = [pair for pair in pairs if part.counts(*pair[:2])]
    if not chosen:
        return None
    conversations = [item.conversation_id for item, _, _ in chosen]
    counts = {
        "model": [(int(part.right(verdict)), 1) for _, verdict, _ in chosen],
        "base": [(int(part.right(verdict)), 1) for _, _, verdict in chosen],
    }
    return _compared(name, part.meaning, counts, conversations)


def _text_line(model: Record | None, base: Record | None) -> Line | None:
    if model is None or base is None or not _same_windows(model, base):
        return None
    counts = {
        name: [(window["loss"] / math.log(2), window["bytes"]) for window in score["windows"]]
        for name, score in {"model": model, "base": base}.items()
    }
    return _compared(PLAIN_TEXT, f"the loss on {model['file']}", counts, lower=True)


def _same_windows(one: Record | None, other: Record | None) -> bool:
    if not one or not other or one["sha256"] != other["sha256"]:
        return False
    sizes = [[window["bytes"] for window in score["windows"]] for score in (one, other)]
    return sizes[0] == sizes[1]


def _compared(
    name: str,
    meaning: str,
    counts: Mapping[str, Sequence[Sequence[float]]],
    conversations: Sequence[str] = (),
    lower: bool = False,
) -> Line:
    sums = {model: by_conversation(rows, conversations) for model, rows in counts.items()}
    (difference,) = count_differences(sums)
    model, base = (float(share(rows.sum(0))) for rows in sums.values())
    return Line(name, meaning, len(counts["model"]), model, base, difference, lower)
