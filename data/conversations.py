"""Canonical conversations as JSON Lines: one object a line, read and written one at a time."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from chat.conversation import Conversation, to_json
from data.reading.rows import RawRow, read_rows
from storage.atomic import new_file


def read_conversations(path: Path | str) -> Iterator[Conversation]:
    """Yield the conversations of canonical JSON Lines, or of a JSON list of such objects.

    Where a row has no id, source or sha256, they are its number, the file's name and the sha256
    of its text. ValueError names the file, the line and what is wrong.
    """
    for row in read_rows(path):
        yield read_conversation(row, Path(path))


def read_conversation(row: RawRow, path: Path) -> Conversation:
    """Read the conversation of one row of `path`."""
    try:
        found = Conversation.from_record(row.value)
    except ValueError as error:
        raise ValueError(
            f"{path}: row {row.index} ({row.place}) is no conversation: {error}; bring other "
            f"layouts into this form with: python scripts/clean_dataset.py --source-file {path} "
            "--save-file F"
        ) from error
    return named(found, row, path)


def named(found: Conversation, row: RawRow, path: Path) -> Conversation:
    """Return a conversation with its row's number, file and sha256 where it has none of its own."""
    if found.id and found.source and found.sha256:
        return found
    return replace(
        found,
        id=found.id or f"{path.stem}-{row.index}",
        source=found.source or path.name,
        sha256=found.sha256 or row.sha256,
    )


def write_conversations(path: Path | str, conversations: Iterable[Conversation]) -> int:
    """Write conversations as canonical JSON Lines and return how many there were."""
    count = 0
    with new_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        for conversation in conversations:
            stream.write(json_line(conversation))
            count += 1
    return count


def json_line(conversation: Conversation) -> str:
    """Return a conversation as one line of JSON, its end included."""
    origin = {"id": conversation.id, "source": conversation.source, "sha256": conversation.sha256}
    fields = [f'"{key}": {to_json(value)}' for key, value in origin.items() if value]
    tools = ", ".join([tool.json_text for tool in conversation.tools])
    messages = ", ".join([message.json_text for message in conversation.messages])
    return "{" + ", ".join([*fields, f'"tools": [{tools}]', f'"messages": [{messages}]']) + "}\n"


def content_sha256(conversation: Conversation) -> str:
    """Return the sha256 of what is said and declared, wherever it came from.

    The order of keys does not count: conversations that differ only there are the same.
    """
    messages = ",".join([message.sorted_json_text for message in conversation.messages])
    tools = ",".join([tool.sorted_json_text for tool in conversation.tools])
    return hashlib.sha256(f'{{"messages":[{messages}],"tools":[{tools}]}}'.encode()).hexdigest()


def fraction(text: str) -> float:
    """Return a number from 0 up to 1 that follows from `text` alone, evenly spread."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
