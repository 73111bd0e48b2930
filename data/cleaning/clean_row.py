"""Judge one row by itself: read it, apply the rules, and say what becomes of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from chat.conversation import Conversation, is_learnt
from data.cleaning.audit import Outcome
from data.cleaning.balancing import balance
from data.cleaning.call_rules import check_formats
from data.cleaning.fingerprints import fingerprint
from data.cleaning.leakage import load_benchmark
from data.cleaning.learnable import check_learnable
from data.cleaning.pair_file import NEGATIVES
from data.cleaning.pairs import pair_line, pair_of
from data.cleaning.repetition import CONTRADICTIONS, DUPLICATES
from data.cleaning.rules import RULES, RULES_OF_CALLS, Rule
from data.cleaning.supplied_tools import SuppliedTools
from data.cleaning.thinking import THINKING, Thinking, settled_thoughts
from data.conversations import json_line
from data.outcomes import Change, Draft, Rejected, records
from data.reading import RawRow, find_source
from data.reading.labels import negative_mark
from data.reading.rows import Line, parsed


@dataclass(frozen=True)
class Settings:
    """What a user chooses; the flags of scripts/clean_dataset.py say what each does."""

    remove_no_fc: bool = False
    balance: bool = False
    seed: int = 3
    skip_malformed: bool = False
    exclude_benchmark: tuple[Path, ...] = ()
    duplicates: str = "near"
    contradictions: str = "first"
    negatives: str = "drop"
    chat_format: str | None = None
    thinking: Thinking = "drop"
    check_formats: bool = False
    tools_file: SuppliedTools | None = None

    def __post_init__(self) -> None:
        for flag, value, known in (
            ("--duplicates", self.duplicates, DUPLICATES),
            ("--contradictions", self.contradictions, CONTRADICTIONS),
            ("--negatives", self.negatives, NEGATIVES),
            ("--thinking", self.thinking, THINKING),
        ):
            if value not in known:
                raise ValueError(f"{flag} is {value!r}, wanted {', '.join(known)}")
        if self.chat_format is not None:
            # Not at the top, as in data/cleaning/learnable.py.
            from chat.formats.known import find_format

            find_format(self.chat_format)
        if not isinstance(self.seed, int):
            raise ValueError(f"--seed is {self.seed!r}, wanted a whole number")


def clean_row(
    unread: RawRow | Line, layout: str, source_name: str, settings: Settings, first: int = 0
) -> Outcome:
    """Judge one row by itself: all rules but those that compare rows.

    `first` is the number of rows in the files before this one.
    """
    row = parsed(unread)
    number = first + row.index
    outcome = Outcome(number, f"{layout}-{number}", row.sha256)
    try:
        return _outcome(row, outcome, layout, source_name, settings)
    except Rejected as rejected:
        return replace(outcome, rejected=rejected)
    except RecursionError:
        reason = "values stand in one another too many levels deep"
        return replace(outcome, rejected=Rejected("nested-too-deeply", "", reason))


def _outcome(
    row: RawRow, outcome: Outcome, layout: str, source_name: str, settings: Settings
) -> Outcome:

    def named(found: Conversation) -> Conversation:
        return Conversation(found.messages, found.tools, outcome.id, source_name, row.sha256)

    if mark := negative_mark(row.value):
        if settings.negatives == "drop":
            raise mark
        shown = _apply_rules(_offered(row, layout, settings), settings, RULES_OF_CALLS)
        line = json_line(named(shown.conversation))
        compared = fingerprint(shown.conversation)
        return replace(
            outcome, fingerprint=compared, negative=line, changes=shown.changes, rejected=mark
        )
    draft = _judged(row, layout, settings)
    changes, pair = draft.changes, ""
    if draft.rejected:
        chosen = replace(draft, conversation=named(draft.conversation))
        pair, noted = _pair(chosen, draft.rejected, settings)
        changes += noted
    compared = fingerprint(draft.conversation)
    if settings.balance:
        balanced = balance(draft.conversation, settings.seed)
        if any(map(is_learnt, balanced.conversation.messages)):
            draft, changes = balanced, changes + balanced.changes
    check_learnable(draft.conversation, settings.chat_format)
    line = json_line(named(draft.conversation))
    about = (outcome.index, outcome.id, outcome.sha256)
    return Outcome(*about, line, compared, changes, pair=pair)


def _pair(chosen: Draft, rejected: Draft, settings: Settings) -> tuple[str, tuple[Change, ...]]:
    """Return the line of a pair of a row's two answers, and the repairs of the rejected one alone.

    Where there is no pair, the line is empty and the only change says why.
    """
    try:
        bad = _apply_rules(rejected, settings, RULES_OF_CALLS)
        check_learnable(bad.conversation, settings.chat_format)
        pair = pair_of(chosen.conversation, bad.conversation)
        reason = "both answers are the same"
    except Rejected as why:
        pair, reason = None, f"{why.rule}: {why.reason}"
    if pair is None:
        answer = records(*rejected.conversation.messages[-1:])
        return "", (Change("rejected-answer", "", answer, reason),)
    known = {(change.rule, change.pointer): change for change in chosen.changes}
    new = (i for i, c in enumerate(bad.changes) if known.get((c.rule, c.pointer)) != c)
    return pair_line(pair), tuple(_of_rejected(bad.changes[i], i, rejected) for i in new)


def _of_rejected(change: Change, place: int, rejected: Draft) -> Change:
    """Return a repair of a rejected answer; what reading it took says where it was in the row."""
    read = place < len(rejected.changes)
    return change if read else replace(change, pointer="/rejected" + change.pointer)


def _judged(row: RawRow, layout: str, settings: Settings) -> Draft:
    draft = _apply_rules(_offered(row, layout, settings), settings)
    if settings.remove_no_fc and not draft.conversation.tools:
        excerpt = draft.conversation.messages[0].content
        raise Rejected("no-functions", "/tools", "no function is declared", excerpt)
    if settings.check_formats:
        check_formats(draft.conversation)
    if settings.exclude_benchmark:
        load_benchmark(settings.exclude_benchmark).check_no_copy(draft.conversation)
    return draft


def _offered(row: RawRow, layout: str, settings: Settings) -> Draft:
    """Read a row, and offer it the tools that the user supplies where it has none."""
    draft = _read(row, layout)
    return settings.tools_file.add_to(draft) if settings.tools_file else draft


def _read(row: RawRow, layout: str) -> Draft:
    if row.problem:
        raise Rejected("malformed-json", "", row.problem, row.text)
    source = find_source(layout)
    if not source.recognises(row.value):
        excerpt = json.dumps(row.value, ensure_ascii=False)
        raise Rejected("wrong-layout", "", f"wanted {source.looks_like}", excerpt)
    return source.read(row.value)


def _apply_rules(draft: Draft, settings: Settings, lenient: Sequence[Rule] = ()) -> Draft:
    """Apply all rules; those that are `lenient` repair what they can and reject nothing."""
    conversation: Conversation = draft.conversation
    changes: tuple[Change, ...] = draft.changes
    settled: Rule = partial(settled_thoughts, thinking=settings.thinking)
    for rule in (settled, *RULES):
        try:
            made = rule(conversation)
        except Rejected:
            if rule not in lenient:
                raise
            continue
        conversation, changes = made.conversation, changes + made.changes
    return Draft(conversation, changes, draft.rejected)
