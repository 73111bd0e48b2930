"""The HTTP side: OpenAI's /v1/chat/completions and /v1/models, with one model behind them."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from inference.chat_model import ChatModel
from inference.streaming import TextDelta
from serving.choices import Ending, Replies
from serving.engine import Engine
from serving.errors import ApiError
from serving.generation_requests import read_generation_request
from serving.requests import read_request
from serving.responses import DONE, Answers, ending_delta, event, usage_record

# A body that is too long is read up to so many times the limit, so that its client gets the error.
_MOST_DISCARDED = 64
# The status of a request whose client has disconnected; no one receives it.
CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True)
class Settings:
    """What is served, to whom, and within which limits.

    api_key: The key that clients must send; None for no key.
    constrain: Whether calls must fit the schemas where a request does not ask for it.
    max_length: The most tokens of a prompt and its reply together.
    max_bytes: The longest body of a request.
    """

    model: str
    api_key: str | None = None
    constrain: bool = False
    max_length: int = 4096
    max_bytes: int = 4 * 2**20

    def __post_init__(self) -> None:
        key = self.api_key
        if key is not None and not (key.isascii() and key.split() == [key]):
            raise ValueError("the API key must be ASCII without blanks; clients can send no other")


class Service:
    """One model that answers requests; `tell` is called with one line for each."""

    def __init__(
        self, engine: Engine, chat_model: ChatModel, settings: Settings, tell: Callable[[str], None]
    ) -> None:
        self._engine, self._chat_model, self._settings = engine, chat_model, settings
        self._tell = tell
        self._created = int(time.time())

    async def complete(self, request: Request) -> Response:
        """Answer a request for chat completions."""
        self._check_key(request)
        settings = self._settings
        wanted = read_request(await _body(request, settings.max_bytes))
        self._check_model(wanted.model)
        # In a thread: a long prompt or a new schema would block the event loop.
        generation = await asyncio.to_thread(
            read_generation_request,
            wanted,
            self._chat_model,
            settings.max_length,
            settings.constrain,
        )
        replies = Replies(self._engine, self._chat_model, generation)
        if not wanted.stream:
            return await self._whole(request, replies)
        options = wanted.stream_options
        chunks = self._chunks(replies, bool(options and options.include_usage))
        return _Stream(replies, chunks)

    async def models(self, request: Request) -> Response:
        """List the one model."""
        self._check_key(request)
        return _json({"object": "list", "data": [self._model()]})

    async def model(self, request: Request, name: str) -> Response:
        """Describe the model."""
        self._check_key(request)
        self._check_model(name)
        return _json(self._model())

    def _model(self) -> dict[str, Any]:
        about = {"created": self._created, "owned_by": "local"}
        return {"id": self._settings.model, "object": "model", **about}

    def _check_key(self, request: Request) -> None:
        key = self._settings.api_key
        if key is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), key.encode())
        if scheme.lower() != "bearer" or not right:
            raise ApiError(401, "the API key is missing or wrong", code="invalid_api_key")

    def _check_model(self, name: str) -> None:
        known = self._settings.model
        if name != known:
            told = f"the model {name!r} does not exist here; there is {known!r}"
            raise ApiError(404, told, "model", "model_not_found")

    async def _whole(self, request: Request, replies: Replies) -> Response:
        """Answer when all replies are complete; cancel them when the client disconnects."""
        with replies, self._reported(replies):
            collecting = asyncio.ensure_future(_collect(replies))
            leaving = asyncio.ensure_future(wait_for_disconnect(request))
            try:
                await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not collecting.done():
                    raise ClientDisconnect
                parts = collecting.result()
            finally:
                collecting.cancel()
                leaving.cancel()
            usage = usage_record(replies.prompt_tokens, replies.tokens)
            return _json(Answers(self._settings.model).completion(parts, usage))

    async def _chunks(self, replies: Replies, with_usage: bool) -> AsyncIterator[bytes]:
        """Yield the events of a stream; an error is its last event."""
        answers = Answers(self._settings.model)
        with self._reported(replies):
            try:
                for index in range(replies.count):
                    yield answers.chunk(index, {"role": "assistant"})
                async for index, part in replies:
                    if isinstance(part, TextDelta):
                        yield answers.chunk(index, {"content": part.text})
                        continue
                    if delta := ending_delta(part):
                        yield answers.chunk(index, delta)
                    yield answers.chunk(index, {}, part.reason)
                if with_usage:
                    yield answers.usage(usage_record(replies.prompt_tokens, replies.tokens))
                yield DONE
            except ApiError as error:
                yield event(error.to_record())

    @contextmanager
    def _reported(self, replies: Replies) -> Iterator[None]:
        start, how = time.monotonic(), "broken off"
        try:
            yield
            how = "answered"
        finally:
            seconds = time.monotonic() - start
            tokens = f"{replies.prompt_tokens:,} + {replies.tokens:,} tokens"
            self._tell(f"{how}: {tokens}, {seconds:.1f} s")


class _Stream(StreamingResponse):
    """A stream that cancels its replies at its end, even where the client leaves before a chunk."""

    def __init__(self, replies: Replies, chunks: AsyncIterator[bytes]) -> None:
        super().__init__(chunks, media_type="text/event-stream")
        self.headers["Cache-Control"] = "no-cache"
        self._replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._replies:
            await super().__call__(scope, receive, send)


def make_app(service: Service) -> FastAPI:
    """Return the application; every error has the JSON of OpenAI's API."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/v1/chat/completions", service.complete, methods=["POST"])
    app.add_api_route("/v1/models", service.models, methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", service.model, methods=["GET"])

    @app.exception_handler(ApiError)
    async def refuse(request: Request, error: ApiError) -> Response:
        return _json(error.to_record(), error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def check_route(request: Request, error: HTTPException) -> Response:
        unknown = f"there is no {request.method} {request.url.path}"
        told = unknown if error.status_code in (404, 405) else error.detail
        return _json(
            ApiError(error.status_code, told, code="unknown_url").to_record(), error.status_code
        )

    @app.exception_handler(ClientDisconnect)
    async def forget(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return _json(ApiError(500, f"{type(error).__name__}: {error}").to_record(), 500)

    return app


async def _body(request: Request, most: int) -> bytes:
    body, length = bytearray(), 0
    async for piece in request.stream():
        length += len(piece)
        if length <= most:
            body += piece
        elif length > most * _MOST_DISCARDED:
            break
    if length > most:
        told = f"the body has more than {most:,} bytes"
        raise ApiError(413, told, code="request_too_large")
    return bytes(body)


async def _collect(replies: Replies) -> list[list[TextDelta | Ending]]:
    parts: list[list[TextDelta | Ending]] = [[] for _ in range(replies.count)]
    async for index, part in replies:
        parts[index].append(part)
    return parts


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(
    record: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    # Escaped, because arguments may hold half a surrogate pair, which UTF-8 cannot encode.
    return Response(json.dumps(record), status, headers, "application/json")
