"""The connections of the server: how many there are, and how long each may keep it waiting.

A connection costs a descriptor and some memory from its first moment, before there is a request.
One that does not send its request, or does not read its reply, is closed after a time; and where
too many are open, the one that has waited longest without a whole request makes room.
"""

import asyncio
import json
import os
import resource
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from serving.errors import ApiError

# What a connection keeps the server waiting for.
Awaited = Literal["request", "header", "body", "reader"]
# Descriptors left for files, and for connections that are being accepted or closed.
_SPARE_DESCRIPTORS = 32
# After an error of the system, such as of memory, the seconds before the next try to accept.
_RETRY_SECONDS = 0.2
_CLOSED: dict[Awaited, str] = {
    "request": "closed before a request",
    "header": "closed in a header",
    "body": "closed in a body",
    "reader": "closed with a reply that was not read",
}


@dataclass(frozen=True)
class Limits:
    """Seconds that a connection may keep the server waiting, and how many connections there are.

    request: Until the first byte of a request.
    header: From there until its header is whole.
    body: From there until its body is whole.
    reader: Until the client takes what was sent.
    """

    most: int = 256
    request: float = 30
    header: float = 10
    body: float = 60
    reader: float = 60

    def seconds(self, awaited: Awaited) -> float:
        """Return how long a connection may keep the server waiting for this."""
        found: float = getattr(self, awaited)
        return found


def connections_within_descriptors(wanted: int) -> int:
    """Return how many connections this process can hold, at most `wanted`.

    ValueError where its limit of descriptors leaves none.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    left = limit - len(os.listdir("/dev/fd")) - _SPARE_DESCRIPTORS
    if left < 1:
        raise ValueError(
            f"this shell allows {limit} open files, which leaves none for connections; allow more "
            "with: ulimit -n 1024"
        )
    return min(wanted, left)


class ThrottledLog:
    """Tells of events that may come in thousands: one line in `seconds`, with their numbers."""

    def __init__(self, tell: Callable[[str], None], seconds: float = 10) -> None:
        self._tell, self._seconds = tell, seconds
        self._counts: Counter[str] = Counter()

    def count(self, event: str) -> None:
        """Count an event; the first since the last line starts the time until the next."""
        if not self._counts:
            asyncio.get_running_loop().call_later(self._seconds, self.flush)
        self._counts[event] += 1

    def flush(self) -> None:
        """Tell what was counted since the last line, if anything was."""
        if self._counts:
            counted = ", ".join(f"{number:,} {event}" for event, number in self._counts.items())
            self._tell(f"connections in the last {self._seconds:g} s: {counted}")
            self._counts.clear()


class Connections:
    """The open connections; those without a whole request can be closed to make room."""

    def __init__(self, limits: Limits, log: ThrottledLog) -> None:
        self.limits, self.log = limits, log
        self._open: set[LimitedProtocol] = set()
        # In the order in which they began to wait. Clients that were answered before rank second.
        self._unproven: dict[LimitedProtocol, None] = {}
        self._resting: dict[LimitedProtocol, None] = {}
        self._changed = asyncio.Event()

    async def accept(self, listener: socket.socket, make: Callable[[], "LimitedProtocol"]) -> None:
        """Accept connections until cancelled, one after the other, and never more than the limit.

        One for which there is no room waits here, and others in the system's queue.
        """
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                # Not loop.sock_accept: cancelled when it has accepted, it would keep what it has,
                # and the client would wait for an answer.
                await _readable(listener)
                connected, _ = listener.accept()
                try:
                    await self._make_room()
                    await loop.connect_accepted_socket(make, connected)
                except BaseException:
                    connected.close()
                    raise
            except BlockingIOError:
                continue  # the client has gone again
            except OSError as error:
                self.log.count(f"not accepted ({error.strerror})")
                await asyncio.sleep(_RETRY_SECONDS)

    def add(self, connection: "LimitedProtocol") -> None:
        """Take a connection that was made."""
        self._open.add(connection)

    def remove(self, connection: "LimitedProtocol") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self.note(connection, None)

    def note(self, connection: "LimitedProtocol", awaited: Awaited | None) -> None:
        """Record what a connection now keeps the server waiting for."""
        self._unproven.pop(connection, None)
        self._resting.pop(connection, None)
        if awaited in ("request", "header", "body"):
            rests = awaited == "request" and connection.answered
            (self._resting if rests else self._unproven)[connection] = None
        self._changed.set()

    async def _make_room(self) -> None:
        """Close the connections that wait longest until one more may be opened."""
        while len(self._open) >= self.limits.most:
            oldest = next(iter(self._unproven or self._resting), None)
            if oldest is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            self.remove(oldest)
            self.log.count("closed to make room for others")
            oldest.transport.abort()


async def _readable(listener: socket.socket) -> None:
    """Return once a socket has something to read; it is watched only until then."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)


class LimitedProtocol(H11Protocol):
    """A connection that is closed when it keeps the server waiting too long."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.answered = False
        self._all = connections
        # Whether bytes came since the last reply.
        self._begun = False
        self._awaited: Awaited | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._all.add(self)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for(None)
        self._all.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._begun = True
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        self.answered, self._begun = True, False
        # Where the next request has come already, this begins to answer it.
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look()

    def send_400_response(self, msg: str) -> None:
        self._all.log.count("closed after what is no HTTP")
        super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close the connection when the reply in progress is complete."""
        if self._awaited == "body":
            self.transport.abort()
        else:
            super().shutdown()

    def _look(self) -> None:
        """Find out what the connection now keeps the server waiting for."""
        awaited: Awaited | None
        if self.transport.is_closing() or self.flow.write_paused:
            awaited = "reader"
        elif self.cycle is None or self.cycle.response_complete:
            awaited = "header" if self._begun else "request"
        else:
            awaited = "body" if self.cycle.more_body else None
        if awaited != self._awaited:
            self._wait_for(awaited)

    def _wait_for(self, awaited: Awaited | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._awaited, self._timer = awaited, None
        if awaited is not None:
            self._timer = self.loop.call_later(self._all.limits.seconds(awaited), self._expire)
        self._all.note(self, awaited)

    def _expire(self) -> None:
        """Close the connection, with an error where no reply has begun."""
        awaited = self._awaited
        assert awaited is not None, "the timer ends with what is awaited"
        if awaited != "request" or not self.answered:
            self._all.log.count(_CLOSED[awaited])
        if awaited == "header" or (awaited == "body" and not self.cycle.response_started):
            self.transport.write(_timeout_answer(awaited, self._all.limits.seconds(awaited)))
            self.transport.close()
            self._look()
        else:
            self.transport.abort()


def _timeout_answer(awaited: str, seconds: float) -> bytes:
    """Return the whole answer to a request that did not come in time."""
    error = ApiError(408, f"the {awaited} of the request took over {seconds:g} s")
    body = json.dumps(error.to_record()).encode()
    head = (
        f"HTTP/1.1 408 {STATUS_PHRASES[408].decode()}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
