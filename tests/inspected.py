"""A small dataset to look at: known roles, calls and lengths, in a vocabulary of bytes."""

import base64
from pathlib import Path

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations

WEATHER = Tool("get_weather", "Tell the weather.", {"type": "object", "properties": {"city": {}}})


def byte_tokenizer(file: Path) -> Path:
    """Write a vocabulary of the 256 bytes alone, in Llama 3's file format."""
    lines = [f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256)]
    file.write_text("".join(lines))
    return file


def conversation(number: int) -> Conversation:
    """One call for most, none for every fourth; every tenth is of another source."""
    call = (ToolCall("get_weather", {"city": f"Town {number}"}),)
    asked = Message("user", f"Weather in Town {number}? <b>&</b>")
    answer = (
        [Message("assistant", "Hello!")]
        if number % 4 == 0
        else [
            Message("assistant", "", call),
            Message("tool", '{"sky": "clear"}'),
            Message("assistant", "Clear sky 🙂."),
        ]
    )
    behaviour = "small_talk" if number % 4 == 0 else "single_call"
    source = "other.jsonl" if number % 10 == 0 else "rows.jsonl"
    id = f"synthetic-{behaviour}-{number:06}"
    return Conversation((asked, *answer), (WEATHER,), id, source, f"{number:064x}")


def inspected_dataset(directory: Path, count: int = 40) -> Path:
    """Build a dataset of `count` conversations in `directory` and return where it is."""
    write_conversations(directory / "rows.jsonl", map(conversation, range(count)))
    tokenizer = byte_tokenizer(directory / "bytes.model")
    build_dataset(
        directory / "rows.jsonl", tokenizer, directory / "dataset", Settings(val_ratio=0.3)
    )
    return directory / "dataset"
