"""What every kind of answer has in common: its events, its token counts, the text of a call."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chat.conversation import ToolCall, to_json
from serving.choices import ReplyPart
from serving.errors import ApiError


@dataclass(frozen=True)
class Usage:
    """The token counts of a prompt and its replies."""

    prompt: int
    completion: int


class Answers(Protocol):
    """Writes what answers one request, whole or as the events of a stream."""

    def opening(self, count: int) -> Iterator[bytes]:
        """Yield the events before `count` replies."""

    def events(self, part: ReplyPart) -> Iterator[bytes]:
        """Yield the events of more of a reply."""

    def closing(self, usage: Usage) -> Iterator[bytes]:
        """Yield the events after all replies."""

    def failure(self, error: ApiError) -> bytes:
        """Return the event of an error, after which none follows."""

    def whole(self, parts: Sequence[ReplyPart], usage: Usage) -> dict[str, Any]:
        """Return all replies as one object."""


def event(record: Mapping[str, Any], name: str | None = None) -> bytes:
    """Return a server-sent event."""
    # Text may hold half a surrogate pair; \u escapes can express it, UTF-8 cannot.
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(record)}\n\n".encode()


def arguments_text(call: ToolCall) -> str:
    """Return the arguments of a call as JSON text."""
    return to_json(dict(call.arguments))
