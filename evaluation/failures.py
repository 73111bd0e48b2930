"""What kind of mistake a wrong reply is, read from the results of scripts/evaluate.py."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NO_TOOL_WANTED = "called where none is wanted"
COULD_CALL = "asked where it could call"
BROKEN = "cut off or garbled where a call is wanted"
EMPTY = "empty reply"
UNREADABLE = "not read as a call"
WRONG_TOOL = "wrong tool"
MISSING = "missing argument"
NEEDLESS = "needless argument"
WRONG_VALUE = "wrong value"
TYPES = (
    *(WRONG_TOOL, MISSING, NEEDLESS, WRONG_VALUE),
    *(NO_TOOL_WANTED, COULD_CALL, BROKEN, UNREADABLE, EMPTY),
)


def failure_type(verdict: Mapping[str, Any]) -> str | None:
    """Return which of TYPES a verdict's record is, the first that applies; None where it is right.

    The tools are wrong also where there are calls too few or too many. A reply with the tools
    wanted lacks an argument, has one too many, or a wrong value.
    """
    if verdict["verdict"]:
        return None
    if verdict["empty"]:
        return EMPTY
    if not verdict["should_call"]:
        return NO_TOOL_WANTED
    if not verdict["called"]:
        return BROKEN if is_broken(verdict) else COULD_CALL
    if not verdict.get("readable", True):
        return UNREADABLE
    if not verdict.get("names_right", False):
        return WRONG_TOOL
    wanted, found = verdict["arguments_wanted"], verdict["arguments_found"]
    if found == wanted:
        return WRONG_VALUE
    return MISSING if found < wanted else NEEDLESS


def is_broken(verdict: Mapping[str, Any]) -> bool:
    """Return whether a verdict's record is of a text that a limit cut off, or that is garbled.

    Garbled is what holds U+FFFD, which stands for bytes that are no text.
    """
    return not verdict["called"] and (verdict["cut_off"] or "\ufffd" in verdict["text"])


def read_verdicts(results_file: Path | str) -> list[dict[str, Any]]:
    """Return the records of all verdicts that a results file holds."""
    verdicts: list[dict[str, Any]] = json.loads(Path(results_file).read_text("utf-8"))["verdicts"]
    return verdicts


def count_failures(results_file: Path | str) -> dict[str, int]:
    """Return how many failures of each of TYPES a results file holds, those it has none of too."""
    counts = Counter(map(failure_type, read_verdicts(results_file)))
    return {name: counts[name] for name in TYPES}


def failures_line(counts: Mapping[str, int]) -> str:
    """Return the counts as a line, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count} {name}" for name, count in ranked if count) or "no failures"
