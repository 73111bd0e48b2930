"""Ask an OpenAI-compatible server, with its own client, several conversations at a time.

Servers differ in the settings that they take: one that refuses a setting says so in its error,
and is then asked without it. Failures that may pass are tried again, each time after longer.
"""

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from chat.conversation import Conversation, Message, Tool
from chat.formats.call_syntax import Reply
from evaluation.answers.answer_log import AnswerLog
from evaluation.answers.predictions import read_calls
from evaluation.answers.refused_settings import INSTEAD, refused_setting, without_refused
from inference.chat_model import Answer, SkippedItem

# Characters that OpenAI's API does not allow in a function's name; they become underscores.
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 64
_SECONDS = 120.0
_KEY = "OPENAI_API_KEY"
# The client waits half a second before the first, then twice as long each time, up to eight
# seconds, or as long as the server says.
_RETRIES = 5
# Statuses that say something of this request alone: another one may be answered.
_OF_THE_REQUEST = (400, 413, 422)
# So many such answers, and no other to what was asked meanwhile: the server takes none of these.
_ENOUGH = 8


class RefusedRequest(ValueError):
    """The server answers that it does not take this one request."""


@dataclass(frozen=True)
class Request:
    """The settings of a request beside the conversation."""

    model: str
    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    at_once: int = 16


