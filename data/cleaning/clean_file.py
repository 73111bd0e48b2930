"""Clean a file of raw rows: each is kept, repaired or rejected by a named rule, and counted.

The files of a directory are cleaned as one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from chat.conversation import Conversation
from console.progress import byte_bar
from data.cleaning.audit import Audit, Outcome
from data.cleaning.balancing import balance
from data.cleaning.fingerprints import fingerprint
from data.cleaning.leakage import load_benchmark
from data.cleaning.repetition import EarlierConversations
from data.cleaning.rules import MEANINGS, RULES
from data.cleaning.supplied_tools import SuppliedTools
from data.conversations import json_line
from data.outcomes import Change, Draft, Rejected
from data.parallel import in_order
from data.reading import RawRow, detect_format, find_source
from data.reading.files import files_of
from data.reading.row_size import bytes_of
from data.reading.rows import Line, counted, parsed, read_unparsed
from storage.atomic import new_file
from storage.manifest import sha256_of_file

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
    tools_file: SuppliedTools | None = None

    def __post_init__(self) -> None:
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
    files = files_of(source)
    for file in files:
        _check_distinct_files({"source": file, "save": output, "report": report})
    for flag, file in (("save", output), ("report", report)):
        if file.is_dir():
            raise ValueError(f"--{flag}-file {file} is a directory; name a file in it")
    benchmark = load_benchmark(settings.exclude_benchmark)
    layout = _common_layout(files, format, settings.skip_malformed)
    about: dict[str, Any] = {
        "source": _describe_source(source, files, layout),
        "settings": {key: value for key, value in asdict(settings).items() if key not in FILES},
        "benchmarks": benchmark.files,
    }
    if settings.tools_file:
        about["tools_file"] = settings.tools_file.describe()
    with new_file(output) as new_output, closing(Audit(MEANINGS, layout, output.parent)) as audit:
        with (
            byte_bar("Cleaning", sum(file.stat().st_size for file in files)) as advance,
            new_output.open("w", encoding="utf-8", newline="\n") as stream,
        ):
            # A generator opens its file when its first row is wanted.
            parts = {
                file.name: counted(read_unparsed(file, settings.skip_malformed), advance)
                for file in files
            }
            for outcome in clean(parts, layout, settings):
                audit.add(outcome)
                stream.write(outcome.line)
        with new_file(report) as new_report:
            audit.write(new_report, about)
        if audit.rejected == audit.input:
            raise ValueError(
                f"{source}: none of {audit.input} rows can be used, most of them for "
                f"{audit.most_frequent_rejection()}; {report} says why for each"
                + (f". {warning}" if (warning := audit.warning()) else "")
            )
    return audit, report


def clean(
    parts: Mapping[str, Iterable[RawRow | Line]], layout: str, settings: Settings
) -> Iterator[Outcome]:
    """Yield what becomes of each row, in order; rows are read and judged on all cores.

    `parts` holds the rows of each file under its name; they are numbered through all files.
    """
    with closing(EarlierConversations()) as earlier:
        first = 0
        for name, rows in parts.items():
            judge = partial(
                clean_row, layout=layout, source_name=name, settings=settings, first=first
            )
            for outcome in in_order(judge, rows, size=bytes_of):
                yield _unless_repeated(outcome, earlier, layout)
                first = outcome.index + 1


def _unless_repeated(outcome: Outcome, earlier: EarlierConversations, layout: str) -> Outcome:
    """Return the outcome of a row, which is a rejection where an earlier row holds the same."""
    if outcome.fingerprint is None:
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
        draft = _judged(row, layout, settings)
    except Rejected as rejected:
        return replace(outcome, rejected=rejected)
    except RecursionError:
        reason = "values stand in one another too many levels deep"
        return replace(outcome, rejected=Rejected("nested-too-deeply", "", reason))
    found, changes = fingerprint(draft.conversation), draft.changes
    if settings.balance:
        draft = balance(draft.conversation, settings.seed)
        changes += draft.changes
    conversation = replace(draft.conversation, id=outcome.id, source=source_name, sha256=row.sha256)
    return replace(outcome, line=json_line(conversation), fingerprint=found, changes=changes)


def _judged(row: RawRow, layout: str, settings: Settings) -> Draft:
    draft = _read(row, layout)
    if settings.tools_file:
        draft = settings.tools_file.add_to(draft)
    draft = _apply_rules(draft)
    if settings.remove_no_fc and not draft.conversation.tools:
        excerpt = draft.conversation.messages[0].content
        raise Rejected("no-functions", "/tools", "no function is declared", excerpt)
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


def _apply_rules(draft: Draft) -> Draft:
    conversation: Conversation = draft.conversation
    changes: tuple[Change, ...] = draft.changes
    for rule in RULES:
        draft = rule(conversation)
        conversation, changes = draft.conversation, changes + draft.changes
    return Draft(conversation, changes)


def _common_layout(files: Sequence[Path], format: str, skip_malformed: bool) -> str:
    """Return the layout of all files; ValueError where their first rows have two."""
    layouts = [with_layout(read_unparsed(file, skip_malformed), file, format)[1] for file in files]
    for file, layout in zip(files, layouts, strict=True):
        if layout != layouts[0]:
            raise ValueError(
                f"{file} has the layout {layout}, and {files[0].name} beside it {layouts[0]}; "
                "clean each by itself, or name one layout with --format"
            )
    return layouts[0]


def _describe_source(source: Path, files: Sequence[Path], layout: str) -> dict[str, Any]:
    if not source.is_dir():
        return {"file": source.name, "sha256": sha256_of_file(source), "format": layout}
    named = [{"file": file.name, "sha256": sha256_of_file(file)} for file in files]
    return {"directory": source.resolve().name, "files": named, "format": layout}


def with_layout(
    rows: Iterator[RawRow | Line], source: Path, format: str
) -> tuple[Iterator[RawRow | Line], str]:
    """Return all rows, and the layout that was named or that the first readable row has."""
    if format != "auto":
        find_source(format)
    looked_at = []
    for row in map(parsed, rows):
        looked_at.append(row)
        if row.problem is None:
            break
    else:
        count = len(looked_at)
        raise ValueError(f"{source} holds no row that can be read ({count} malformed lines)")
    if format == "auto":
        try:
            format = detect_format(looked_at[-1].value)
        except ValueError as error:
            raise ValueError(f"{source}, {looked_at[-1].place}: {error}") from error
    return chain(looked_at, rows), format


def _check_distinct_files(files: dict[str, Path]) -> None:
    named: dict[Path, str] = {}
    for flag, file in files.items():
        other = named.setdefault(file.resolve(), flag)
        if other != flag:
            raise ValueError(f"--{other}-file and --{flag}-file both name {file}; choose another")
