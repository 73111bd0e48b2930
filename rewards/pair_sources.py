"""Pairs that others made: a user's file, what cleaning found wrong, verdicts on drawn replies."""

import copy
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Message
from console.command import shell_quote
from data.cleaning.clean_row import Settings, clean_row
from data.cleaning.pair_file import pairs_beside
from data.conversations import content_sha256, named, read_conversations
from data.pairs import (
    SIDES,
    USER,
    ReplyPair,
    UnusablePair,
    check_pair,
    read_reply,
    said,
)
from data.reading.rows import RawRow, read_rows
from evaluation.failures import TYPES
from rewards.pair_tally import PairTally
from rewards.turns import failure_of
from synthesis.dice import Dice

PAIRS_ENDING = ".pairs.jsonl"
# Repairs of a call whose value before and after stand in the report.
REPAIRS_OF_CALLS = ("function-name", "text-value")
# So many right and so many wrong replies to a prompt are kept to choose from.
MOST = 64


def user_pairs(file: Path, tally: PairTally) -> Iterator[ReplyPair]:
    """Yield the pairs of a user's file, in our layout or another; those of others are cleaned."""
    made_by = {"from": "user", "file": file.name}
    for row in read_rows(file):
        tally.read += 1
        where = f"row {row.index} ({row.place})"
        try:
            record = row.value if _is_ours(row.value) else _cleaned(row, file)
            pair = ReplyPair.from_record(record)
        except UnusablePair as why:
            tally.leave_out(why.rule, where, str(why))
            continue
        pair = replace(pair, prompt=named(pair.prompt, row, file))
        yield replace(_typed(pair), made_by=pair.made_by or made_by)


def _is_ours(value: Any) -> bool:
    """Return whether a row has messages, and one message as each side."""
    return (
        isinstance(value, Mapping)
        and "prompt" not in value
        and "messages" in value
        and all(isinstance(value.get(side), Mapping) for side in SIDES)
    )


def _cleaned(row: RawRow, file: Path) -> dict[str, Any]:
    """Return the pair of a row of another layout as ours; UnusablePair names cleaning's rule."""
    outcome = clean_row(row, "preference", file.name, Settings())
    if outcome.pair:
        record: dict[str, Any] = json.loads(outcome.pair)
        return _of_lists(record) | {"source": file.name, "sha256": row.sha256}
    if outcome.rejected:
        raise UnusablePair(outcome.rejected.rule, outcome.rejected.reason)
    changes = [change.after for change in outcome.changes if change.rule == "rejected-answer"]
    raise UnusablePair("rejected-answer", changes[-1] if changes else "there is one answer alone")