class Endpoint:
    """A server at `url`, such as http://localhost:8000/v1; the path may be left out.

    `log` keeps the answers and gives those of an earlier run; `tell` is called with a line for each
    setting that the server refuses. `refused` are those settings.
    """

    def __init__(
        self,
        url: str,
        request: Request,
        log: AnswerLog | None = None,
        tell: Callable[[str], None] = print,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"--endpoint is {url!r}, wanted such as http://localhost:8000/v1")
        self.url = url if parts.path.strip("/") else url.rstrip("/") + "/v1"
        self.request, self.log, self.tell = request, log, tell
        self.refused: tuple[str, ...] = ()
        self._learning = Lock()
        self._answered_any = False
        if log is not None and log.kept:
            tell(
                f"{log.file} has {len(log.kept):,} answers of a run that was cut off; those to the "
                "same requests are used again"
            )
        # Imported here: scoring recorded outputs or a model needs no client.
        from openai import OpenAI

        key = os.environ.get(_KEY) or "none"
        self.client = OpenAI(base_url=self.url, api_key=key, timeout=_SECONDS, max_retries=_RETRIES)

    def answers(
        self, conversations: Sequence[Conversation]
    ) -> Iterator[tuple[int, Answer | SkippedItem]]:
        """Yield (index, answer) in order; ValueError where the server fails or sends no completion.

        Later answers that have arrived by then are yielded before the error. A conversation that
        the server refuses, such as one that is too long for it, is skipped with the reason, but
        where it has answered no other, be it in an earlier call.
        """
        refused = list[RefusedRequest]()
        pool = ThreadPoolExecutor(self.request.at_once)
        asked = [pool.submit(self.answer, conversation) for conversation in conversations]
        try:
            for index, future in enumerate(asked):
                error = future.exception()
                if isinstance(error, RefusedRequest):
                    refused.append(error)
                    if len(refused) == min(_ENOUGH, len(asked)):
                        # Refusing takes a server less time than answering.
                        wait([later for later in asked[index:] if later.running()])
                        if not self._answered_any:
                            raise refused[0]
                    yield index, SkippedItem(str(error))
                    continue
                if error is not None:
                    yield from _answered(asked, index)
                yield index, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def answer(self, conversation: Conversation) -> Answer:
        """Return the server's answer to one conversation, or that of an earlier run."""
        names = wire_names(conversation.tools)
        body = self._body(conversation, names)
        text = json.dumps([self.url, body], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        if self.log is not None and key in self.log.kept:
            answer = self.log.kept[key]
        else:
            completion = self._complete(body)
            answer = _read(completion, {wire: name for name, wire in names.items()}, self.url)
            if self.log is not None:
                self.log.add(key, answer)
        self._answered_any = True
        return answer

    def _complete(self, body: Mapping[str, Any]) -> Any:
        """Return the completion of a request, asked without the settings that are refused."""
        from openai import APIStatusError

        while True:
            sent = without_refused(body, self.refused)
            try:
                return self._asked(sent)
            except RefusedRequest as error:
                cause = error.__cause__
                assert isinstance(cause, APIStatusError)
                name = refused_setting(sent, cause.param, cause.response.text or cause.message)
                if name is None:
                    raise
                self._learn(name)

    def _learn(self, name: str) -> None:
        """Remember a setting that the server refuses."""
        with self._learning:
            if name not in self.refused:
                self.refused = (*self.refused, name)
                instead = INSTEAD[name]
                told = f"{instead} is sent in its place" if instead else "it is left out"
                self.tell(f"{self.url} refuses {name}: {told}")

    def _asked(self, body: dict[str, Any]) -> Any:
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            return self.client.chat.completions.create(**body)
        except APIConnectionError as error:
            cause = error.__cause__ or error
            raise ValueError(
                f"{self.url} cannot be reached ({cause}); is the server running?"
            ) from error
        except APIStatusError as error:
            told = " ".join((error.response.text or error.message).split())[:200]
            kind = RefusedRequest if error.status_code in _OF_THE_REQUEST else ValueError
            raise kind(f"{self.url} answered {error.status_code}: {told}") from error
        except (OpenAIError, ValueError, RecursionError) as error:
            raise ValueError(f"{self.url} answered what is no JSON: {error}") from error

    def _body(self, conversation: Conversation, names: Mapping[str, str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.request.model,
            "messages": wire_messages(conversation.messages, names),
            "max_tokens": self.request.max_new_tokens,
            "temperature": self.request.temperature,
            "top_p": self.request.top_p,
            "seed": self.request.seed,
        }
        if conversation.tools:
            body["tools"] = [_tool(tool, names[tool.name]) for tool in conversation.tools]
        return body


def _answered(asked: Sequence[Future[Answer]], start: int) -> Iterator[tuple[int, Answer]]:
    """Yield the answers from `start` on that have arrived."""
    for index in range(start, len(asked)):
        if asked[index].done() and asked[index].exception() is None:
            yield index, asked[index].result()


def wire_names(tools: Sequence[Tool]) -> dict[str, str]:
    """Return the name of each tool in a request: with `_` for characters not allowed."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    candidates: dict[str, Iterator[str]] = {}
    for tool in tools:
        if tool.name in names:
            continue
        fit = _UNFIT.sub("_", tool.name)[:_LONGEST]
        # Earlier candidates of the same name are taken, so the search continues after them.
        left = candidates.setdefault(fit, _alike(fit))
        names[tool.name] = next(name for name in left if name not in taken)
        taken.add(names[tool.name])
    return names


def _alike(name: str) -> Iterator[str]:
    """Yield a name and an endless series of similar ones."""
    last = "_" * _LONGEST
    alike = name
    while alike != last:
        yield alike
        alike = alike + "_" if len(alike) < _LONGEST else alike[1:] + "_"
    yield last
    yield from (f"{name[: _LONGEST // 2]}_{number}" for number in count(2))


def wire_messages(messages: Sequence[Message], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return messages as OpenAI's API takes them: arguments as text, results tied to their calls.

    Calls without an id get one; a result without one answers the first call still open.
    """
    wire: list[dict[str, Any]] = []
    waiting, answered = deque[str](), set[str]()
    for index, message in enumerate(messages):
        record: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.role == "assistant" and message.tool_calls:
            ids = [call.id or f"call_{index}_{i}" for i, call in enumerate(message.tool_calls)]
            waiting, answered = deque(ids), set()
            record["tool_calls"] = [
                {
                    "id": identity,
                    "type": "function",
                    "function": {
                        "name": names.get(call.name, call.name),
                        "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
                    },
                }
                for identity, call in zip(ids, message.tool_calls, strict=True)
            ]
        elif message.role == "tool":
            given = message.tool_call_id
            while waiting and waiting[0] in answered:
                waiting.popleft()
            record["tool_call_id"] = given if given or not waiting else waiting[0]
            answered.add(record["tool_call_id"])
        wire.append(record)
    return wire


def _tool(tool: Tool, name: str) -> dict[str, Any]:
    function = {
        "name": name,
        "description": tool.description,
        "parameters": dict(tool.parameters) or {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": function}


def _read(completion: Any, names: Mapping[str, str], url: str) -> Answer:
    """Read a completion; the client checks little of what a server sends."""
    try:
        choice = completion.choices[0]
        content, calls = choice.message.content or "", choice.message.tool_calls or []
        # The reason scripts/serve.py gives for an unreadable call; other servers send none.
        problem = getattr(choice.message, "tool_call_problem", None)
        records = [(call.function.name, call.function.arguments) for call in calls]
        if not isinstance(content, str) or not all(isinstance(n, str) for n, _ in records):
            raise TypeError("content and names must be text")
    except (AttributeError, TypeError, LookupError) as error:
        raise ValueError(
            f"{url} answered what is no chat completion: {str(completion)[:80]!r}"
        ) from error
    whole = choice.finish_reason != "length"
    read = [{"name": names.get(name, name), "arguments": arguments} for name, arguments in records]
    unread = Reply(content, problem=problem if isinstance(problem, str) else None)
    return Answer(content, read_calls(read, content) if read else unread, whole)
