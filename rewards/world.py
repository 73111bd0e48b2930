"""The tools that run, built-in ones and those of a user's file; their errors are results too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chat.conversation import Tool, ToolCall
from synthesis.custom import read_tools_file
from synthesis.declaration import SyntheticTool, is_error, result_text
from synthesis.domains import DOMAINS


@dataclass(frozen=True)
class Executed:
    """The text of a tool's result, and whether it is an error."""

    text: str
    failed: bool


@dataclass(frozen=True)
class World:
    """Tools by their names, of which a call runs the one that was offered."""

    tools: Mapping[str, SyntheticTool]

    @staticmethod
    def of(tools_file: str | None) -> "World":
        """Return the built-in tools and those of a user's file, which is executed.

        A tool of the file stands in the place of a built-in one of its name.
        """
        path = tools_file and Path(tools_file).expanduser()
        own = read_tools_file(path, spoken_of=False) if path else ()
        return World({tool.name: tool for domain in (*DOMAINS, *own) for tool in domain.tools})

    def runs(self, offered: Sequence[Tool]) -> bool:
        """Return whether each of the offered tools runs."""
        return all(tool.name in self.tools for tool in offered)

    def execute(self, call: ToolCall, offered: Sequence[Tool]) -> Executed:
        """Return what a call gives; an error where its tool was not offered, or the tool fails."""
        if call.name not in {tool.name for tool in offered}:
            return _error(f"there is no tool {call.name!r}")
        result = self.tools[call.name].run(dict(call.arguments))
        try:
            return Executed(result_text(result), is_error(result))
        except (ValueError, RecursionError) as error:
            return _error(str(error))


def _error(reason: str) -> Executed:
    return Executed(result_text({"error": reason}), True)
