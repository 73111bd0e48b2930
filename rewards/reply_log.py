"""Drawn replies kept one prompt after the other, so that a run that was cut off goes on.

JSON Lines. The first line is the sha256 of all that the replies depend on; each further one has
the place of a prompt and the tokens of its replies. A line that was cut off is passed over.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.chat_model import ChatModel, read_answer, token_limits
from rewards.replies import DrawnReply
from storage.lines import append_line


class ReplyLog:
    """The log beside a file that is to be written: FILE.replies.jsonl."""

    def __init__(self, output_file: Path | str, inputs: Mapping[str, Any]) -> None:
        path = Path(output_file)
        self.file = path.with_name(f"{path.name}.replies.jsonl")
        text = json.dumps(inputs, sort_keys=True, default=str)
        self.key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def read(self, chat_model: ChatModel) -> dict[int, list[DrawnReply]]:
        """Return the replies of an earlier run by the place of their prompt, without logprobs.

        ValueError where that run was asked something else.
        """
        lines = self.file.read_bytes().splitlines() if self.file.exists() else []
        records = [record for line in lines if (record := _read(line)) is not None]
        if not records:
            self.file.unlink(missing_ok=True)
            return {}
        if records[0].get("inputs") != self.key:
            raise ValueError(
                f"{self.file} holds replies of a run that was cut off, with other weights, prompts "
                "or flags; give the same to go on, or remove that file"
            )
        return {
            record["prompt"]: [_reply(tokens, chat_model) for tokens in record["replies"]]
            for record in records[1:]
        }

    def add(self, place: int, replies: Sequence[DrawnReply]) -> None:
        """Append the replies to one prompt; they are in the file when this returns."""
        if not self.file.exists():
            append_line(self.file, json.dumps({"inputs": self.key}))
        record = {"prompt": place, "replies": [reply.tokens for reply in replies]}
        append_line(self.file, json.dumps(record))

    def remove(self) -> None:
        """Remove the file; called when the outputs are written."""
        self.file.unlink(missing_ok=True)


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) else None
    except ValueError:
        return None


def _reply(tokens: Sequence[int], chat_model: ChatModel) -> DrawnReply:
    stops = token_limits(chat_model.format, chat_model.tokenizer)["stop_ids"]
    whole = bool(tokens) and tokens[-1] in stops
    said = tokens[:-1] if whole else tokens
    answer = read_answer(said, whole, chat_model.tokenizer, chat_model.format)
    return DrawnReply(tuple(tokens), (), answer)
