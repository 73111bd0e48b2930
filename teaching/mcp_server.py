"""Ask an MCP server for its tools, over stdio, with the official client library."""

import importlib.util
import logging
import shlex
from pathlib import Path
from typing import Any

from storage.atomic import new_file
from storage.json_file import write_json

INSTALL = "python -m pip install -e '.[mcp]'"
# How long a server may take to start and to answer, in seconds.
PATIENCE = 60.0
# A server that answers with more pages of tools than this never ends.
MOST_PAGES = 1000


def ask_for_tools(command: str, file: Path) -> None:
    """Start a server, ask for its tools, and write the answer to `file` as MCP has it.

    ValueError says in a line that the library is missing, or what became of the server.
    """
    if importlib.util.find_spec("mcp") is None:
        raise ValueError(f"--mcp needs the package mcp, which is not installed; run: {INSTALL}")
    import anyio

    # What a server prints beside its answers would be shown as errors with tracebacks.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    try:
        tools = anyio.run(_ask, shlex.split(command))
    except Exception as error:
        raise ValueError(
            f"--mcp {command!r}: {_reason(error)}; wanted the command of an MCP server that "
            "answers tools/list over stdio"
        ) from error
    if not tools:
        raise ValueError(f"--mcp {command!r}: the server has no tools")
    with new_file(file) as partial:
        write_json(partial, {"tools": tools})


async def _ask(words: list[str]) -> list[dict[str, Any]]:
    import anyio
    from mcp import Client, StdioServerParameters

    program, *arguments = words
    tools: list[dict[str, Any]] = []
    with anyio.fail_after(PATIENCE):
        async with Client(StdioServerParameters(command=program, args=arguments)) as client:
            cursor = None
            for _ in range(MOST_PAGES):
                page = await client.list_tools(cursor=cursor)
                tools += [
                    tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                    for tool in page.tools
                ]
                cursor = page.next_cursor
                if cursor is None:
                    break
    return tools


def _reason(error: BaseException) -> str:
    """Return in a line what went wrong, of several errors at once the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:.0f} seconds"
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{': ' if said else ''}{said}"
