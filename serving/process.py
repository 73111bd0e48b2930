"""The process of a server: the address it listens at, and how it ends."""

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from ipaddress import ip_address
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from serving.connections import Connections

INSTALL = "pip install -e '.[serve]'"
# After `grace`, the seconds for sending clients the error that ends their replies.
_ERROR_SECONDS = 5


def check_installed() -> None:
    """Raise ValueError with the command that installs what serving needs beside the rest."""
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ValueError(f"serving needs {' and '.join(missing)}; install with: {INSTALL}")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. ValueError where it cannot."""
    if not 0 <= port < 2**16:
        raise ValueError(f"--port is {port}, wanted 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise ValueError(
            f"cannot listen at {host} port {port} ({error}); choose another with --host or --port"
        ) from None


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this machine can reach a listening socket."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def serve(
    app: "ASGIApp",
    listener: socket.socket,
    connections: "Connections",
    overdue: Callable[[], None],
    grace: float,
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish the requests in progress.

    When that takes longer than `grace` seconds, or at a second signal, `overdue` is called, which
    should end them.
    """
    import uvicorn

    from serving.connections import LimitedProtocol

    told: list[int] = []

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            # Not uvicorn's own accepting: beyond the limit of descriptors, asyncio would write a
            # traceback for each place of the queue.
            await super().startup([])
            self.accepting = asyncio.create_task(connections.accept(listener, self.connection))

        def connection(self) -> LimitedProtocol:
            return LimitedProtocol(
                connections,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            self.accepting.cancel()
            with suppress(asyncio.CancelledError):
                await self.accepting
            connections.log.flush()
            await super().shutdown([listener])

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # At a second signal uvicorn would drop the requests in progress and print a traceback
            # for each. It gets the third one, in case a client does not read its reply.
            told.append(sig)
            self.should_exit = True
            if len(told) > 2:
                super().handle_exit(sig, frame)
            timer = threading.Timer(grace if len(told) == 1 else 0, overdue)
            timer.daemon = True
            timer.start()

    # uvicorn ends at these signals and then raises the same signal again; it is ignored here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        # What uvicorn warns of, connections.log counts.
        log_level="error",
        access_log=False,
        # Connections know how long they may take and accept HTTP alone; libraries that uvicorn
        # would find by itself are not used.
        http=LimitedProtocol,
        loop="asyncio",
        ws="none",
        interface="asgi3",
        timeout_keep_alive=math.ceil(connections.limits.request),
        timeout_graceful_shutdown=math.ceil(grace) + _ERROR_SECONDS,
    )
    Server(config).run()
