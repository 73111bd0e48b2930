"""Pairs with typed mistakes, made from right conversations; quotas say how many of each kind."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from chat.conversation import Conversation, Message
from data.pairs import ReplyPair, UnusablePair, check_pair
from evaluation.failures import (
    COULD_CALL,
    MISSING,
    NEEDLESS,
    NO_TOOL_WANTED,
    WRONG_TOOL,
    WRONG_VALUE,
)
from rewards.mistakes import MISTAKES
from rewards.pair_tally import PairTally
from rewards.turns import Turn, failure_of, turns_of
from rewards.values import SeenValues
from synthesis.dice import Dice
from synthesis.quotas import apportion

# Which share of the pairs shows which mistake, unless quotas say otherwise.
SHARES: Mapping[str, float] = {
    WRONG_VALUE: 0.25,
    MISSING: 0.1,
    NEEDLESS: 0.1,
    WRONG_TOOL: 0.15,
    NO_TOOL_WANTED: 0.25,
    COULD_CALL: 0.15,
}
# So many conversations, or as many as pairs, are read before pairs are made of them, so that values
# come from all of these.
BLOCK = 1000
# What no right reply equals.
_SILENCE = Message("assistant", "")
# How often a mistake is drawn anew that turns out to be another one, or none.
TRIES = 4


def flag_of_kind(kind: str) -> str:
    """Return a kind as it stands in --quota.KIND."""
    return kind.replace(" ", "_")


def read_quotas(given: Mapping[str, Any], count: int) -> dict[str, int]:
    """Return how many pairs of each kind are wanted; the `given` shares, the others as in SHARES.

    ValueError for a kind that no mistake has, and for shares that are none.
    """
    kinds = {flag_of_kind(kind): kind for kind in SHARES}
    shares: dict[str, float] = {}
    for name, share in given.items():
        if name not in kinds:
            raise ValueError(f"no kind of mistake {name!r}; there are {', '.join(kinds)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"--quota.{name} is {share!r}, wanted a share from 0 to 1")
        shares[kinds[name]] = float(share)
    left = 1 - sum(shares.values())
    others = {kind: share for kind, share in SHARES.items() if kind not in shares}
    if left < -1e-9 or (left > 1e-9 and not others):
        wanted = "at most 1" if others else "1"
        raise ValueError(f"the quotas sum to {sum(shares.values()):g}, wanted {wanted}")
    scale = max(left, 0.0) / sum(others.values()) if others else 0.0
    return apportion(shares | {kind: share * scale for kind, share in others.items()}, count)


def mistaken_pairs(
    conversations: Iterable[Conversation],
    wanted: Mapping[str, int],
    seed: int,
    made_by: Mapping[str, Any],
    tally: PairTally,
) -> Iterator[ReplyPair]:
    """Yield a pair for each turn that can show a kind of mistake which is still wanted.

    What counts for a quota is what `tally.made` counts: pairs that were new and not held out. The
    kind that lacks most of its quota comes first. Ends when all quotas are full.
    """
    made = tally.made
    seen, rest = SeenValues(), iter(conversations)
    block_size = min(BLOCK, sum(wanted.values()))
    while block := list(islice(rest, block_size)):
        seen.note(block)
        for turn in (turn for conversation in block for turn in turns_of(conversation)):
            lacking = [kind for kind in wanted if made[kind] < wanted[kind]]
            if not lacking:
                return
            lacking.sort(key=lambda kind: made[kind] / wanted[kind])
            pair = _first_pair(turn, lacking, seen, seed, made_by, tally)
            if pair is not None:
                yield pair


def _first_pair(
    turn: Turn,
    kinds: Iterable[str],
    seen: SeenValues,
    seed: int,
    made_by: Mapping[str, Any],
    tally: PairTally,
) -> ReplyPair | None:
    """Return a pair of the first of the kinds that the turn can show, or None."""
    tally.read += 1
    try:
        # The right reply is one side of every pair: whatever is wrong with it is said once.
        check_pair(ReplyPair(turn.prompt, turn.reply, _SILENCE))
    except UnusablePair as why:
        tally.leave_out(why.rule, turn.prompt.id, str(why))
        return None
    for kind in kinds:
        for attempt in range(TRIES):
            dice = Dice(seed, turn.prompt.id, kind, attempt)
            wrong = MISTAKES[kind](turn, seen, dice)
            if wrong is None:
                break
            if failure_of(turn.reply, wrong, turn.tools) == kind:
                return ReplyPair(turn.prompt, turn.reply, wrong, kind, made_by)
    tally.leave_out("no-mistake", turn.prompt.id, "it can show no kind that is still wanted")
    return None