def _of_lists(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pair of cleaning as ours: the first turn of each side is the reply."""
    sides = {side: record[side][0] for side in SIDES}
    known = {key: record[key] for key in ("id", "tools") if key in record}
    return {**known, "messages": record["prompt"], **sides}


def _typed(pair: ReplyPair) -> ReplyPair:
    """Return a pair with its kind: what it says, or what the scorer finds wrong."""
    if pair.kind in TYPES:
        return pair
    kind = failure_of(pair.chosen, pair.rejected, pair.prompt.tools)
    return replace(pair, kind=kind or USER)


def negative_pairs(cleaned_file: Path, tally: PairTally) -> Iterator[ReplyPair]:
    """Yield what cleaning found wrong beside what is right.

    Pairs are the negatives with the answer of a kept row, both answers of rows that hold two, and
    calls as they stood before they were repaired. `cleaned_file` is what clean_dataset.py saved, or
    its NAME.pairs.jsonl alone.
    """
    alone = cleaned_file.name.endswith(PAIRS_ENDING)
    pairs_file = cleaned_file if alone else pairs_beside(cleaned_file)
    report = cleaned_file.with_suffix(".report.json")
    if not pairs_file.is_file() and (alone or not report.is_file()):
        raise FileNotFoundError(
            f"{cleaned_file}: neither {pairs_file.name} nor {report.name} stands beside it; make "
            "them with: python scripts/clean_dataset.py --source-file RAW --negatives pair "
            f"--save-file {shell_quote(cleaned_file)}"
        )
    if pairs_file.is_file():
        yield from _joined(pairs_file, tally)
    if not alone and report.is_file():
        yield from _repaired(cleaned_file, report, tally)


def _joined(pairs_file: Path, tally: PairTally) -> Iterator[ReplyPair]:
    made_by = {"from": "negatives", "file": pairs_file.name}
    for row in read_rows(pairs_file):
        tally.read += 1
        try:
            pair = ReplyPair.from_record(_of_lists(row.value))
        except UnusablePair as why:
            tally.leave_out(why.rule, f"{pairs_file.name} {row.place}", str(why))
            continue
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"{pairs_file}: {row.place} is no pair of scripts/clean_dataset.py ({error!r}); "
                "pairs of another layout are read with --from user"
            ) from None
        pair = replace(pair, prompt=named(pair.prompt, row, pairs_file))
        yield replace(_typed(pair), made_by=made_by)


def _repaired(cleaned_file: Path, report: Path, tally: PairTally) -> Iterator[ReplyPair]:
    """Yield a pair for each call that was repaired: as it stood, and as it is now."""
    repairs: dict[str, list[Any]] = defaultdict(list)
    for entry in json.loads(report.read_text(encoding="utf-8"))["repairs"]:
        if entry["rule"] in REPAIRS_OF_CALLS and entry["pointer"].startswith("/messages/"):
            repairs[entry["id"]].append(entry)
    made_by = {"from": "negatives", "file": cleaned_file.name, "report": report.name}
    for conversation in read_conversations(cleaned_file) if repairs else ():
        by_turn: dict[int, list[Any]] = defaultdict(list)
        for entry in repairs.get(conversation.id, ()):
            by_turn[int(entry["pointer"].split("/")[2])].append(entry)
        for place, entries in by_turn.items():
            tally.read += 1
            try:
                yield replace(_before(conversation, place, entries), made_by=made_by)
            except UnusablePair as why:
                tally.leave_out(why.rule, f"{conversation.id}/{place}", str(why))


def _before(conversation: Conversation, place: int, entries: list[Any]) -> ReplyPair:
    """Return the pair of a repaired turn; UnusablePair where it is not what the report says."""
    record = copy.deepcopy(conversation.to_record())
    try:
        chosen = copy.deepcopy(record["messages"][place])
        for entry in reversed(entries):
            _put_back(record, entry)
        rejected = record["messages"][place]
    except (LookupError, ValueError, TypeError) as error:
        raise UnusablePair("no-layout", f"the report is of another file: {error!r}") from None
    asked = conversation.to_record() | {"id": f"{conversation.id}/{place}"}
    asked["messages"] = asked["messages"][:place]
    asked |= {"chosen": chosen, "rejected": rejected}
    return _typed(ReplyPair.from_record(asked))


def _put_back(record: Any, entry: Mapping[str, Any]) -> None:
    """Undo one repair in place; ValueError where the place does not hold what it led to."""
    *steps, last = (
        s.replace("~1", "/").replace("~0", "~") for s in entry["pointer"].split("/")[1:]
    )
    holder = record
    for step in steps:
        holder = holder[int(step) if isinstance(holder, list) else step]
    key = int(last) if isinstance(holder, list) else last
    if holder[key] != entry["after"]:
        raise ValueError(f"{entry['pointer']} is no {entry['after']!r}"[:200])
    holder[key] = entry["before"]


@dataclass(frozen=True)
class JudgedRow:
    """One row of a file of verdicts: a prompt, a reply to it, and whether it is right."""

    prompt: Conversation
    reply: Message
    right: bool
    kind: str


# The right and the wrong replies to one prompt, by what they say.
Sides = tuple[dict[str, JudgedRow], dict[str, JudgedRow]]


def reply_pairs(verdicts_file: Path, most: int, seed: int, tally: PairTally) -> Iterator[ReplyPair]:
    """Yield at most `most` pairs of a right and a wrong reply to each prompt, all different.

    Replies are taken in an order that the seed decides, so that each is in as few pairs as it can.
    """
    prompts: dict[str, Sides] = {}
    for row in read_rows(verdicts_file):
        try:
            judged = _judged(row, verdicts_file)
        except UnusablePair as why:
            tally.leave_out(why.rule, f"row {row.index} ({row.place})", str(why))
            continue
        sides: Sides = ({}, {})
        side = prompts.setdefault(content_sha256(judged.prompt), sides)[not judged.right]
        if len(side) < MOST:
            side.setdefault(str(said(judged.reply)), judged)
    made_by = {"from": "replies", "file": verdicts_file.name, "seed": seed}
    for sha256, (right, wrong) in prompts.items():
        tally.read += 1
        if not right or not wrong:
            known = next(iter((right or wrong).values()))
            which = "right" if right else "wrong"
            tally.leave_out("one-sided", known.prompt.id, f"all of its replies are {which}")
            continue
        dice = Dice(seed, sha256)
        chosen, rejected = (dice.shuffled(list(side.values())) for side in (right, wrong))
        for number, (good, bad) in enumerate(_crossed(chosen, rejected, most)):
            prompt = replace(bad.prompt, id=f"{bad.prompt.id}/pair-{number}")
            pair = ReplyPair(prompt, good.reply, bad.reply, bad.kind, made_by)
            try:
                check_pair(pair)
                yield pair
            except UnusablePair as why:
                tally.leave_out(why.rule, pair.id, str(why))


def _crossed(
    right: Sequence[JudgedRow], wrong: Sequence[JudgedRow], most: int
) -> Iterator[tuple[JudgedRow, JudgedRow]]:
    """Yield pairs of a right and a wrong reply, each combination once, all replies evenly."""
    longer, shorter = max(len(right), len(wrong)), min(len(right), len(wrong))
    for number in range(min(most, longer * shorter)):
        long = number % longer
        short = (long + number // longer) % shorter
        good, bad = (long, short) if len(right) == longer else (short, long)
        yield right[good], wrong[bad]


def _judged(row: RawRow, file: Path) -> JudgedRow:
    value = row.value
    if not isinstance(value, Mapping) or not isinstance(value.get("right"), bool):
        raise UnusablePair("not-canonical", "wanted a reply, and right as true or false")
    try:
        prompt = Conversation.from_record(value)
    except ValueError as error:
        raise UnusablePair("not-canonical", str(error)) from None
    kind = value.get("kind")
    return JudgedRow(
        replace(
            prompt,
            id=prompt.id or f"{file.stem}-{row.index}",
            source=prompt.source or file.name,
            sha256=prompt.sha256 or row.sha256,
        ),
        read_reply(value, "reply"),
        value["right"],
        kind if kind in TYPES else USER,
    )
