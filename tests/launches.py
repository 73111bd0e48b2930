"""Start the real launcher on this machine's CPU, with a port of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """Return what the launched processes see: this Python and project first, one thread each."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **more}


def launch_command(ranks: int, script: str, *arguments: object) -> list[str]:
    """Return the command line that a user would type for so many processes."""
    port = free_port()
    start = ["deepspeed", f"--num_gpus={ranks}", f"--master_port={port}"]
    return [*start, script, *map(str, arguments)]


def launch(
    ranks: int, script: str, *arguments: object, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a script under the launcher to its end."""
    command = launch_command(ranks, script, *arguments)
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout
    )
