"""Clean a file of raw rows: each is kept, repaired or rejected by a named rule, and counted.

The files of a directory are cleaned as one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from chat.conversation import Conversation
from chat.formats.known import find_format
from chat.formats.rendering import is_learnt
from console.progress import byte_bar
from data.cleaning.audit import Audit, Outcome
from data.cleaning.balancing import balance
from data.cleaning.call_rules import check_formats
from data.cleaning.fingerprints import fingerprint
from data.cleaning.leakage import load_benchmark
from data.cleaning.learnable import check_learnable
from data.cleaning.pair_file import NEGATIVES, PairCollector
from data.cleaning.pairs import Pair, pair_line, pair_of
from data.cleaning.repetition import CONTRADICTIONS, DUPLICATES, EarlierConversations
from data.cleaning.rules import KEPT_WITH, MEANINGS, RULES, RULES_OF_CALLS, Rule
from data.cleaning.sources import common_layout, describe_source
from data.cleaning.supplied_tools import SuppliedTools
from data.cleaning.thinking import THINKING, Thinking, settled_thoughts
from data.conversations import json_line
from data.outcomes import Change, Draft, Rejected, records
from data.parallel import in_order
from data.reading import RawRow, find_source
from data.reading.files import files_of
from data.reading.labels import negative_mark
from data.reading.row_size import bytes_of
from data.reading.rows import Line, counted, parsed, read_unparsed
from storage.atomic import new_file

# Settings that the report describes in a place of their own.
FILES = ("exclude_benchmark", "tools_file")


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
            find_format(self.chat_format)
        if not isinstance(self.seed, int):
            raise ValueError(f"--seed is {self.seed!r}, wanted a whole number")


def clean_file(
    source_file: Path | str,
    save_file: Path | str,
    report_file: Path | str | None = None,
    format: str = "auto",
    settings: Settings | None = None,
) -> tuple[Audit, Path]:
    """Clean a file into canonical JSON Lines and an audit report; return the audit and its path.

    `source_file` may be a directory: its files are read in the order of their names, and must have
    one layout. Nothing is written when a source cannot be read, only the report when no row can be
    used; both raise ValueError.
    """
    settings = settings or Settings()
    source, output = Path(source_file), Path(save_file)
    report = Path(report_file) if report_file else output.with_suffix(".report.json")
    pairs_file = output.with_suffix(".pairs.jsonl")
    files = files_of(source)
    for file in files:
        _check_distinct_files(
            {"source": file, "save": output, "report": report, "pairs": pairs_file}
        )
    for flag, file in (("save", output), ("report", report)):
        if file.is_dir():
            raise ValueError(f"--{flag}-file {file} is a directory; name a file in it")
    benchmark = load_benchmark(settings.exclude_benchmark)
    layout = common_layout(files, format, settings.skip_malformed)
    about: dict[str, Any] = {
        "source": describe_source(source, files, layout),
        "settings": {key: value for key, value in asdict(settings).items() if key not in FILES},
        "benchmarks": benchmark.files,
    }
    if settings.tools_file:
        about["tools_file"] = settings.tools_file.describe()
    passes = 2 if settings.contradictions == "drop" else 1
    with (
        new_file(output) as new_output,
        closing(Audit(MEANINGS, layout, output.parent, KEPT_WITH)) as audit,
        closing(PairCollector(output.parent, settings.negatives)) as pairs,
    ):
        with (
            byte_bar("Cleaning", passes * sum(file.stat().st_size for file in files)) as advance,
            new_output.open("wb") as stream,
        ):
            # A generator opens its file when its first row is wanted.
            parts = [
                {
                    file.name: counted(read_unparsed(file, settings.skip_malformed), advance)
                    for file in files
                }
                for _ in range(passes)
            ]
            position = 0
            for outcome in clean(parts[-1], layout, settings, *parts[:-1]):
                audit.add(outcome)
                pairs.add(outcome, position)
                position += stream.write(outcome.line.encode())
        with new_output.open("rb") as kept:
            pairs.join_negatives(kept)
        if audit.rejected < audit.input:
            about["pairs"] = _write_pairs(pairs, pairs_file)
        with new_file(report) as new_report:
            audit.write(new_report, about)
        if audit.rejected == audit.input:
            raise ValueError(
                f"{source}: none of {audit.input} rows can be used, most of them for "
                f"{audit.most_frequent_rejection()}; {report} says why for each"
                + (f". {warning}" if (warning := audit.warning()) else "")
            )
    return audit, report


def _write_pairs(pairs: PairCollector, path: Path) -> dict[str, Any]:
    """Write the pairs, where there are some or earlier ones stand there; return their counts."""
    if not pairs.count and not path.exists():
        return pairs.record()
    with new_file(path) as new_pairs, new_pairs.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(pairs.written())
    return {"file": path.name, **pairs.record()}


def clean(
    parts: Mapping[str, Iterable[RawRow | Line]],
    layout: str,
    settings: Settings,
    beforehand: Mapping[str, Iterable[RawRow | Line]] | None = None,
) -> Iterator[Outcome]:
    """Yield what becomes of each row, in order; rows are read and judged on all cores.

    `parts` holds the rows of each file under its name; they are numbered through all files. To
    drop all contradictions, the same rows are read `beforehand` too.
    """
    with closing(EarlierConversations(settings.duplicates, settings.contradictions)) as earlier:
        for outcome in _judged_rows(beforehand or {}, layout, settings):
            if outcome.fingerprint and not outcome.rejected:
                earlier.note_labels(outcome.fingerprint, outcome.index)
        for outcome in _judged_rows(parts, layout, settings):
            yield _unless_repeated(outcome, earlier, layout)


def _judged_rows(
    parts: Mapping[str, Iterable[RawRow | Line]], layout: str, settings: Settings
) -> Iterator[Outcome]:
    first = 0
    for name, rows in parts.items():
        judge = partial(clean_row, layout=layout, source_name=name, settings=settings, first=first)
        for outcome in in_order(judge, rows, size=bytes_of):
            yield outcome
            first = outcome.index + 1


def _unless_repeated(outcome: Outcome, earlier: EarlierConversations, layout: str) -> Outcome:
    """Return the outcome of a row, which is a rejection where an earlier row holds the same."""
    if outcome.fingerprint is None or outcome.rejected:
        return outcome
    found = earlier.find(outcome.fingerprint, outcome.index)
    if found is None:
        return outcome
    rejected = Rejected(found.rule, "", f"{found.how} {layout}-{found.row}", outcome.line)
    return replace(outcome, line="", changes=(), rejected=rejected)


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
    named = partial(replace, id=outcome.id, source=source_name, sha256=row.sha256)
    if mark := negative_mark(row.value):
        if settings.negatives == "drop":
            raise mark
        shown = _apply_rules(_read(row, layout), settings.thinking, RULES_OF_CALLS).conversation
        line = json_line(named(shown))
        return replace(outcome, fingerprint=fingerprint(shown), negative=line, rejected=mark)
    draft = _judged(row, layout, settings)
    changes, pair = draft.changes, ""
    if draft.rejected:
        found = _pair(named(draft.conversation), draft.rejected, settings)
        if isinstance(found, Change):
            changes += (found,)
        else:
            pair = pair_line(found)
    compared = fingerprint(draft.conversation)
    if settings.balance:
        balanced = balance(draft.conversation, settings.seed)
        if any(map(is_learnt, balanced.conversation.messages)):
            draft, changes = balanced, changes + balanced.changes
    check_learnable(draft.conversation, settings.chat_format)
    line = json_line(named(draft.conversation))
    return replace(outcome, line=line, fingerprint=compared, changes=changes, pair=pair)


def _pair(chosen: Conversation, rejected: Conversation, settings: Settings) -> Pair | Change:
    """Return the pair of a row's two answers, or a note that there is none."""
    try:
        bad = _apply_rules(Draft(rejected), settings.thinking, RULES_OF_CALLS).conversation
        check_learnable(bad, settings.chat_format)
        pair = pair_of(chosen, bad)
        reason = "both answers are the same"
    except Rejected as why:
        pair, reason = None, f"{why.rule}: {why.reason}"
    return pair or Change("rejected-answer", "", records(*rejected.messages[-1:]), reason)


