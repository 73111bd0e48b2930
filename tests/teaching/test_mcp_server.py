import importlib.util
import shlex
import sys
from pathlib import Path

import pytest

from chat.schemas.tools_file import read_json_tools
from teaching.mcp_server import INSTALL, ask_for_tools

SERVER = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("garden")

@server.tool()
def water_bed(bed_id: str, minutes: int = 5) -> str:
    "Water a bed."
    return "done"

server.run("stdio")
"""


def test_a_missing_library_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="--mcp needs the package mcp") as refused:
        ask_for_tools("my-server", tmp_path / "tools.json")
    assert str(refused.value).endswith(INSTALL)


def test_a_servers_tools_are_written_as_it_answers(tmp_path: Path):
    pytest.importorskip("mcp")
    program, file = tmp_path / "server.py", tmp_path / "tools.json"
    program.write_text(SERVER)
    ask_for_tools(f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}", file)
    [tool] = read_json_tools(file, "--tools-file")
    assert (tool.name, tool.description) == ("water_bed", "Water a bed.")
    assert tool.parameters["required"] == ["bed_id"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("raise SystemExit(3)", "Connection closed"), (None, "No such file or directory")],
)
def test_a_server_that_dies_or_is_not_there_is_named(code: str | None, reason: str, tmp_path: Path):
    pytest.importorskip("mcp")
    program = "/no/such/server" if code is None else shlex.quote(sys.executable)
    command = program if code is None else f"{program} -c {shlex.quote(code)}"
    with pytest.raises(ValueError, match=reason) as refused:
        ask_for_tools(command, tmp_path / "tools.json")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "tools.json").exists()
