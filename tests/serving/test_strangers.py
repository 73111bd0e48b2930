"""A real server beside clients that it did not ask for: half-open ones, pages of other sites."""

import http.client
import json
import queue
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from listening import listening
from native_directories import write_native
from served_model import Served, served
from speaking_model import TOKENIZER
from tiny_models import TINY

from chat.tokenizers.tokenizer import load_tokenizer
from model.config import ModelConfig
from weights.tokenizer_file import TOKENIZER_FILE

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

SITE = "https://page.example"
BODY = {"model": "model", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
PARTS = (
    b"",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
)
CHROMIUMS = (
    *("chromium", "chromium-browser", "chromium-headless-shell"),
    *("google-chrome", "google-chrome-stable", "chrome"),
)
# Asks the server as the openai client in a page does, and tells its own server what came.
PAGE = """<script>
const ask = fetch("URL/chat/completions", {
  method: "POST", body: JSON.stringify(BODY),
  headers: {"Content-Type": "application/json", "Authorization": "Bearer none"}});
ask.then(answer => answer.text()).catch(error => "refused: " + error)
  .then(text => fetch("/", {method: "POST", body: text}));
</script>"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model, which says nothing of sense."""
    vocab_size = load_tokenizer(TOKENIZER).vocab_size
    config = ModelConfig(**{**TINY.__dict__, "vocab_size": vocab_size})
    directory = write_native(tmp_path_factory.mktemp("strangers") / "model", config)
    shutil.copyfile(TOKENIZER, directory / TOKENIZER_FILE)
    return directory


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Served]:
    with page_server() as pages:
        sites = f"{SITE},{pages.url}"
        with served(model, **{"allow-origin": sites, "max-connections": 24}) as server:
            server.pages = pages  # type: ignore[attr-defined]
            yield server


class Pages:
    """A site of this machine: its one page, and what the page told it."""

    def __init__(self, url: str) -> None:
        self.url, self.page = url, ""
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()


@contextmanager
def page_server() -> Iterator[Pages]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(pages.page.encode())

        def do_POST(self) -> None:
            pages.told.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.reply(b"")

        def reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as url:
        pages = Pages(url)
        yield pages


def ask(server: Served, method: str = "POST", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer; `Host` and `Origin` may be anyone's."""
    connection = http.client.HTTPConnection(str(urlsplit(server.url).netloc), timeout=60)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, "/v1/chat/completions", json.dumps(BODY), given)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read()
    finally:
        connection.close()


@contextmanager
def half_open(server: Served, count: int, parts: Sequence[bytes] = PARTS) -> Iterator[None]:
    """Hold connections open that have sent a part of a request, or nothing."""
    with ExitStack() as opened:
        for number in range(count):
            address = ("127.0.0.1", urlsplit(server.url).port)
            connection = socket.create_connection(address, 60)
            opened.callback(connection.close)
            connection.sendall(parts[number % len(parts)])
        yield


def answered(server: Served, clients: int) -> list[int]:
    with ThreadPoolExecutor(clients) as pool:
        return [status for status, *_ in pool.map(lambda _: ask(server), range(clients))]


def test_preflight_of_a_listed_site_is_allowed(server: Served) -> None:
    asked = {"Access_Control_Request_Method": "POST"}
    asked["Access_Control_Request_Headers"] = "authorization,content-type"
    status, headers, _ = ask(server, "OPTIONS", Origin=SITE, **asked)
    assert (status, headers["access-control-allow-origin"]) == (200, SITE)
    status, headers, _ = ask(server, "OPTIONS", Origin="https://evil.example", **asked)
    assert (status, "access-control-allow-origin" in headers) == (403, False)


def test_foreign_host_and_foreign_page_are_refused(server: Served) -> None:
    assert ask(server, Host="rebound.example")[0] == 421
    assert ask(server, Origin="https://evil.example", Content_Type="text/plain")[0] == 403
    status, headers, _ = ask(server, Origin=SITE)
    assert (status, headers["access-control-allow-origin"]) == (200, SITE)


def test_honest_clients_are_answered_beside_half_open_ones(server: Served) -> None:
    with half_open(server, 48):
        assert answered(server, 8) == [200] * 8
    assert not any("Traceback" in line for line in server.lines)


def test_page_in_chromium_talks_to_the_server(server: Served, tmp_path: Path) -> None:
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        pytest.skip("no Chromium is installed")
    pages: Pages = server.pages  # type: ignore[attr-defined]
    pages.page = PAGE.replace("URL", server.url).replace("BODY", json.dumps(BODY))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0")

    def told_by_page_at(url: str) -> str:
        command = [chromium, *flags, f"--user-data-dir={tmp_path}", url]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            try:
                return pages.told.get(timeout=120)
            finally:
                browser.kill()

    told = json.loads(told_by_page_at(pages.url))
    assert told["choices"][0]["message"]["role"] == "assistant"
    # The same page from another origin: the browser asks first, and does not post.
    other = pages.url.replace("127.0.0.1", "localhost")
    assert told_by_page_at(other).startswith("refused: TypeError")


@pytest.mark.long
def test_32_clients_are_answered_beside_300_half_open_ones(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may open 256 files; it inherits the limit of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        starting = served(model)
        server = starting.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        for parts in (PARTS[:1], PARTS[1:2], PARTS[2:]):
            with half_open(server, 300, parts):
                assert answered(server, 32) == [200] * 32
        assert server.end() == 0
    finally:
        starting.__exit__(None, None, None)
    assert not any("Traceback" in line or "ERROR" in line for line in server.lines)
    assert sum("closed to make room" in line for line in server.lines) <= 10