def _judged(row: RawRow, layout: str, settings: Settings) -> Draft:
    draft = _read(row, layout)
    if settings.tools_file:
        draft = settings.tools_file.add_to(draft)
    draft = _apply_rules(draft, settings.thinking)
    if settings.remove_no_fc and not draft.conversation.tools:
        excerpt = draft.conversation.messages[0].content
        raise Rejected("no-functions", "/tools", "no function is declared", excerpt)
    if settings.check_formats:
        check_formats(draft.conversation)
    if settings.exclude_benchmark:
        load_benchmark(settings.exclude_benchmark).check_no_copy(draft.conversation)
    return draft


def _read(row: RawRow, layout: str) -> Draft:
    if row.problem:
        raise Rejected("malformed-json", "", row.problem, row.text)
    source = find_source(layout)
    if not source.recognises(row.value):
        excerpt = json.dumps(row.value, ensure_ascii=False)
        raise Rejected("wrong-layout", "", f"wanted {source.looks_like}", excerpt)
    return source.read(row.value)


def _apply_rules(draft: Draft, thinking: Thinking, lenient: Sequence[Rule] = ()) -> Draft:
    """Apply all rules; those that are `lenient` repair what they can and reject nothing."""
    conversation: Conversation = draft.conversation
    changes: tuple[Change, ...] = draft.changes
    settled: Rule = partial(settled_thoughts, thinking=thinking)
    for rule in (settled, *RULES):
        try:
            made = rule(conversation)
        except Rejected:
            if rule not in lenient:
                raise
            continue
        conversation, changes = made.conversation, changes + made.changes
    return replace(draft, conversation=conversation, changes=changes)


def _check_distinct_files(files: dict[str, Path]) -> None:
    named: dict[Path, str] = {}
    for flag, file in files.items():
        other = named.setdefault(file.resolve(), flag)
        if other != flag:
            raise ValueError(f"--{other}-file and --{flag}-file both name {file}; choose another")
