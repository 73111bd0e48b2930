"""Rows made up in the layouts of the datasets that the recipes begin with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_lines import ROOT

CITIES = ("Oslo", "Rome", "Lima", "Cairo", "Quito", "Accra", "Hanoi", "Sofia", "Riga", "Bern")
AMOUNTS = (12, 250, 31, 7, 4000, 65, 18, 99, 540, 3)
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Which city."}},
        "required": ["city"],
    },
}
CONVERT = {
    "name": "convert_currency",
    "description": "What an amount is in another currency.",
    "parameters": {
        "type": "object",
        "properties": {
            "amount": {"type": "number", "description": "How much."},
            "target": {"type": "string", "description": "Into which currency."},
        },
        "required": ["amount", "target"],
    },
}
WITH_TOOLS = (
    "You are a helpful assistant with access to the following functions. Use them if required - "
)
WITHOUT_TOOLS = "You are a helpful assistant, with no access to external functions."

# Question, name, arguments, result, answer.
Asked = tuple[str, str, dict[str, Any], dict[str, Any], str]
ASKED: list[Asked] = [
    *(
        (
            f"How is the weather in {city} today?",
            "get_weather",
            {"city": city},
            {"temperature": 3 * place, "sky": "clear"},
            f"It is {3 * place} degrees in {city}, and the sky is clear.",
        )
        for place, city in enumerate(CITIES)
    ),
    *(
        (
            f"Tell me what {amount} dollars are in euros, please.",
            "convert_currency",
            {"amount": amount, "target": "EUR"},
            {"converted": amount * 0.9},
            f"{amount} dollars are {amount * 0.9:.2f} euros.",
        )
        for amount in AMOUNTS
    ),
]


def _lmflow(path: Path) -> None:
    """A directory of two files, one of them indented; rows without tools among them."""
    path.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for question, name, arguments, result, answer in ASKED:
        contents = {
            "user": question,
            "function": json.dumps({"name": name, "arguments": arguments}),
            "observation": json.dumps(result),
            "assistant": answer,
        }
        turns = [{"role": role, "content": content} for role, content in contents.items()]
        tools = [json.dumps(tool) for tool in (WEATHER, CONVERT)]
        rows.append({"system": WITH_TOOLS, "tools": tools, "messages": turns})
    for city in CITIES[:4]:
        turns = [
            {"role": "user", "content": f"In which country is {city}?"},
            {"role": "assistant", "content": f"Any atlas shows you where {city} lies."},
        ]
        rows.append({"system": WITHOUT_TOOLS, "tools": [], "messages": turns})
    for number, (part, indent) in enumerate(((rows[::2], None), (rows[1::2], 2))):
        whole = {"type": "conversation", "instances": part}
        (path / f"part_{number}.json").write_text(json.dumps(whole, indent=indent))


def _xlam(path: Path) -> None:
    """Rows of both tools, one row with two calls."""
    calls = [_asked_call(asked) for asked in ASKED]
    both = [call for _, found in calls[:2] for call in found]
    write_xlam(path, [*calls, ("Compare the weather of Oslo and Rome.", both)], (WEATHER, CONVERT))


def write_weather_rows(path: Path) -> None:
    """Write rows of one tool in xLAM's layout, of which one word decides the call."""
    write_xlam(path, [_asked_call(asked) for asked in ASKED[: len(CITIES)]], (WEATHER,))


def _asked_call(asked: Asked) -> tuple[str, list[dict[str, Any]]]:
    question, name, arguments, *_ = asked
    return question, [{"name": name, "arguments": arguments}]


def write_xlam(
    path: Path, calls: list[tuple[str, list[dict[str, Any]]]], tools: tuple[dict[str, Any], ...]
) -> None:
    """Write a JSON list of rows with tools and answers as text."""
    types = {"string": "str", "number": "float"}
    flat = [
        {
            **tool,
            "parameters": {
                key: {"description": value["description"], "type": types[value["type"]]}
                for key, value in tool["parameters"]["properties"].items()
            },
        }
        for tool in tools
    ]
    rows = [
        {"id": i, "query": query, "answers": json.dumps(answers), "tools": json.dumps(flat)}
        for i, (query, answers) in enumerate(calls)
    ]
    _write(path, rows)


def _glaive(path: Path) -> None:
    """The first rows of the sample that is bundled with the demo."""
    _write(path, json.loads((ROOT / "demo/glaive-sample.json").read_text(encoding="utf-8"))[:40])


def _tool_using(path: Path) -> None:
    """A JSON list of messages and tools, calls with `parameters` and without ids."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": question},
                {
                    "role": "assistant",
                    "content": "Let me look that up for you.",
                    "tool_calls": [{"name": name, "parameters": arguments}],
                },
                {"role": "tool", "content": json.dumps(result), "name": name},
                {"role": "assistant", "content": answer},
            ],
            "tools": [WEATHER, CONVERT],
        }
        for question, name, arguments, result, answer in ASKED
    ]
    _write(path, rows)


def _raven_queries(path: Path) -> None:
    rows = [
        {
            "dataset": "made_up",
            "prompt": f"Three mails of {name}",
            "python_function_name": "find_mail",
            "python_args_dict": json.dumps({"sender": name, "limit": 3}),
            "context_functions": ["find_mail", "drop"],
        }
        for name in ("Ada", "Grace", "Linus")
    ]
    _write(path, rows)


def _raven_functions(path: Path) -> None:
    arguments = [
        {"name": "sender", "type": "str", "description": "Whose.", "required": True},
        {"name": "limit", "type": "int", "description": "How many.", "required": False},
    ]
    find = {"name": "find_mail", "description": "Find mail.", "args_dicts": arguments}
    drop = {"name": "drop", "description": "Drop all.", "args_dicts": []}
    _write(path, [{"dataset": "made_up", **function} for function in (find, drop)])


def _write(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))


# What the pages' commands read, by where they say it lies.
FILES: dict[str, Callable[[Path], None]] = {
    "~/datasets/lmflow/glaive-function-calling-v2": _lmflow,
    "~/datasets/xlam_function_calling_60k.json": _xlam,
    "~/datasets/glaive-function-calling-v2.json": _glaive,
    "~/datasets/nexusraven/standardized_queries.parquet": _raven_queries,
    "~/datasets/nexusraven/standardized_api_list.parquet": _raven_functions,
    "custom_data/my_tool_dataset.json": _tool_using,
}
