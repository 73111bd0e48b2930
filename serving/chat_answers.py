"""The JSON of answers: OpenAI's chat completions, whole or in chunks."""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat.conversation import ToolCall
from inference.streaming import TextDelta
from serving.answers import Usage, arguments_text, event
from serving.choices import Ending, ReplyPart
from serving.errors import ApiError
from serving.requests import ChatRequest


@dataclass(frozen=True)
class ChatAnswers:
    """Writes chat completions."""

    request: ChatRequest
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, parts: Sequence[ReplyPart], usage: Usage) -> dict[str, Any]:
        """Return all replies as one object."""
        replies: dict[int, list[ReplyPart]] = {}
        for part in parts:
            replies.setdefault(part.index, []).append(part)
        logged = bool(self.request.logprobs)
        choices = [_choice(index, replies[index], logged) for index in sorted(replies)]
        return {**self._head("chat.completion"), "choices": choices, "usage": _usage(usage)}

    def opening(self, count: int) -> Iterator[bytes]:
        """Yield an event with the role of each reply."""
        for index in range(count):
            yield self._chunk(index, {"role": "assistant"})

    def events(self, part: ReplyPart) -> Iterator[bytes]:
        """Yield the events of more of a reply; the last one has the reason of its end."""
        said, logprobs = part.said, _logprobs(part.records) if part.records else None
        if isinstance(said, TextDelta):
            yield self._chunk(part.index, {"content": said.text}, logprobs=logprobs)
            return
        if delta := _ending_delta(said):
            yield self._chunk(part.index, delta)
        yield self._chunk(part.index, {}, said.reason, logprobs)

    def closing(self, usage: Usage) -> Iterator[bytes]:
        """Yield the event with the token counts, where it is wanted, and the end."""
        options = self.request.stream_options
        if options is not None and options.include_usage:
            head = self._head("chat.completion.chunk")
            yield event({**head, "choices": [], "usage": _usage(usage)})
        yield b"data: [DONE]\n\n"

    def failure(self, error: ApiError) -> bytes:
        """Return the event of an error."""
        return event(error.to_record())

    def _chunk(
        self,
        index: int,
        delta: Mapping[str, Any],
        reason: str | None = None,
        logprobs: Mapping[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        about = {"created": self.created, "model": self.request.model}
        return {"id": self.id, "object": kind, **about}


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt + usage.completion
    counts = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion}
    return {**counts, "total_tokens": total}


def _logprobs(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"content": list(records), "refusal": None}


def _ending_delta(ending: Ending) -> dict[str, Any]:
    """Return the delta of a reply's last chunk but one; empty where the reply is text alone.

    `tool_call_problem` is no field of OpenAI's: why a text that looks like a call is not one.
    """
    delta: dict[str, Any] = {}
    if ending.calls:
        delta["tool_calls"] = [
            {"index": index, **_call(call)} for index, call in enumerate(ending.calls)
        ]
    return delta if ending.problem is None else {**delta, "tool_call_problem": ending.problem}


def _choice(index: int, parts: Sequence[ReplyPart], logged: bool) -> dict[str, Any]:
    content = "".join(part.said.text for part in parts if isinstance(part.said, TextDelta))
    ending = parts[-1].said
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
    records = [record for part in parts for record in part.records]
    logprobs = _logprobs(records) if logged else None
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": ending.reason,
    }


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
