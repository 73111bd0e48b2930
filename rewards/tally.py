"""How many prompts have all replies right, some, or none, by what is asked for in them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from evaluation.behaviours import kinds_of
from evaluation.failures import failures_line
from evaluation.figures import percent
from rewards.verdicts import JudgedReply

ALL = "all"
# What a tally counts of prompts, of replies, and of rows that were kept.
COUNTS = ("prompts", "all_right", "some_right", "none_right", "replies", "right", "kept")


@dataclass
class Tally:
    """The counts of each kind of prompt, of mistakes, and of tokens."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    mistakes: Counter[str] = field(default_factory=Counter)
    tokens: int = 0

    def add(self, judged: Sequence[JudgedReply], kept: int) -> None:
        """Count the replies to one prompt, and how many of them became rows."""
        right = sum(reply.right for reply in judged)
        outcome = "none_right" if not right else "some_right"
        outcome = "all_right" if right == len(judged) else outcome
        counts = {"prompts": 1, outcome: 1, "replies": len(judged), "right": right, "kept": kept}
        for kind in (ALL, prompt_kind(judged[0])):
            self.kinds.setdefault(kind, Counter()).update(counts)
        self.mistakes.update(reply.kind for reply in judged if reply.kind is not None)
        self.tokens += sum(len(reply.drawn.tokens) for reply in judged)

    @property
    def kept(self) -> int:
        """How many replies became rows."""
        return self.kinds[ALL]["kept"] if self.kinds else 0

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of the counts."""
        kinds = {
            kind: {name: counts[name] for name in COUNTS} for kind, counts in self.kinds.items()
        }
        return {"kinds": kinds, "mistakes": dict(self.mistakes), "tokens": self.tokens}

    def table(self) -> Table:
        """Return a table by kind, all prompts last."""
        table = Table(title="replies by what is asked for")
        table.add_column("kind of prompt", no_wrap=True)
        for column in ("prompts", "all right", "some", "none", "replies", "kept"):
            table.add_column(column, justify="right", no_wrap=True)
        kinds = sorted(kind for kind in self.kinds if kind != ALL)
        for kind in (*kinds, *([ALL] if self.kinds else [])):
            if kind == ALL:
                table.add_section()
            table.add_row(kind, *_cells(self.kinds[kind]))
        return table

    def lines(self, drawn: int, seconds: float) -> Iterator[str]:
        """Yield the mistakes, and the speed at which so many replies were drawn, in words."""
        yield f"Mistakes: {failures_line(self.mistakes)}"
        if self.kinds and drawn:
            mean = self.tokens / self.kinds[ALL]["replies"]
            yield (
                f"{drawn:,} replies drawn and judged in {seconds:.0f} s, {drawn / seconds:.1f} a "
                f"second; {mean:.0f} tokens a reply on average"
            )


def prompt_kind(judged: JudgedReply) -> str:
    """Return what is asked for: of the generator's prompts the behaviour, else the category."""
    verdict = {"id": judged.item.id, "should_call": judged.verdict.should_call}
    try:
        return kinds_of(verdict)[0]
    except ValueError:
        return judged.item.category


def _cells(counts: Mapping[str, int]) -> list[str]:
    prompts, *outcomes = (f"{counts[name]:,}" for name in COUNTS[:4])
    return [prompts, *outcomes, percent(counts["right"] / counts["replies"]), f"{counts['kept']:,}"]
