"""The process of a server: the address it listens at, and how it ends."""

import signal
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

INSTALL = "pip install -e '.[serve]'"
# How long replies under way may go on once the server is told to end, in seconds.
GRACE = 10


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


def serve(app: "FastAPI", listener: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT; what is under way may end within the grace."""
    import uvicorn

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE
    )
    # uvicorn ends at these signals, and then sends itself the same once more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
