"""The replies to one request, while the engine generates them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

from chat.conversation import ToolCall
from inference.chat_model import ChatModel
from inference.streaming import Event, TextDelta, assemble
from serving.engine import Engine, Failed, Job, NewToken
from serving.errors import ApiError
from serving.generation_requests import GenerationRequest
from serving.reading import ReplyReader


@dataclass(frozen=True)
class Ending:
    """The end of a reply: its calls, the finish reason, and why a call could not be read."""

    calls: tuple[ToolCall, ...]
    reason: Literal["stop", "length", "tool_calls"]
    problem: str | None


class Replies:
    """Replies being generated: iterate for (index of the reply, more of its text or its ending).

    Leaving the `with` block cancels the replies that have not ended. Calls come with the ending,
    because the text after a call may still make it unreadable.
    """

    def __init__(self, engine: Engine, chat_model: ChatModel, request: GenerationRequest) -> None:
        self._engine = engine
        self._arrived: asyncio.Queue[tuple[int, NewToken | Failed]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._readers = [ReplyReader(chat_model, request.stop_texts) for _ in request.constraints]
        self._events: list[list[Event]] = [[] for _ in request.constraints]
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

    async def __aiter__(self) -> AsyncIterator[tuple[int, TextDelta | Ending]]:
        left = set(range(len(self._jobs)))
        while left:
            index, said = await self._arrived.get()
            if isinstance(said, Failed):
                raise ApiError(500, f"the reply ended: {said.error}") from said.error
            if index not in left:  # generated before a stop text was found
                continue
            for part in self._read(index, said):
                yield index, part
                if isinstance(part, Ending):
                    left.remove(index)

    def _read(self, index: int, said: NewToken) -> list[TextDelta | Ending]:
        reader, known = self._readers[index], self._events[index]
        events = reader.feed(said.token)
        over = said.last or reader.ended
        if over:
            events += reader.finish()
            self._engine.cancel([self._jobs[index]])
        known += events
        parts: list[TextDelta | Ending] = [
            event for event in events if isinstance(event, TextDelta)
        ]
        return [*parts, self._ending(index)] if over else parts

    def _ending(self, index: int) -> Ending:
        reply = assemble(self._events[index])
        if not self._readers[index].ended:
            return Ending(reply.tool_calls, "length", reply.problem)
        return Ending(reply.tool_calls, "tool_calls" if reply.tool_calls else "stop", reply.problem)

    def _on_token(self, index: int, said: NewToken | Failed) -> None:
        """Pass a token from the engine's thread to the event loop, unless that is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, (index, said))
