"""The replies to one request, while the engine generates them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self

from chat.conversation import ToolCall
from chat.formats.call_syntax import NO_CALLS, Reply
from chat.formats.rendering import silent_ids, stop_ids
from chat.strict_json import read_json
from inference.chat_model import ChatModel
from inference.streaming import Event, TextDelta, assemble
from serving.engine import Engine, Failed, Job, NewToken
from serving.errors import ApiError
from serving.forbidden_calls import forbidden_call
from serving.generation_requests import GenerationRequest
from serving.likelihoods import TokenRecords
from serving.reading import ReplyReader


@dataclass(frozen=True)
class Ending:
    """The end of a reply: its calls, the finish reason, and why a call could not be read."""

    calls: tuple[ToolCall, ...]
    reason: Literal["stop", "length", "tool_calls"]
    problem: str | None


@dataclass(frozen=True)
class ReplyPart:
    """More of one reply, or its ending, with the records of tokens that are known by now."""

    index: int
    said: TextDelta | Ending
    records: list[dict[str, Any]]


class Replies:
    """Replies being generated: iterate for their parts as they come.

    `texts` are the bytes of each token, for requests that want log probabilities.
    Leaving the `with` block cancels the replies that have not ended. Calls come with the ending,
    because the text after a call may still make it unreadable.
    """

    def __init__(
        self,
        engine: Engine,
        chat_model: ChatModel,
        request: GenerationRequest,
        texts: Sequence[bytes] = (),
    ) -> None:
        self._engine, self._reading = engine, request.reading
        self._syntax = chat_model.format.calls
        known = chat_model.tokenizer.special_tokens
        self._openers = {known[t] for t in self._syntax.special_tokens if t in known}
        self._stops = stop_ids(chat_model.format, chat_model.tokenizer)
        if request.reading in ("text", "no calls"):
            plain = replace(chat_model.format, calls=NO_CALLS)
            chat_model = replace(chat_model, format=plain)
        self._arrived: asyncio.Queue[tuple[int, NewToken | Failed]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._readers = [ReplyReader(chat_model, request.stop_texts) for _ in request.constraints]
        self._events: list[list[Event]] = [[] for _ in request.constraints]
        silent = silent_ids(chat_model.format, chat_model.tokenizer)
        self._records = [TokenRecords(texts, silent) for _ in request.constraints]
        self._opened: set[int] = set()
        self._jobs = [
            Job(
                request.prompt,
                request.decoding,
                partial(self._on_token, index),
                constraint,
                index,
            )
            for index, constraint in enumerate(request.constraints)
        ]
        self.prompt_tokens, self.count = len(request.prompt), len(self._jobs)

    @property
    def tokens(self) -> int:
        """The number of tokens generated so far, stop tokens included."""
        return sum(reader.tokens for reader in self._readers)

    def __enter__(self) -> Self:
        if not self._engine.submit(self._jobs):
            raise ApiError(
                429, "too many requests are waiting; try again", code="rate_limit_exceeded", wait=1
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.cancel(self._jobs)

    async def __aiter__(self) -> AsyncIterator[ReplyPart]:
        left = set(range(len(self._jobs)))
        while left:
            index, said = await self._arrived.get()
            if isinstance(said, Failed):
                raise ApiError(500, f"the reply ended: {said.error}") from said.error
            if index not in left:  # generated before a stop text was found
                continue
            for part in self._read(index, said):
                yield part
                if isinstance(part.said, Ending):
                    left.remove(index)

    def _read(self, index: int, said: NewToken) -> list[ReplyPart]:
        reader, known, records = self._readers[index], self._events[index], self._records[index]
        if said.likelihood is not None and said.token not in self._stops:
            records.add(said.token, said.likelihood, reader.written)
        events = reader.feed(said.token)
        if said.token in self._openers:
            self._opened.add(index)
        over = said.last or reader.ended
        if over:
            events += reader.finish()
            self._engine.cancel([self._jobs[index]])
        known += events
        parts = [
            ReplyPart(index, event, records.take(reader.bytes))
            for event in events
            if isinstance(event, TextDelta)
        ]
        if over:
            # What a stop text ended goes no further than its text.
            left = records.take(reader.bytes if reader.cut else None)
            parts.append(ReplyPart(index, self._ending(index), left))
        return parts

    def _ending(self, index: int) -> Ending:
        reply = assemble(self._events[index])
        problem = self._problem(reply, index in self._opened)
        if not self._readers[index].ended:
            return Ending(reply.tool_calls, "length", problem)
        return Ending(reply.tool_calls, "tool_calls" if reply.tool_calls else "stop", problem)

    def _problem(self, reply: Reply, opened: bool) -> str | None:
        """Return what is wrong with a reply that looks like a call."""
        if self._reading == "no calls":
            return forbidden_call(reply.content, self._syntax, opened)
        if reply.problem is not None and self._reading == "calls or JSON":
            # An object that begins as a call does may be the JSON that was asked for.
            with suppress(ValueError):
                read_json(reply.content)
                return None
        return reply.problem

    def _on_token(self, index: int, said: NewToken | Failed) -> None:
        """Pass a token from the engine's thread to the event loop, unless that is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, (index, said))
