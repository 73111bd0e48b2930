"""The JSON of answers: OpenAI's chat completions, whole or in chunks."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat.conversation import ToolCall, to_json
from inference.streaming import TextDelta
from serving.choices import Ending


@dataclass(frozen=True)
class Answers:
    """Writes what answers one request."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(
        self, parts: Sequence[Sequence[TextDelta | Ending]], usage: Mapping[str, int]
    ) -> dict[str, Any]:
        """Return all replies as one object; `parts` are those of each."""
        choices = [_choice(index, part) for index, part in enumerate(parts)]
        return {**self._head("chat.completion"), "choices": choices, "usage": dict(usage)}

    def chunk(self, index: int, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        """Return an event with more of a reply."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def usage(self, usage: Mapping[str, int]) -> bytes:
        """Return the event with the token counts."""
        return event({**self._head("chat.completion.chunk"), "choices": [], "usage": dict(usage)})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


DONE = b"data: [DONE]\n\n"


def event(record: Mapping[str, Any]) -> bytes:
    """Return a server-sent event."""
    # Text may hold half a surrogate pair; \u escapes can express it, UTF-8 cannot.
    return f"data: {json.dumps(record)}\n\n".encode()


def usage_record(prompt: int, completion: int) -> dict[str, int]:
    """Return the token counts of a request and its replies."""
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def ending_delta(ending: Ending) -> dict[str, Any]:
    """Return the delta of a reply's last chunk but one; empty where the reply is text alone.

    `tool_call_problem` is no field of OpenAI's: why a text that looks like a call is not one.
    """
    delta: dict[str, Any] = {}
    if ending.calls:
        delta["tool_calls"] = [
            {"index": index, **_call(call)} for index, call in enumerate(ending.calls)
        ]
    return delta if ending.problem is None else {**delta, "tool_call_problem": ending.problem}


def _choice(index: int, parts: Sequence[TextDelta | Ending]) -> dict[str, Any]:
    content = "".join(part.text for part in parts if isinstance(part, TextDelta))
    ending = parts[-1]
    assert isinstance(ending, Ending), "a reply ends with its ending"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not ending.calls else None,
        "refusal": None,
    }
    if ending.calls:
        message["tool_calls"] = [_call(call) for call in ending.calls]
    if ending.problem is not None:
        message["tool_call_problem"] = ending.problem
    return {"index": index, "message": message, "logprobs": None, "finish_reason": ending.reason}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": to_json(dict(call.arguments))}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
