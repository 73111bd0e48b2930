"""Clean a file of raw rows: each is kept, repaired or rejected by a named rule, and counted.

The files of a directory are cleaned as one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from console.progress import byte_bar
from data.cleaning.audit import Audit, Outcome
from data.cleaning.clean_row import Settings, clean_row
from data.cleaning.leakage import load_benchmark
from data.cleaning.pair_file import PairCollector, pairs_beside
from data.cleaning.repetition import EarlierConversations
from data.cleaning.rules import KEPT_WITH, MEANINGS
from data.cleaning.sources import common_layout, describe_source
from data.outcomes import Rejected
from data.parallel import in_order
from data.reading import RawRow
from data.reading.files import files_of
from data.reading.row_size import bytes_of
from data.reading.rows import Line, counted, read_unparsed
from storage.atomic import new_file

# Settings that the report describes in a place of their own.
FILES = ("exclude_benchmark", "tools_file")
# How errors call the file whose name follows from the output's.
PAIRS = "the pairs beside --save-file"


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
    pairs_file = pairs_beside(output)
    files = files_of(source)
    outputs = {"--save-file": output, "--report-file": report, PAIRS: pairs_file}
    _check_files(files, outputs)
    benchmark = load_benchmark(settings.exclude_benchmark)
    layout = common_layout(files, format, settings.skip_malformed)
    about = {
        "source": describe_source(source, files, layout),
        "settings": {key: value for key, value in vars(settings).items() if key not in FILES},
        "benchmarks": benchmark.files,
    }
    if settings.tools_file:
        about["tools_file"] = settings.tools_file.describe()
    with (
        new_file(output) as new_output,
        closing(Audit(MEANINGS, layout, output.parent, KEPT_WITH)) as audit,
        closing(PairCollector(output.parent, settings.negatives)) as pairs,
    ):
        with new_output.open("wb") as stream:
            position = 0
            for outcome in _clean_files(files, layout, settings):
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


def _clean_files(files: Sequence[Path], layout: str, settings: Settings) -> Iterator[Outcome]:
    """Yield what becomes of each row of all files, with a progress bar."""
    passes = 2 if settings.contradictions == "drop" else 1
    with byte_bar("Cleaning", passes * sum(file.stat().st_size for file in files)) as advance:
        # A generator opens its file when its first row is wanted.
        parts = [
            {
                file.name: counted(read_unparsed(file, settings.skip_malformed), advance)
                for file in files
            }
            for _ in range(passes)
        ]
        yield from clean(parts[-1], layout, settings, *parts[:-1])


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
    changes = outcome.changes if outcome.pair else ()
    return replace(outcome, line="", changes=changes, rejected=rejected)


def _check_files(sources: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Raise ValueError where one file stands for two, and where an output is a directory."""
    for source in sources:
        named: dict[Path, str] = {}
        for flag, file in {"--source-file": source, **outputs}.items():
            other = named.setdefault(file.resolve(), flag)
            if other != flag:
                raise ValueError(f"{other} and {flag} both name {file}; choose another")
    for flag, file in outputs.items():
        if file.is_dir():
            raise ValueError(f"{flag} {file} is a directory; name a file in it")
