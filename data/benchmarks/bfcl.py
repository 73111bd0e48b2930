"""Questions of the Berkeley Function Calling Leaderboard, read from the benchmark's own files.

A BFCL row is `{"id", "question": [[message, ...], ...], "function": [...]}`, one list of messages
a turn; rows of several turns have no `function`. Their tools write `dict`, `tuple`, `HashMap`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.conversation import Tool
from data.outcomes import Rejected
from data.reading.declarations import read_tools
from data.reading.rows import RawRow, read_rows


@dataclass(frozen=True)
class Question:
    """What a benchmark asks: the user's texts, turn by turn, and the tools where they are known."""

    id: str
    texts: tuple[str, ...]
    tools: tuple[Tool, ...] = ()


def read_questions(path: Path | str) -> Iterator[Question]:
    """Yield the questions of a BFCL file; ValueError says what is wrong and where."""
    for row in read_rows(path):
        if isinstance(row.value, dict) and "ground_truth" in row.value:
            raise ValueError(
                f"{path} holds the answers of a benchmark; name the file of its questions"
            )
        if not recognises(row.value):
            raise ValueError(
                f"{path}: row {row.index} ({row.place}) is no question of BFCL, wanted "
                '{"id": "...", "question": [[{"role": "user", "content": "..."}]], "function": []}'
            )
        yield _question(row, path)


def recognises(row: Any) -> bool:
    """Whether a row is a question of BFCL."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("question"), list)
        and all(isinstance(turn, list) for turn in row["question"])
    )


def _question(row: RawRow, path: Path | str) -> Question:
    texts = tuple(
        message["content"]
        for turn in row.value["question"]
        for message in turn
        if isinstance(message, dict)
        and message.get("role") == "user"
        and isinstance(message.get("content"), str)
    )
    try:
        tools = read_tools(row.value.get("function"), "/function").tools
    except Rejected as problem:
        raise ValueError(f"{path}: row {row.index} ({row.place}): {problem.reason}") from problem
    return Question(str(row.value.get("id", row.index)), texts, tools)
