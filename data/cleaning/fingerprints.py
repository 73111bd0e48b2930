"""What of a conversation decides whether another says the same: digests and a sketch."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from chat.conversation import Conversation, Message
from data.cleaning.similarity import sketch, words_of

_NUMBER = re.compile(r"[0-9]+")
_ENCODER = json.JSONEncoder(sort_keys=True)


@dataclass(frozen=True)
class Label:
    """What is called after a prompt: digests of the tools and turns before, and of the calls."""

    prompt: bytes
    calls: bytes


@dataclass(frozen=True)
class Fingerprint:
    """A conversation as far as comparing goes.

    messages, tools: Digests of what is said and of what is declared, without ids and the order of
        keys.
    labels: One for each turn that calls.
    meaning: A digest of all calls and of the numbers that are mentioned; conversations that are
        near duplicates have it in common.
    sketch: What data.cleaning.similarity compares.
    """

    messages: bytes
    tools: bytes
    labels: tuple[Label, ...]
    meaning: bytes
    sketch: bytes


def fingerprint(conversation: Conversation) -> Fingerprint:
    """Return the fingerprint of a conversation."""
    tools = _digest(sorted(tool.sorted_json_text for tool in conversation.tools))
    said, so_far = blake2b(digest_size=16), blake2b(tools, digest_size=16)
    labels: list[Label] = []
    texts: list[str] = []
    for message in conversation.messages:
        calls = _call_texts(message)
        if calls:
            labels.append(Label(so_far.digest(), _digest(calls)))
        turn = _turn_text(message, calls).encode()
        said.update(turn)
        so_far.update(turn)
        texts += (message.role, message.content)
    text = "\n".join(texts)
    numbers = _NUMBER.findall(text)
    meaning = _digest([*(label.calls.hex() for label in labels), *numbers])
    return Fingerprint(said.digest(), tools, tuple(labels), meaning, sketch(words_of(text)))


def turn_text(message: Message) -> str:
    """Return a text that two turns have in common where they say and call the same."""
    return _turn_text(message, _call_texts(message))


def _turn_text(message: Message, calls: Sequence[str]) -> str:
    size = str(len(message.content))
    return "\x00".join((message.role, size, message.content, *calls, ""))


def _call_texts(message: Message) -> list[str]:
    return sorted(_ENCODER.encode([c.name, _plain(c.arguments)]) for c in message.tool_calls)


def _plain(value: Any) -> Any:
    """Return a JSON value with 5.0 as 5, which are the same number."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _digest(texts: Iterable[str]) -> bytes:
    return blake2b("\x00".join(texts).encode(), digest_size=16).digest()
