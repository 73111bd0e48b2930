"""Answers of a server, kept one by one as they arrive, so that a run that was cut off goes on.

JSON Lines; a line is one answer under the sha256 of all that was asked. A line that was cut off
in the middle is passed over.
"""

import json
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from evaluation.items import call_record
from inference.chat_model import Answer
from storage.lines import append_line


class AnswerLog:
    """A file of answers; those of an earlier run are `kept`, and new ones are added."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = Lock()

    @cached_property
    def kept(self) -> dict[str, Answer]:
        """The answers that were in the file when this was first read, by what was asked."""
        lines = self.file.read_bytes().splitlines() if self.file.exists() else []
        return dict(found for line in lines if (found := _read(line)) is not None)

    @staticmethod
    def beside(output_file: Path | str) -> "AnswerLog":
        """Return the log of a run that writes its results to this file."""
        path = Path(output_file).expanduser()
        return AnswerLog(path.with_name(f"{path.name}.answers.jsonl"))

    def add(self, key: str, answer: Answer) -> None:
        """Append an answer; it is in the file when this returns."""
        reply = answer.reply
        record = {
            "key": key,
            "text": answer.text,
            "whole": answer.whole,
            "content": reply.content,
            "problem": reply.problem,
            "calls": [call_record(call) for call in reply.tool_calls],
        }
        # ASCII alone, because a reply may hold half a surrogate pair.
        with self._lock:
            append_line(self.file, json.dumps(record))

    def remove(self) -> None:
        """Remove the file; called when the results are written."""
        self.file.unlink(missing_ok=True)


def _read(line: bytes) -> tuple[str, Answer] | None:
    try:
        record: dict[str, Any] = json.loads(line)
        calls = tuple(ToolCall(call["name"], call["arguments"]) for call in record["calls"])
        reply = Reply(record["content"], calls, problem=record["problem"])
        return record["key"], Answer(record["text"], reply, record["whole"])
    except (ValueError, LookupError, TypeError):
        return None
