"""Recordings of what the makers' own code writes for the shapes of tests/chat_shapes.py.

A file holds, for each shape, `whole` (the conversation as the maker trains on it) and `prompts`:
for each assistant's turn, by its place, what the model is asked with before it. Either is a text,
an object of `text` and `ids`, or `{"error": ...}`. A prompt is stored as the number of letters
or ids with which the whole begins too, and the rest.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from chat_shapes import SHAPES

from chat.conversation import Conversation

FOLDER = Path(__file__).parents[1] / "chat" / "formats" / "makers"

Text = str | Mapping[str, Any]


def prompts_of(conversation: Conversation) -> Iterator[tuple[int, Conversation]]:
    """Yield the place of each assistant's turn that answers, and the conversation up to it."""
    for place, (before, message) in enumerate(pairwise(conversation.messages), start=1):
        if message.role == "assistant" != before.role:
            yield place, replace(conversation, messages=conversation.messages[:place])


def attempt(write: Callable[[], Text]) -> Text:
    """Return what is written, or the first line of the error."""
    try:
        return write()
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        return {"error": f"{type(error).__name__}: {first}"[:300]}


def record(
    name: str,
    source: Mapping[str, str],
    whole: Callable[[Conversation], Text],
    prompt: Callable[[Conversation], Text] | None = None,
) -> None:
    """Write the recordings of every shape to a file of that name; without `prompt` no prompts."""
    lines = []
    for shape, conversation in SHAPES.items():
        all_of_it = attempt(lambda: whole(conversation))  # noqa: B023
        prompts = {
            str(place): _shortened(attempt(lambda: prompt(before)), all_of_it)  # noqa: B023
            for place, before in prompts_of(conversation)
            if prompt is not None
        }
        row = {"whole": all_of_it, "prompts": prompts}
        lines.append(f"{json.dumps(shape)}: {_compact(row)}")
    head = (
        f'"source": {_compact(source)},\n"shapes_sha256": "{sha256_of_shapes()}",\n"shapes": {{\n'
    )
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    file.write_text("{" + head + ",\n".join(lines) + "}}\n", encoding="utf-8")
    print(f"{file}: {file.stat().st_size:,} bytes")


def read_recordings(name: str) -> dict[str, dict[str, Any]]:
    """Return `whole` and the full `prompts` of each shape; ValueError for other shapes."""
    file = FOLDER / f"{name}.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["shapes_sha256"] != sha256_of_shapes():
        raise ValueError(
            f"{file} records other shapes than tests/chat_shapes.py holds; record them again "
            f"with the script that its source names: {content['source']['script']}"
        )
    return {
        shape: {
            "whole": row["whole"],
            "prompts": {
                int(place): _lengthened(prompt, row["whole"])
                for place, prompt in row["prompts"].items()
            },
        }
        for shape, row in content["shapes"].items()
    }


def sha256_of_shapes() -> str:
    """Return the sha256 of all shapes as JSON text."""
    records = {name: conversation.to_record() for name, conversation in SHAPES.items()}
    return hashlib.sha256(json.dumps(records).encode()).hexdigest()


def sha256_of(file: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _shortened(prompt: Text, whole: Text) -> Any:
    if isinstance(prompt, str):
        return _without_shared(prompt, whole if isinstance(whole, str) else "")
    if "error" in prompt:
        return prompt
    known = whole if isinstance(whole, Mapping) else {}
    return {key: _without_shared(value, known.get(key, ())) for key, value in prompt.items()}


def _without_shared(value: Sequence[Any], whole: Sequence[Any]) -> list[Any]:
    pairs = enumerate(zip(value, whole, strict=False))
    shared = next((i for i, (a, b) in pairs if a != b), min(len(value), len(whole)))
    return [shared, value[shared:]]


def _lengthened(prompt: Any, whole: Text) -> Text:
    if isinstance(prompt, list):
        return _with_shared(prompt, whole if isinstance(whole, str) else "")
    if "error" in prompt:
        return prompt
    known = whole if isinstance(whole, Mapping) else {}
    return {key: _with_shared(value, known.get(key, "")) for key, value in prompt.items()}


def _with_shared(stored: Sequence[Any], whole: Any) -> Any:
    shared, rest = stored
    return whole[:shared] + rest if shared else rest


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
