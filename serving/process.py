"""The process of a server: the address it listens at, and how it ends."""

import math
import signal
import socket
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

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


def serve(
    app: "FastAPI", listener: socket.socket, overdue: Callable[[], None], grace: float
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish the requests in progress.

    When that takes longer than `grace` seconds, or at a second signal, `overdue` is called, which
    should end them.
    """
    import uvicorn

    told: list[int] = []

    class Server(uvicorn.Server):
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
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=math.ceil(grace) + _ERROR_SECONDS,
    )
    Server(config).run(sockets=[listener])
