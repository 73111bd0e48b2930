"""What a making of pairs read, made and left out: the numbers add up."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

from data.cleaning.rules import MEANINGS
from data.pairs import RULES, ReplyPair, said

OWN_RULES = {
    "held-out": "the prompt is held out (--never-from)",
    "copy": "an earlier pair has the same prompt and replies",
    "no-mistake": "no kind of mistake that is still wanted fits the turn",
    "one-sided": "all replies to the prompt are right, or all are wrong",
    "not-canonical": "a row of verdicts lacks its reply, or whether it is right",
}


class PairTally:
    """Counts pairs by kind, and what was left out by rule with the first case of each.

    read: How many rows, turns or prompts there were.
    """

    def __init__(self) -> None:
        self.read = 0
        self.made: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def leave_out(self, rule: str, where: str, reason: str) -> None:
        """Count what gives no pair."""
        self.left_out[rule] += 1
        self.first.setdefault(rule, f"{where}: {reason}")

    def lines(self) -> Iterator[str]:
        """Yield what was left out, the most frequent rule first, each with its first case."""
        for rule, count in self.left_out.most_common():
            meaning = {**MEANINGS, **RULES, **OWN_RULES}.get(rule, rule)
            yield f"Left out, {rule}: {count:,} ({meaning.removeprefix('rejected: ')})"
            yield f"  first {self.first[rule]}"


def counted_pairs(
    pairs: Iterable[ReplyPair], tally: PairTally, is_held_out: Callable[[ReplyPair], bool]
) -> Iterator[ReplyPair]:
    """Yield the pairs that are new and not held out, and count them; ValueError where none is."""
    seen = set[bytes]()
    for pair in pairs:
        sides = f"{pair.prompt_sha256} {said(pair.chosen)} {said(pair.rejected)}"
        digest = blake2b(sides.encode(), digest_size=16).digest()
        if is_held_out(pair):
            tally.leave_out("held-out", pair.id, "a prompt that is held out")
        elif digest in seen:
            tally.leave_out("copy", pair.id, "the same pair came before")
        else:
            seen.add(digest)
            tally.made[pair.kind] += 1
            yield pair
    if not tally.made:
        rule, count = next(iter(tally.left_out.most_common(1)), ("", 0))
        why = f", {count:,} for {rule}, the first {tally.first[rule]}" if count else ""
        raise ValueError(f"no pair could be made of {tally.read:,} rows{why}")
