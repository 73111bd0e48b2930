"""Dialogs are read as conversations that end with a user's or a tool's message."""

import json
from pathlib import Path

import pytest

from chat.dialogs import read_dialogs

BUNDLED = Path(__file__).parents[2] / "configs" / "dialogs.json"
ASKED = [{"role": "user", "content": "Rain in Lyon?"}]


def calling(arguments: object) -> list[dict[str, object]]:
    function = {"name": "weather", "arguments": arguments}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": function}]}
    return [*ASKED, call, {"role": "tool", "tool_call_id": "1", "content": "wet"}]


def test_bundled_dialogs_cover_the_nine_situations() -> None:
    dialogs = read_dialogs(BUNDLED)
    assert [len(dialog.messages) for dialog in dialogs] == [1, 3, 5, 1, 1, 1, 5, 3, 2]
    assert [len(dialog.tools) for dialog in dialogs] == [1, 1, 1, 1, 1, 2, 2, 0, 0]
    assert [dialog.messages[-1].role for dialog in dialogs].count("tool") == 1
    assert dialogs[8].messages[0].role == "system"


def test_every_call_in_the_bundled_dialogs_fits_its_tool() -> None:
    import jsonschema

    for dialog in read_dialogs(BUNDLED):
        schemas = {tool.name: tool.parameters for tool in dialog.tools}
        for message in dialog.messages:
            for call in message.tool_calls:
                jsonschema.validate(call.arguments, schemas[call.name])


@pytest.mark.parametrize("arguments", [{"city": "Lyon"}, '{"city": "Lyon"}'])
def test_call_arguments_may_be_an_object_or_json_text(tmp_path: Path, arguments: object) -> None:
    file = tmp_path / "dialogs.json"
    file.write_text(json.dumps([{"messages": calling(arguments)}]))
    (dialog,) = read_dialogs(file)
    assert dialog.messages[1].tool_calls[0].arguments == {"city": "Lyon"}


def test_missing_file_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist; wanted a JSON list"):
        read_dialogs(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "is not JSON"),
        ("\udcff", "is not JSON"),
        ("[]", "must hold a list of .* with at least one"),
        ('{"messages": []}', "must hold a list of"),
        ("[1]", "dialog 1: a conversation must be an object, found int"),
        ('[{"messages": []}]', "dialog 1 ends with nothing; wanted a user's or a tool's message"),
        (json.dumps([{"messages": ASKED}, {"messages": [{"role": "bot"}]}]), "dialog 2: messages"),
        (
            json.dumps([{"messages": [*ASKED, {"role": "assistant", "content": "Yes."}]}]),
            "dialog 1 ends with assistant",
        ),
        (
            json.dumps([{"messages": calling("{city}")}]),
            "dialog 1: the arguments of weather are no JSON",
        ),
        (json.dumps([{"messages": calling("[1]")}]), "arguments must be an object, found list"),
    ],
)
def test_malformed_file_raises_a_one_line_error(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "dialogs.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=problem) as caught:
        read_dialogs(file)
    assert "\n" not in str(caught.value)


def test_directory_given_as_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is a directory; wanted a JSON list of dialogs"):
        read_dialogs(tmp_path)
