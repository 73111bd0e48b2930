"""Ask an MCP server for its tools, over stdio, with the official client library."""

import importlib.util
from pathlib import Path

INSTALL = "python -m pip install -e '.[mcp]'"
# How long a server may take to start and to answer, in seconds.
PATIENCE = 60.0


def ask_for_tools(command: str, file: Path) -> None:
    """Start a server, ask for its tools, and write the answer to `file` as MCP has it.

    ValueError says in a line that the library is missing, or what became of the server.
    """
    if importlib.util.find_spec("mcp") is None:
        raise ValueError(f"--mcp needs the package mcp, which is not installed; run: {INSTALL}")
