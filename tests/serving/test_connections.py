"""Connections that keep the server waiting are closed, and leave room for clients that ask."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("uvicorn")

import uvicorn
from uvicorn.server import ServerState

from serving.connections import (
    Connections,
    LimitedProtocol,
    Limits,
    ThrottledLog,
    connections_within_descriptors,
)

PARTIAL_HEADER = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
PARTIAL_BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nfour"
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
# No test waits so long.
NEVER = 600
PATIENT = {"request": NEVER, "header": NEVER, "body": NEVER, "reader": NEVER}
Test = Callable[["Served"], Awaitable[None]]


@dataclass
class Served:
    """A server in this event loop; what it tells, and the replies to /held that go on."""

    port: int
    connections: Connections
    lines: list[str] = field(default_factory=list)
    clients: list[asyncio.StreamWriter] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self) -> list[str]:
        """What has happened to connections, as the log tells it."""
        self.connections.log.flush()
        return self.lines

    async def send(self, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        writer.write(text)
        return reader, writer

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the body that came; /held waits, /flood sends without end."""
        assert scope["type"] == "http"
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        if message["type"] == "http.disconnect":
            return
        if scope["path"] == "/held":
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/flood":
            leaving = asyncio.ensure_future(receive())
            while not leaving.done():
                body = {"type": "http.response.body", "body": b"x" * 2**16, "more_body": True}
                await send(body)
                await asyncio.sleep(0)
            self.broken_off.set()
        await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def server(limits: Limits) -> AsyncIterator[Served]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        lines: list[str] = []
        connections = Connections(limits, ThrottledLog(lines.append, NEVER))
        served = Served(listener.getsockname()[1], connections, lines)
        config = uvicorn.Config(served.answer, lifespan="off", log_config=None, interface="asgi3")
        config.load()
        state = ServerState()

        def make() -> LimitedProtocol:
            return LimitedProtocol(connections, config=config, server_state=state, app_state={})

        accepting = asyncio.create_task(connections.accept(listener, make))
        try:
            yield served
        finally:
            accepting.cancel()
            for client in served.clients:
                client.transport.abort()
            for connection in state.connections.copy():
                connection.transport.abort()
            await asyncio.sleep(0.01)


def run(limits: Limits, test: Test) -> None:
    async def running() -> None:
        async with server(limits) as served:
            await asyncio.wait_for(test(served), 30)

    asyncio.run(running())


@pytest.mark.parametrize(
    ("sent", "limit", "status"),
    [
        (b"", "request", b""),
        (PARTIAL_HEADER, "header", b"HTTP/1.1 408 Request Timeout"),
        (PARTIAL_BODY, "body", b"HTTP/1.1 408 Request Timeout"),
    ],
)
def test_connection_without_a_whole_request_ends_in_time(
    sent: bytes, limit: str, status: bytes
) -> None:
    async def test(served: Served) -> None:
        reader, _ = await served.send(sent)
        answer = await reader.read()
        assert answer.partition(b"\r\n")[0] == status
        (line,) = served.told()
        assert "s: 1 closed " in line

    run(Limits(**{**PATIENT, limit: 0.1}), test)


def test_header_that_drips_ends_in_time() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.send(PARTIAL_HEADER)
        # What drips in after the end may reset the connection, once the answer is there.
        answer = asyncio.create_task(reader.readline())
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert b" 408 " in answer.result()

    run(Limits(**{**PATIENT, "header": 0.2}), test)


def test_requests_of_one_connection_are_answered_within_the_limits() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.send(REQUEST * 2)
        for _ in range(4):
            assert b"HTTP/1.1 200" in await reader.readuntil(b"hello")
            writer.write(REQUEST)
            await asyncio.sleep(0.3)
        assert served.told() == []

    run(Limits(**{**PATIENT, "header": 1, "request": 1, "body": 1}), test)


