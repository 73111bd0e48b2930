"""The JSON of answers: OpenAI's responses, whole or as events."""

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from inference.streaming import TextDelta
from serving.answers import Usage, arguments_text, event
from serving.choices import Ending, ReplyPart
from serving.errors import ApiError
from serving.responses_requests import ResponsesRequest


class ResponsesAnswers:
    """Writes the one reply to a request: an item with its text, and one for each call."""

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._id, self._created = f"resp_{secrets.token_hex(12)}", int(time.time())
        self._events = 0
        self._items: list[dict[str, Any]] = []
        self._text: list[str] = []
        self._records: list[dict[str, Any]] = []
        self._message_id: str | None = None
        self._reason: str | None = None

    def opening(self, count: int) -> Iterator[bytes]:
        """Yield the events before the reply."""
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._record("in_progress"))

    def events(self, part: ReplyPart) -> Iterator[bytes]:
        """Yield the events of more of the reply."""
        said = part.said
        self._records += part.records
        if isinstance(said, TextDelta):
            if self._message_id is None:
                yield from self._open_message()
            self._text.append(said.text)
            place = {"item_id": self._message_id, "output_index": 0, "content_index": 0}
            name = "response.output_text.delta"
            yield self._event(name, **place, delta=said.text, logprobs=part.records)
            return
        if self._message_id is None and (said.problem is not None or not said.calls):
            yield from self._open_message()
        if self._message_id is not None:
            yield from self._close_message(said)
        for call in said.calls:
            yield from self._call(call.name, arguments_text(call))
        self._reason = said.reason

    def closing(self, usage: Usage) -> Iterator[bytes]:
        """Yield the event with the whole response."""
        record = self._finished(usage)
        yield self._event(f"response.{record['status']}", response=record)

    def failure(self, error: ApiError) -> bytes:
        """Return the event of an error."""
        told = error.to_record()["error"]
        return self._event("error", **{key: told[key] for key in ("code", "message", "param")})

    def whole(self, parts: Sequence[ReplyPart], usage: Usage) -> dict[str, Any]:
        """Return the response as one object."""
        for part in parts:
            for _ in self.events(part):
                pass
        return self._finished(usage)

    def _event(self, name: str, /, **fields: Any) -> bytes:
        number, self._events = self._events, self._events + 1
        return event({"type": name, "sequence_number": number, **fields}, name)

    def _open_message(self) -> Iterator[bytes]:
        self._message_id = f"msg_{secrets.token_hex(12)}"
        item = self._message("in_progress", [])
        yield self._event("response.output_item.added", output_index=0, item=item)
        place = {"item_id": self._message_id, "output_index": 0, "content_index": 0}
        yield self._event("response.content_part.added", **place, part=_content("", []))

    def _close_message(self, ending: Ending) -> Iterator[bytes]:
        text = "".join(self._text)
        part = _content(text, self._records)
        status = "incomplete" if ending.reason == "length" else "completed"
        item = self._message(status, [part])
        if ending.problem is not None:
            item["tool_call_problem"] = ending.problem
        place = {"item_id": self._message_id, "output_index": 0, "content_index": 0}
        done = {**place, "text": text, "logprobs": self._records}
        yield self._event("response.output_text.done", **done)
        yield self._event("response.content_part.done", **place, part=part)
        yield from self._close(item)

    def _message(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        about = {"id": self._message_id, "type": "message", "status": status}
        return {**about, "role": "assistant", "content": content}

    def _call(self, name: str, arguments: str) -> Iterator[bytes]:
        item = {
            "id": f"fc_{secrets.token_hex(12)}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{secrets.token_hex(12)}",
            "name": name,
            "arguments": arguments,
        }
        index = len(self._items)
        added = {**item, "status": "in_progress", "arguments": ""}
        yield self._event("response.output_item.added", output_index=index, item=added)
        place = {"item_id": item["id"], "output_index": index}
        kind = "response.function_call_arguments"
        yield self._event(f"{kind}.delta", **place, delta=arguments)
        yield self._event(f"{kind}.done", **place, name=name, arguments=arguments)
        yield from self._close(item)

    def _close(self, item: dict[str, Any]) -> Iterator[bytes]:
        index = len(self._items)
        self._items.append(item)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _finished(self, usage: Usage) -> dict[str, Any]:
        status = "incomplete" if self._reason == "length" else "completed"
        why = {"reason": "max_output_tokens"} if status == "incomplete" else None
        record = self._record(status)
        return {**record, "incomplete_details": why, "usage": _usage(usage)}

    def _record(self, status: str) -> dict[str, Any]:
        asked = self._request.model_dump(by_alias=True)
        echoed = ("model", "instructions", "max_output_tokens", "reasoning", "top_logprobs")
        defaults = {
            "tools": [],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "top_p": 1.0,
            "text": {"format": {"type": "text"}},
        }
        given = {key: asked[key] for key in defaults if asked[key] is not None}
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            **{key: asked[key] for key in echoed},
            **defaults,
            **given,
            "output": list(self._items),
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            "usage": None,
            "metadata": {},
        }


def _content(text: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(records)}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    }
