"""A tiny stand-in of the modules of vLLM that a tool-parser plugin imports."""

import sys
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

PLUGIN = Path(__file__).parents[1] / "export" / "llama3_tool_parser.py"
# Where vLLM keeps them, in 0.33 and in older versions.
NEW_PLACES = ("vllm.tool_parsers.abstract_tool_parser", "vllm.entrypoints.generate.base.protocol")
OLD_PLACES = (
    "vllm.entrypoints.openai.tool_parsers.abstract_tool_parser",
    "vllm.entrypoints.openai.protocol",
)


class ToolParser:
    def __init__(self, tokenizer: Any, tools: Any = None) -> None:
        self.prev_tool_call_arr: list[dict[str, Any]] = []
        self.streamed_args_for_tool: list[str] = []
        self.current_tool_id = -1


class ToolParserManager:
    registered: ClassVar[dict[str, type]] = {}

    @classmethod
    def register_module(cls, name: str, force: bool = True, module: Any = None) -> None:
        cls.registered[name] = module


@dataclass
class FunctionCall:
    name: str
    arguments: str


@dataclass
class ToolCall:
    function: FunctionCall
    type: str = "function"


@dataclass
class DeltaToolCall:
    index: int
    function: FunctionCall
    id: str | None = None
    type: str | None = None


@dataclass
class DeltaMessage:
    content: str | None = None
    tool_calls: list[DeltaToolCall] = field(default_factory=list)


@dataclass
class ExtractedToolCallInformation:
    tools_called: bool
    tool_calls: list[ToolCall]
    content: str | None = None


def load_plugin(
    monkeypatch: pytest.MonkeyPatch, file: Path = PLUGIN, places: tuple[str, str] = NEW_PLACES
) -> ModuleType:
    """Load the plugin as vLLM does, with the stand-in at these places."""
    parsers, protocol = map(ModuleType, places)
    vars(parsers).update(ToolParser=ToolParser, ToolParserManager=ToolParserManager)
    for kind in (FunctionCall, ToolCall, DeltaToolCall, DeltaMessage, ExtractedToolCallInformation):
        setattr(protocol, kind.__name__, kind)
    protocol.DeltaFunctionCall = FunctionCall  # type: ignore[attr-defined]
    for module in (parsers, protocol):
        parts = module.__name__.split(".")
        for length in range(1, len(parts)):
            name = ".".join(parts[:length])
            if name not in sys.modules:
                monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = spec_from_file_location("llama3_tool_parser", file)
    assert spec is not None and spec.loader is not None
    plugin = module_from_spec(spec)
    spec.loader.exec_module(plugin)
    return plugin