def test_long_reply_is_not_cut_off() -> None:
    async def test(served: Served) -> None:
        reader, _ = await served.send(REQUEST.replace(b"/hello", b"/held"))
        await asyncio.sleep(0.3)
        served.go_on.set()
        assert b"HTTP/1.1 200" in await reader.readuntil(b"hello")

    run(Limits(request=0.1, header=0.1, body=0.1, reader=0.1), test)


def test_reply_that_is_not_read_is_broken_off() -> None:
    async def test(served: Served) -> None:
        await served.send(REQUEST.replace(b"/hello", b"/flood"))
        await served.broken_off.wait()
        assert "1 closed with a reply that was not read" in served.told()[0]

    run(Limits(**{**PATIENT, "reader": 0.2}), test)


@pytest.mark.parametrize("sent", [b"", PARTIAL_HEADER, PARTIAL_BODY])
def test_half_open_connections_make_room_for_honest_ones(sent: bytes) -> None:
    async def test(served: Served) -> None:
        for _ in range(30):
            await served.send(sent)
        honest = [await served.send(REQUEST) for _ in range(8)]
        for reader, _ in honest:
            assert b"HTTP/1.1 200" in await reader.readuntil(b"hello")
        (line,) = served.told()
        assert "closed to make room for others" in line

    run(Limits(most=12, **PATIENT), test)


def test_answered_clients_stay_before_those_that_never_asked() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.send(REQUEST)
        await reader.readuntil(b"hello")
        for _ in range(12):
            await served.send(PARTIAL_HEADER)
        writer.write(REQUEST)
        assert b"HTTP/1.1 200" in await reader.readuntil(b"hello")

    run(Limits(most=3, **PATIENT), test)


def test_client_beyond_the_limit_waits_for_replies_to_end() -> None:
    async def test(served: Served) -> None:
        held = [await served.send(REQUEST.replace(b"/hello", b"/held")) for _ in range(2)]
        await asyncio.sleep(0.05)
        reader, _ = await served.send(REQUEST)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        served.go_on.set()
        for other, _ in held:
            await other.readuntil(b"hello")
        assert await reader.readuntil(b"hello")

    run(Limits(most=2, **PATIENT), test)


@pytest.mark.parametrize("rounds", range(6))
def test_client_that_comes_as_accepting_ends_is_not_left_waiting(rounds: int) -> None:
    """However far its connection is by then, in rounds of the event loop."""

    errors: list[dict[str, Any]] = []

    async def ending() -> None:
        connections = Connections(Limits(**PATIENT), ThrottledLog(lambda line: None))
        config = uvicorn.Config(lambda *_: None, log_level="critical")
        config.load()
        state = ServerState()

        def make() -> LimitedProtocol:
            return LimitedProtocol(connections, config=config, server_state=state, app_state={})

        listener = socket.create_server(("127.0.0.1", 0))
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        accepting = asyncio.create_task(connections.accept(listener, make))
        await asyncio.sleep(0.01)
        with socket.create_connection(listener.getsockname()) as client:
            for _ in range(rounds):
                await asyncio.sleep(0)
            accepting.cancel()
            with suppress(asyncio.CancelledError):
                await accepting
            listener.close()
            for connection in list(state.connections):
                connection.shutdown()  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
            client.settimeout(5)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""

    asyncio.run(ending())
    assert errors == []


def test_log_tells_thousands_of_events_in_one_line() -> None:
    async def counting() -> list[str]:
        lines: list[str] = []
        log = ThrottledLog(lines.append, seconds=0.05)
        for _ in range(3000):
            log.count("closed in a header")
        await asyncio.sleep(0.1)
        log.flush()
        return lines

    told = "connections in the last 0.05 s: 3,000 closed in a header"
    assert asyncio.run(counting()) == [told]


def test_connections_stay_within_the_limit_of_descriptors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def allow(files: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))

    allow(resource.RLIM_INFINITY)
    assert connections_within_descriptors(500) == 500
    allow(10_000)
    assert connections_within_descriptors(500) == 500
    assert 9_000 < connections_within_descriptors(10_000) < 10_000
    allow(20)
    with pytest.raises(ValueError, match=r"allows 20 open files, .* ulimit -n 1024"):
        connections_within_descriptors(1)
