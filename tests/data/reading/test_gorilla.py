"""Gorilla OpenFunctions: one function or several, the call written in Python."""

from pathlib import Path

import pytest

from chat.conversation import ToolCall
from data.outcomes import Rejected
from data.reading import SOURCES, detect_format, read_rows

FUNCTION = {"name": "Shop finder", "api_call": "shop.find", "parameters": {"a": {"type": "str"}}}


@pytest.mark.parametrize("function", [FUNCTION, [FUNCTION]])
@pytest.mark.parametrize("answer", ['shop.find(a="Rome")', ['shop.find(a="Rome")']])
def test_a_function_is_called_by_its_api_call(function: object, answer: object) -> None:
    row = {"question": "a?", "function": function, "model_answer": answer}
    assert detect_format(row) == "gorilla"
    found = SOURCES["gorilla"].read(row).conversation
    assert found.messages[1].tool_calls == (ToolCall("shop.find", {"a": "Rome"}),)
    assert [tool.name for tool in found.tools] == ["shop.find"]


def test_a_call_with_more_than_literals_is_rejected() -> None:
    row = {"question": "a?", "function": FUNCTION, "model_answer": "shop.find(a=Rome)"}
    with pytest.raises(Rejected, match="no literal: Rome") as raised:
        SOURCES["gorilla"].read(row)
    assert (raised.value.rule, raised.value.pointer) == ("unreadable-call", "/model_answer")


def test_real_calls_are_read_except_one_with_a_variable(shared: Path) -> None:
    folder = shared / "gorilla_openfunctions_v1"
    read, refused = 0, []
    for row in read_rows(folder / "gorilla_openfunctions_v1_test.rows_0_55.json"):
        try:
            found = SOURCES["gorilla"].read(row.value).conversation
        except Rejected:
            refused.append(row.index)
            continue
        read += found.messages[1].tool_calls[0].name == found.tools[0].name
    assert (read, refused) == (55, [5])
