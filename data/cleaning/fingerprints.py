"""What of a conversation decides whether another says the same: digests and a sketch."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from chat.conversation import Conversation, Message
from data.cleaning.similarity import (
    LONG,
    kept_words,
    leasts_of_runs,
    sketch,
    sketch_of,
    word_numbers,
    words_of,
)

# All but the digits 0 to 9 as blanks.
_DIGITS = bytes(byte if byte in b"0123456789" else ord(" ") for byte in range(256))
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
        keys. What is said without any tool is something else: it does not show when not to call.
    prompts: A digest of the tools and turns before each answer to a user.
    labels: One for each turn that calls.
    meaning: A digest of all calls, of the numbers that are mentioned, of which turns are learnt and
        of whether there are tools; conversations that are near duplicates have it in common.
    said: What data.cleaning.similarity compares.
    """

    messages: bytes
    tools: bytes
    prompts: tuple[bytes, ...]
    labels: tuple[Label, ...]
    meaning: bytes
    said: "Said"


@dataclass(frozen=True)
class Said:
    """What the turns say, all but the system's text.

    sketch: The sketch of all of it.
    parts: Sketches that must be alike each by itself: the system's text, the users' turns, and
        where nothing is called the answers.
    asked: The words of the first user's turn, where they are many: a template fills one turn.
    answers: The words of the answers, where they are many and nothing is called.
    """

    sketch: bytes
    parts: tuple[bytes, ...]
    asked: bytes
    answers: bytes


def fingerprint(conversation: Conversation) -> Fingerprint:
    """Return the fingerprint of a conversation."""
    tools = b"".join(sorted([_digest_of_tool(t.sorted_json_text) for t in conversation.tools]))
    tools = blake2b(tools, digest_size=16).digest()
    offered = "tools" if conversation.tools else "no tools"
    messages, so_far = blake2b(offered.encode(), digest_size=16), blake2b(tools, digest_size=16)
    prompts: list[bytes] = []
    labels: list[Label] = []
    role = ""
    for message in conversation.messages:
        calls = _call_texts(message) if message.tool_calls else []
        if message.role == "assistant" and role in ("user", "system", ""):
            prompts.append(so_far.digest())
        if calls:
            labels.append(Label(so_far.digest(), _digest(calls)))
        turn = _turn_text(message, calls).encode()
        messages.update(turn)
        so_far.update(turn)
        if not message.trained:
            messages.update(b"not learnt")
        role = message.role
    text = "\n".join([message.content for message in conversation.messages])
    numbers = text.encode().translate(_DIGITS).decode().split()
    passive = [f"not {i}" for i, m in enumerate(conversation.messages) if not m.trained]
    calls_made = (label.calls.hex() for label in labels)
    meaning = _digest([*calls_made, *numbers, *passive, offered])
    said = _said(conversation.messages, calling=bool(labels))
    return Fingerprint(messages.digest(), tools, tuple(prompts), tuple(labels), meaning, said)


@lru_cache(maxsize=1024)
def _digest_of_tool(text: str) -> bytes:
    # Many rows offer the same functions.
    return _digest([text])


def _said(messages: Sequence[Message], calling: bool) -> Said:
    texts: dict[str, list[str]] = {"system": [], "user": [], "assistant": []}
    for message in messages:
        # Results stand with the answers that are made of them.
        texts["assistant" if message.role == "tool" else message.role].append(message.content)
    words = words_of("\n".join(texts["user"]))
    place = len(words)
    numbers = word_numbers(words + words_of("\n".join(texts["assistant"])))
    users, others = numbers[:place], numbers[place:]
    leasts = leasts_of_runs(numbers, place)
    whole = np.minimum(*leasts) if len(users) and len(others) else leasts[0 if len(users) else 1]
    parts = [_sketch_of_system("\n".join(texts["system"])), sketch_of(leasts[0])]
    long = len(users) >= LONG
    asked = kept_words(word_numbers(words_of(texts["user"][0]))) if long else b""
    if calling:
        return Said(sketch_of(whole), tuple(parts), asked, b"")
    parts.append(sketch_of(leasts[1]))
    return Said(sketch_of(whole), tuple(parts), asked, kept_words(others))


@lru_cache(maxsize=4)
def _sketch_of_system(text: str) -> bytes:
    # Many rows in a row have one system text.
    return sketch(words_of(text))


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
