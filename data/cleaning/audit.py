"""The audit of a cleaning: what became of every row, counted by rule and written as JSON."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from rich.table import Table

from data.cleaning.fingerprints import Fingerprint
from data.outcomes import NOTHING_DECLARED, Change, Rejected


@dataclass(frozen=True)
class Outcome:
    """What became of one row: a conversation's line, or the rejection that ended it.

    changes: Repairs; those of a rejected row are what its pair took.
    pair: The line of the pair that a row with two answers holds, whatever became of the row.
    negative: The line of a rejected row that shows what not to do, where pairs are wanted.
    """

    index: int
    id: str
    sha256: str
    line: str = ""
    fingerprint: Fingerprint | None = None
    changes: tuple[Change, ...] = ()
    rejected: Rejected | None = None
    pair: str = ""
    negative: str = ""


# A rule's entry in the report names so many rows; all of them stand among the details.
MOST_IDS = 1000


class Audit:
    """Counts outcomes, and keeps their details in temporary files until the report is written.

    The files are in `folder` and have no name: the system deletes them when the process ends.
    """

    def __init__(
        self,
        meanings: Mapping[str, str],
        id_prefix: str,
        folder: Path,
        kept_with: Mapping[str, str] | None = None,
    ) -> None:
        self.meanings = meanings
        self.kept_with = kept_with or {}
        self.id_prefix = id_prefix
        self.kept = self.repaired = self.rejected = 0
        self.counts: Counter[str] = Counter()
        self.rows: dict[str, list[int]] = {rule: [] for rule in meanings}
        self.rejected_by: Counter[str] = Counter()
        self.calling = self.without_schemas = 0
        self.files = ExitStack()
        self.details = {name: self._temporary_file(folder) for name in ("rejections", "repairs")}

    def _temporary_file(self, folder: Path) -> IO[str]:
        return self.files.enter_context(tempfile.TemporaryFile("w+", encoding="ascii", dir=folder))

    @property
    def input(self) -> int:
        """How many rows there were."""
        return self.kept + self.repaired + self.rejected

    def add(self, outcome: Outcome) -> None:
        """Count one row; a rejected row counts for its rejection, and for repairs of its pair."""
        row = {"id": outcome.id, "row": outcome.index, "sha256": outcome.sha256}
        if outcome.rejected:
            reason = outcome.rejected
            self.rejected += 1
            self.rejected_by[reason.rule] += 1
            self._count(reason.rule, outcome.index)
            self.without_schemas += reason.reason.endswith(NOTHING_DECLARED)
            details = {
                "rule": reason.rule,
                "pointer": reason.pointer,
                "reason": reason.reason,
                "excerpt": reason.excerpt,
            }
            print(json.dumps({**row, **details}), file=self.details["rejections"])
        else:
            self.repaired += bool(outcome.changes)
            self.kept += not outcome.changes
            self.calling += outcome.fingerprint is not None and bool(outcome.fingerprint.labels)
        for rule in dict.fromkeys(change.rule for change in outcome.changes):
            self._count(rule, outcome.index)
        for change in outcome.changes:
            print(json.dumps({**row, **asdict(change)}), file=self.details["repairs"])

    def _count(self, rule: str, row: int) -> None:
        self.counts[rule] += 1
        if len(self.rows[rule]) < MOST_IDS:
            self.rows[rule].append(row)

    def write(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write the report; the same rows and settings always give the same bytes."""
        head = {
            "input": self.input,
            "kept": self.kept,
            "repaired": self.repaired,
            "rejected": self.rejected,
            **about,
        }
        rules = {rule: self._rule(rule) for rule in self.meanings}
        # A text from a damaged row may hold half a surrogate pair; JSON can escape it.
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as report:
            report.write("{\n")
            report.writelines(f"{_text(key)}: {_text(value)},\n" for key, value in head.items())
            _write_block(report, "rules", "{}", (f"{_text(r)}: {_text(rules[r])}" for r in rules))
            for name, details in self.details.items():
                details.seek(0)
                report.write(",\n")
                _write_block(report, name, "[]", (_text(json.loads(line)) for line in details))
            report.write("\n}\n")

    def table(self) -> Table:
        """Return the rules that some row met, with how many did."""
        table = Table()
        table.add_column("rule", no_wrap=True)
        table.add_column("rows", justify="right")
        table.add_column("first row", no_wrap=True)
        table.add_column("what it means")
        for rule, meaning in self.meanings.items():
            if count := self.counts[rule]:
                switch = self.kept_with.get(rule)
                meaning += f"; to keep it: {switch}" if switch else ""
                first = f"{self.id_prefix}-{self.rows[rule][0]}"
                table.add_row(rule, f"{count:,}", first, meaning)
        return table

    def summary(self) -> str:
        """Return the sum in one line."""
        return (
            f"{self.input:,} rows: {self.kept:,} kept, {self.repaired:,} repaired, "
            f"{self.rejected:,} rejected"
        )

    @property
    def loses_all_calls(self) -> bool:
        """Whether every conversation that calls a function was lost for want of schemas."""
        return bool(self.without_schemas) and not self.calling

    def warning(self) -> str:
        """Return what share of the calls is lost for want of schemas; empty where none is."""
        if not self.without_schemas:
            return ""
        calling = self.calling + self.without_schemas
        return (
            f"{self.without_schemas / calling:.0%} of the calls are lost: {self.without_schemas:,} "
            f"of {calling:,} conversations that call functions declare none. Supply the schemas "
            "with --tools-file F (OpenAI's list, MCP's tools/list result, or a Python file)"
        )

    def most_frequent_rejection(self) -> str:
        """Return the rule that rejected most rows."""
        return max(self.rejected_by, key=lambda rule: self.rejected_by[rule])

    def _rule(self, rule: str) -> dict[str, Any]:
        count = self.counts[rule]
        ids = [f"{self.id_prefix}-{index}" for index in self.rows[rule]]
        outcome, _, meaning = self.meanings[rule].partition(": ")
        entry: dict[str, Any] = {"outcome": outcome, "count": count, "meaning": meaning}
        if rule in self.kept_with:
            entry["kept_with"] = self.kept_with[rule]
        entry["rows"] = ids
        return entry if count == len(ids) else {**entry, "rows_not_named": count - len(ids)}

    def close(self) -> None:
        """Close the temporary files, which deletes them."""
        self.files.close()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write_block(report: IO[str], name: str, brackets: str, texts: Iterable[str]) -> None:
    """Write a named list or object, one entry a line."""
    report.write(f"{_text(name)}: {brackets[0]}")
    for i, text in enumerate(texts):
        report.write((",\n" if i else "\n") + text)
    report.write("\n" + brackets[1])
