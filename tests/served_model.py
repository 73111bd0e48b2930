"""The real server as a process of its own, and clients for it."""

import json
import os
import re
import signal
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

ROOT = Path(__file__).parents[1]
_SECONDS = 60


@dataclass
class Served:
    """A server under way; `lines` are what it printed so far, in both its streams."""

    url: str
    model: str
    process: subprocess.Popen[str]
    lines: list[str]
    key: str = "none"
    reading: list[threading.Thread] = field(default_factory=list)

    def client(self, **options: Any) -> "OpenAI":
        """Return a client that knows the key and tries once."""
        from openai import OpenAI

        return OpenAI(
            **{
                "base_url": self.url,
                "api_key": self.key,
                "max_retries": 0,
                "timeout": 30,
                **options,
            }
        )

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

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(_SECONDS)
        for thread in self.reading:
            thread.join(_SECONDS)
        return code


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
        server = Served(found[2], found[1], process, lines, key or "none")
        thread = threading.Thread(target=lines.extend, args=(process.stdout,))
        server.reading.append(thread)
        thread.start()
        yield server
    finally:
        process.kill()
        process.wait()
        for reader in server.reading if "server" in locals() else ():
            reader.join()
        process.stdout.close()
