"""A user's own tools where nothing is generated with them: schemas of JSON, functions of Python."""

from pathlib import Path

from chat.conversation import Tool
from chat.schemas.tools_file import read_json_tools
from synthesis.custom import read_tools_file
from synthesis.declaration import SyntheticTool


def read_user_tools(path: Path, flag: str) -> tuple[tuple[Tool, ...], tuple[SyntheticTool, ...]]:
    """Return the schemas of a file's tools, and those that run; a Python file is executed.

    ValueError or FileNotFoundError names the `flag`, the file and what is wrong.
    """
    if path.suffix != ".py":
        return read_json_tools(path, flag), ()
    domains = read_tools_file(path, spoken_of=False)
    functions = tuple(tool for domain in domains for tool in domain.tools)
    return tuple(function.tool for function in functions), functions
