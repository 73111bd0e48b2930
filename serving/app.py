"""The HTTP side: OpenAI's chat completions, responses and models, with one model behind them."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from inference.chat_model import ChatModel
from serving.answers import Answers, Usage
from serving.chat_answers import ChatAnswers
from serving.choices import Replies, ReplyPart
from serving.engine import Engine
from serving.errors import ApiError
from serving.generation_requests import ReplyRules, read_generation_request
from serving.metrics import CONTENT_TYPE, metrics_text
from serving.requests import ChatRequest, read_request
from serving.responses_answers import ResponsesAnswers
from serving.responses_requests import read_responses_request

# A body that is too long is read up to so many times the limit, so that its client gets the error.
_MOST_DISCARDED = 64
# The status of a request whose client has disconnected; no one receives it.
CLIENT_CLOSED_REQUEST = 499

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Settings:
    """What is served, to whom, and within which limits.

    api_key: The key that clients must send; None for no key.
    constrain: Whether calls must fit the schemas where a request does not ask for it.
    max_length: The most tokens of a prompt and its reply together.
    max_bytes: The longest body of a request.
    none_keeps_tools: Whether tools stay in the prompt of a request that may not call them.
    """

    model: str
    api_key: str | None = None
    constrain: bool = False
    max_length: int = 4096
    max_bytes: int = 4 * 2**20
    none_keeps_tools: bool = False

    def __post_init__(self) -> None:
        key = self.api_key
        if key is not None and not (key.isascii() and key.split() == [key]):
            raise ValueError("the API key must be ASCII without blanks; clients can send no other")

    @property
    def rules(self) -> ReplyRules:
        """What is set for all requests."""
        return ReplyRules(self.max_length, self.constrain, self.none_keeps_tools)


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
        wanted = await self._read(request, read_request)
        return await self._answer(request, wanted, ChatAnswers(wanted))

    async def respond(self, request: Request) -> Response:
        """Answer a request for a response."""
        read = await self._read(request, read_responses_request)
        try:
            return await self._answer(request, read.chat, ResponsesAnswers(read.asked))
        except ApiError as error:
            read.set_place(error)
            raise

    async def health(self, request: Request) -> Response:
        """Say that requests are answered; anyone may ask."""
        return _json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Tell the engine's load to Prometheus."""
        self._check_key(request)
        return Response(metrics_text(self._engine.load), media_type=CONTENT_TYPE)

    async def _answer(self, request: Request, wanted: ChatRequest, answers: Answers) -> Response:
        self._check_model(wanted.model)
        # In a thread: a long prompt or a new schema would block the event loop.
        generation = await asyncio.to_thread(
            read_generation_request, wanted, self._chat_model, self._settings.rules
        )
        texts = self._token_texts if wanted.logprobs else ()
        replies = Replies(self._engine, self._chat_model, generation, texts)
        ignored = wanted.without_effect
        if wanted.stream:
            found: Response = _Stream(replies, self._chunks(replies, answers, ignored))
        else:
            found = await self._whole(request, replies, answers, ignored)
        if ignored:
            found.headers["X-Without-Effect"] = ", ".join(ignored)
        return found

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

    @cached_property
    def _token_texts(self) -> list[bytes]:
        return self._chat_model.tokenizer.token_texts()

    async def _read(self, request: Request, read: Callable[[bytes], Asked]) -> Asked:
        self._check_key(request)
        body = await _body(request, self._settings.max_bytes)
        # In a thread: a long body would block the event loop.
        return await asyncio.to_thread(read, body)

    async def _whole(
        self, request: Request, replies: Replies, answers: Answers, ignored: Sequence[str]
    ) -> Response:
        """Answer when all replies are complete; cancel them when the client disconnects."""
        with replies, self._reported(replies, ignored):
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
            return _json(answers.whole(parts, Usage(replies.prompt_tokens, replies.tokens)))

    async def _chunks(
        self, replies: Replies, answers: Answers, ignored: Sequence[str]
    ) -> AsyncIterator[bytes]:
        """Yield the events of a stream; an error is its last event."""
        with self._reported(replies, ignored):
            try:
                for event in answers.opening(replies.count):
                    yield event
                async for part in replies:
                    for event in answers.events(part):
                        yield event
                for event in answers.closing(Usage(replies.prompt_tokens, replies.tokens)):
                    yield event
            except ApiError as error:
                yield answers.failure(error)

    @contextmanager
    def _reported(self, replies: Replies, ignored: Sequence[str]) -> Iterator[None]:
        start, how = time.monotonic(), "broken off"
        try:
            yield
            how = "answered"
        finally:
            seconds = time.monotonic() - start
            tokens = f"{replies.prompt_tokens:,} + {replies.tokens:,} tokens"
            note = f"; without effect here: {', '.join(ignored)}" if ignored else ""
            self._tell(f"{how}: {tokens}, {seconds:.1f} s{note}")


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
    app.add_api_route("/v1/responses", service.respond, methods=["POST"])
    app.add_api_route("/health", service.health, methods=["GET"])
    app.add_api_route("/metrics", service.metrics, methods=["GET"])
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


async def _collect(replies: Replies) -> list[ReplyPart]:
    return [part async for part in replies]


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(
    record: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    # Escaped, because arguments may hold half a surrogate pair, which UTF-8 cannot encode.
    return Response(json.dumps(record), status, headers, "application/json")
