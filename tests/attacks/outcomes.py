"""What became of attacks: one word for each, a table of all, a file of results."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from attacks.children import Ended

# An attack ends in one of these; a run of attacks has failed where one of FAILURES occurs.
#   detected         an error of one line, and exit code 1 or 2
#   recovered        the work was interrupted, done again, and gave what it gives undisturbed
#   set aside        exit code 0, the damage is told, and weights are those of an undisturbed run
#   same result      exit code 0, and the outputs of an undisturbed run
#   another input    exit code 0 and other outputs: a file that only its owner can know was changed
#   used in silence  exit code 0 and other outputs, or other weights after a run was resumed
#   traceback        an error nobody foresaw, a crash, or a command that did not end
OUTCOMES = (
    *("detected", "recovered", "set aside", "same result"),
    *("another input", "used in silence", "traceback"),
)
FAILURES = ("used in silence", "traceback")
UNFORESEEN = ("Traceback (most recent call last)", "run again with --debug for the traceback")


@dataclass(frozen=True)
class Outcome:
    """One attack: which of its kind, upon what, what it did, and what became of it.

    `peak_bytes` is the largest memory that the command took above what it had at its start, where
    it was measured.
    """

    kind: str
    number: int
    target: str
    what: str
    outcome: str
    detail: str = ""
    peak_bytes: int = 0

    @property
    def failed(self) -> bool:
        return self.outcome in FAILURES


def is_traceback(ended: Ended) -> bool:
    """Return whether a command ended as none should: by a signal, hanging, or with a traceback."""
    told = any(mark in ended.error or mark in ended.out for mark in UNFORESEEN)
    return told or ended.code not in (0, 1, 2)


def last_line(ended: Ended) -> str:
    """Return the last line that a command wrote, with its exit code."""
    lines = (ended.error.strip() or ended.out.strip()).splitlines()
    return f"exit {ended.code}: {lines[-1] if lines else 'nothing printed'}"[:400]


def format_table(outcomes: Iterable[Outcome]) -> str:
    """Return a line for each kind of attack, with the number of each outcome."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(outcome.kind, Counter())[outcome.outcome] += 1
    rows = [("kind", "attacks", *OUTCOMES)]
    for kind, found in counts.items():
        rows.append((kind, str(found.total()), *(str(found[name]) for name in OUTCOMES)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def format_peak(outcomes: Iterable[Outcome]) -> str:
    """Return which attack's command took the most memory, and how much; nothing where none did."""
    measured = [outcome for outcome in outcomes if outcome.peak_bytes]
    if not measured:
        return ""
    most = max(measured, key=lambda outcome: outcome.peak_bytes)
    return (
        f"largest memory above the start, of {len(measured)} {most.kind}: "
        f"{most.peak_bytes / 1e6:.0f} MB ({most.number}: {most.target}; {most.what})"
    )


def write_results(path: Path, seed: int, seconds: float, outcomes: Iterable[Outcome]) -> None:
    """Write the table's numbers and every attack as JSON."""
    found = list(outcomes)
    counts: dict[str, dict[str, int]] = {}
    for outcome in found:
        row = counts.setdefault(outcome.kind, dict.fromkeys(OUTCOMES, 0))
        row[outcome.outcome] += 1
    record = {
        "seed": seed,
        "seconds": round(seconds, 1),
        "counts": counts,
        "attacks": [asdict(outcome) for outcome in found],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
