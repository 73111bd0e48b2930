"""A server in this process that answers chat completions by a function and keeps the requests."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from listening import listening

# (status, body, content type) for a request.
Reaction = Callable[[dict[str, Any]], tuple[int, str, str]]


@dataclass
class Server:
    """Where the server is, and what it was asked."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def serving(react: Reaction, retry: bool = False) -> Iterator[Server]:
    """Serve `react` on a free port of this machine; with `retry`, clients may ask again."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append(request | {"path": self.path})
            status, body, kind = react(request)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            # The client would wait before it asks again.
            self.send_header("x-should-retry", str(retry).lower())
            self.send_header("retry-after-ms", "10")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as url:
        server = Server(url)
        yield server


def completion(
    content: str | None = None, *calls: tuple[str, str], finish: str = "stop"
) -> tuple[int, str, str]:
    """Return the reaction of a server that says this and makes these calls."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(calls)
        ]
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return 200, json.dumps(body), "application/json"
