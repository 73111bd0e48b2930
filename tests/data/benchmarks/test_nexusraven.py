"""NexusRaven's two tables; the rows are made here, because the dataset may not be shipped."""

import json
from pathlib import Path

import pytest

from chat.conversation import ToolCall
from data.benchmarks.nexusraven import read_queries


def argument(name: str, kind: str, required: bool, default: str = "None") -> dict[str, object]:
    about = {"name": name, "type": kind, "description": f"the {name}"}
    return {**about, "required": required, "default": default}


FUNCTIONS: list[object] = [
    {
        "dataset": "mail",
        "name": "find_mail",
        "description": "Find mail",
        "args_dicts": [
            argument("sender", "str", True),
            argument("limit", "int", False, "10"),
            argument("tags", "list", False, 'JSON:["new"]'),
            argument("since", "None", False),
            argument("deep", "bool", False, "False"),
            argument("sort", "str", False, "by date"),
        ],
    },
    {"dataset": "mail", "name": "drop", "description": None, "args_dicts": []},
    {"dataset": "other", "name": "drop", "description": "Another", "args_dicts": []},
]
QUERY = {
    "dataset": "mail",
    "prompt": "Three mails of Ada",
    "python_function_name": "find_mail",
    "python_args_dict": '{"sender": "Ada", "limit": 3}',
    "context_functions": ["drop", "find_mail", "drop"],
}


def write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_query_has_its_functions_as_tools_and_their_defaults(tmp_path: Path) -> None:
    functions = write(tmp_path / "functions.jsonl", FUNCTIONS)
    (query,) = read_queries(write(tmp_path / "queries.jsonl", [QUERY]), functions)
    assert (query.id, query.prompt) == ("mail_0", "Three mails of Ada")
    assert query.call == ToolCall("find_mail", {"sender": "Ada", "limit": 3})
    assert [function.tool.name for function in query.functions] == ["drop", "find_mail"]
    tool = query.called.tool
    assert tool.parameters["required"] == ["sender"]
    properties = tool.parameters["properties"]
    assert properties["limit"] == {"type": "integer", "description": "the limit"}
    assert "type" not in properties["since"]
    assert query.called.defaults == {
        "limit": 10,
        "tags": ["new"],
        "since": None,
        "deep": False,
        "sort": "by date",
    }
    assert query.functions[0].tool.description == ""


def test_downloaded_parquet_files_are_read(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table
    for name, rows in (("functions", FUNCTIONS), ("queries", [QUERY])):
        parquet.write_table(table.from_pylist(rows), tmp_path / f"{name}.parquet")
    (query,) = read_queries(tmp_path / "queries.parquet", tmp_path / "functions.parquet")
    assert query.call.arguments == {"sender": "Ada", "limit": 3}
    assert query.called.defaults["tags"] == ["new"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prompt": None}, "is no query of NexusRaven: it has no prompt"),
        ({"context_functions": None}, "it has no context_functions"),
        ({"context_functions": ["find_mail", "gone"]}, "names gone of mail, which"),
        ({"context_functions": ["drop"]}, "wants find_mail, which is not among"),
        ({"python_function_name": "gone"}, "names gone of mail, which"),
        ({"python_args_dict": "{"}, "python_args_dict is no JSON"),
        ({"python_args_dict": "[]"}, "python_args_dict must hold an object, found '[]'"),
    ],
)
def test_invalid_query_row_is_refused(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    functions = write(tmp_path / "functions.jsonl", FUNCTIONS)
    queries = write(tmp_path / "queries.jsonl", [QUERY, {**QUERY, **changes}])
    with pytest.raises(ValueError, match=r"queries\.jsonl: row 1 \(line 2\)") as caught:
        read_queries(queries, functions)
    assert told in str(caught.value)


@pytest.mark.parametrize("row", [{}, {"dataset": "mail", "name": "f"}, QUERY])
def test_invalid_function_row_is_refused(tmp_path: Path, row: object) -> None:
    functions = write(tmp_path / "functions.jsonl", [row])
    with pytest.raises(ValueError, match="is no function of NexusRaven"):
        read_queries(write(tmp_path / "queries.jsonl", [QUERY]), functions)


def test_function_with_an_unnamed_argument_is_refused(tmp_path: Path) -> None:
    row = {"dataset": "mail", "name": "f", "args_dicts": [{"type": "str"}]}
    functions = write(tmp_path / "functions.jsonl", [row])
    with pytest.raises(ValueError, match="is no function of NexusRaven"):
        read_queries(write(tmp_path / "queries.jsonl", [QUERY]), functions)
