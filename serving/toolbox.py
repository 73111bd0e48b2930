"""The tools of an interactive chat: built-in ones that run, and a user's own."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chat.conversation import Tool, ToolCall
from chat.schemas.validation import validate_arguments
from synthesis.catalogue import Catalogue, select
from synthesis.declaration import SyntheticTool, result_text
from synthesis.tools_file import read_user_tools

# Few and different: a prompt of 370 tokens with Llama 3's vocabulary.
DEFAULT_TOOLS = "get_current_weather,calculate_percentage,find_restaurant"
NO_TOOLS = "none"


@dataclass(frozen=True)
class Toolbox:
    """Tools to offer; those in `running` are executed, the user types results of the others."""

    tools: tuple[Tool, ...] = ()
    running: Mapping[str, SyntheticTool] = field(default_factory=dict)

    def describe(self, tool: Tool) -> str:
        """Return a tool in a line: its parameters, who gives its results, what it does."""
        required = tool.parameters.get("required", ())
        names = tool.parameters.get("properties", {})
        parameters = ", ".join(name if name in required else f"{name}?" for name in names)
        giver = "executed" if tool.name in self.running else "you type its results"
        about = " ".join(tool.description.split())
        return f"{tool.name}({parameters}), {giver}" + (f": {about}" if about else "")

    def problem(self, call: ToolCall) -> str | None:
        """Return what is wrong with a call: an unknown tool, or arguments that do not fit."""
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        if tool is None:
            return f"there is no tool {call.name}"
        return next((problem.message for problem in validate_arguments(tool, call.arguments)), None)

    def result(self, call: ToolCall) -> str | None:
        """Return the result of a call as JSON text; None where the user has to type it."""
        problem = self.problem(call)
        offered = any(tool.name == call.name for tool in self.tools)
        if problem is not None and (call.name in self.running or not offered):
            return result_text({"error": problem})
        if call.name not in self.running:
            return None
        result = self.running[call.name].run(call.arguments)
        try:
            return result_text(result)
        except (ValueError, RecursionError) as error:
            return result_text({"error": str(error)})


def open_toolbox(names: str | None = None, file: str | None = None) -> Toolbox:
    """Return the built-in tools of these names and domains, with commas between, and a file's own.

    Without a file some built-in tools are the default. ValueError names a tool that is not there.
    """
    if names is None:
        names = NO_TOOLS if file else DEFAULT_TOOLS
    catalogue = select()
    built_in = [] if names == NO_TOOLS else list(_named(names, catalogue))
    own, running = read_user_tools(Path(file), "--tools-file") if file else ((), ())
    tools = (*(tool.tool for tool in built_in), *own)
    for name, times in Counter(tool.name for tool in tools).items():
        if times > 1:
            raise ValueError(f"two tools are called {name}; rename one of them")
    return Toolbox(tools, {tool.name: tool for tool in (*built_in, *running)})


def _named(names: str, catalogue: Catalogue) -> Iterator[SyntheticTool]:
    domains = {domain.name: domain.tools for domain in catalogue.domains}
    for name in dict.fromkeys(part.strip() for part in names.split(",") if part.strip()):
        if name in catalogue.by_name:
            yield catalogue.by_name[name]
        elif name in domains:
            yield from domains[name]
        else:
            known = [*domains, *catalogue.by_name]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"domains are {', '.join(domains)}"
            raise ValueError(f"no built-in tool or domain {name!r}; {hint}")
