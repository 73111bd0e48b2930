"""The real server as a process of its own or in this one, and clients for it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import OpenAI

    from inference.chat_model import ChatModel

ROOT = Path(__file__).parents[1]
_SECONDS = 60


@dataclass
class Address:
    """Where a server is; `lines` are what it printed so far."""

    url: str
    model: str
    lines: list[str]
    key: str = "none"
    clients: list["OpenAI"] = field(default_factory=list)

    def client(self, **options: Any) -> "OpenAI":
        """Return a client that knows the key and tries once; it is closed with the server."""
        from openai import OpenAI

        client = OpenAI(
            **{
                "base_url": self.url,
                "api_key": self.key,
                "max_retries": 0,
                "timeout": 30,
                **options,
            }
        )
        self.clients.append(client)
        return client

    def close(self) -> None:
        """Close the clients."""
        for client in self.clients:
            client.close()

    def post(
        self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/chat/completions"
    ) -> tuple[int, Mapping[str, str], Any]:
        """Send bytes; return status, headers and the JSON that is answered."""
        given = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        request = urllib.request.Request(self.url + path, body, given)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.load(error)


@dataclass
class Served(Address):
    """A server in a process of its own, of which `lines` are both streams."""

    process: subprocess.Popen[str] = field(kw_only=True)
    reading: list[threading.Thread] = field(default_factory=list)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(_SECONDS)
        for thread in self.reading:
            thread.join(_SECONDS)
        return code


@contextmanager
def served_here(chat_model: "ChatModel", **settings: Any) -> Iterator[Address]:
    """Serve a model in a thread of this process, which starts at once."""
    import uvicorn

    from serving.app import Service, Settings, make_app
    from serving.engine import Engine

    lines: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    with Engine(chat_model.model, 4, 2048, 16) as engine:
        service = Service(
            engine, chat_model, Settings("here", max_length=2048, **settings), lines.append
        )
        config = uvicorn.Config(make_app(service), log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        address = Address(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "here", lines)
        try:
            yield address
        finally:
            address.close()
            server.should_exit = True
            thread.join()
            listener.close()


@contextmanager
def served(model: Path, key: str | None = None, **flags: object) -> Iterator[Served]:
    """Serve a model directory on a free port of this machine."""
    given = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "scripts/serve.py", "--ckpt-dir", str(model), "--port", "0", *given]
    environment = {k: v for k, v in os.environ.items() if k != "SERVE_API_KEY"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | ({"SERVE_API_KEY": key} if key else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if found := re.match(r"(\S+) answers at (\S+) until Ctrl-C", line):
                break
        else:
            raise AssertionError(f"the server ended: {''.join(lines)}")
        server = Served(found[2], found[1], lines, key or "none", process=process)
        thread = threading.Thread(target=lines.extend, args=(process.stdout,))
        server.reading.append(thread)
        thread.start()
        yield server
    finally:
        process.kill()
        process.wait()
        if "server" in locals():
            server.close()
        for reader in server.reading if "server" in locals() else ():
            reader.join()
        process.stdout.close()
