"""Judge calls as the Berkeley Function Calling Leaderboard's AST checker does.

Its rules, from its documentation and its behaviour: the right number of calls; for each the right
name, every required parameter, no unknown one, and an accepted value for each. Types are Python's
and exact, but a whole number may stand for a float. Text is compared without case, blanks and
`,./-_*^`, and with one kind of quote; lists in order, by members; objects by key. Where an answer
has another type than the declaration, it is taken for a variable and compared as it is. Parallel
calls may come in any order, each answer taking the first call that suits it. Where an answer
cannot be compared at all the official checker stops; here the call is wrong.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chat.conversation import Tool, ToolCall
from chat.formats.call_syntax import Reply
from chat.schemas.validation import read_tool
from data.benchmarks.bfcl_tasks import Language, Task
from evaluation.scoring.bfcl_literals import read_java, read_javascript
from evaluation.scoring.calls import ExpectedCall, Verdict, same_value, score

_KINDS: Mapping[Language, Mapping[str, type]] = {
    "python": {
        "string": str,
        "integer": int,
        "float": float,
        "boolean": bool,
        "array": list,
        "tuple": list,
        "dict": dict,
        "any": str,
    },
    "java": {
        **dict.fromkeys(("byte", "short", "integer", "long"), int),
        **dict.fromkeys(("float", "double"), float),
        "boolean": bool,
        **dict.fromkeys(("char", "String", "any"), str),
        **dict.fromkeys(("Array", "ArrayList"), list),
        "HashMap": dict,
    },
    "javascript": {
        "String": str,
        "integer": int,
        "float": float,
        "Bigint": int,
        "Boolean": bool,
        "dict": dict,
        "array": list,
        "any": str,
    },
}
_LISTS = {"python": ("array", "tuple"), "java": ("Array", "ArrayList"), "javascript": ("array",)}
_READERS = {"java": read_java, "javascript": read_javascript}
_NAMES = {"java": "Java", "javascript": "JavaScript"}
_UNSEEN = re.compile(r"[ ,./\-_*^]")


def offered_tools(task: Task) -> tuple[Tool, ...]:
    """Return the functions of a task as a model is offered them.

    Parameters in Java and JavaScript are text that holds source code, and their description says
    of which type, as the benchmark asks for.
    """
    if task.language == "python":
        return tuple(read_tool(function) for function in task.functions)
    return tuple(_in_source(function, _NAMES[task.language]) for function in task.functions)


def _in_source(function: Mapping[str, Any], language: str) -> Tool:
    properties = {}
    for name, declared in function["parameters"]["properties"].items():
        inner = _inner_name(declared)
        kind = f"{declared.get('type', 'any')}{f' of {inner}' if inner else ''}"
        hint = f"Text that holds {language} source code of type {kind}."
        about = f"{declared.get('description', '')} {hint}".strip()
        properties[name] = {"type": "string", "description": about}
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(function["parameters"].get("required", ())),
    }
    return Tool(function["name"], function.get("description", ""), parameters)


def judge(task: Task, reply: Reply, tools: Sequence[Tool] | None = None) -> Verdict:
    """Return the verdict on a reply; `correct` is that of the official checker.

    The other figures are by the rules of evaluation/scoring/calls.py, with the values that the
    benchmark accepts. `tools` are those of `offered_tools`, made here where they are not given.
    """
    offered = offered_tools(task) if tools is None else tools
    if task.category == "live_relevance":
        return score(None, reply, offered)
    verdict = score([_wanted(task, *answer) for answer in task.answers], reply, offered)
    if not task.answers:
        # A call that cannot be read is none to the benchmark, and an empty reply is right.
        return replace(verdict, correct=not reply.tool_calls)
    return replace(verdict, correct=is_right(task, reply.tool_calls))


def is_right(task: Task, calls: Sequence[ToolCall]) -> bool:
    """Whether the official checker would accept these calls."""
    if len(calls) != len(task.answers):
        return False
    if "parallel" not in task.category:
        # Where one function is declared, it is the one, whatever the answer calls it.
        name = None if "multiple" in task.category else task.functions[0]["name"]
        return _call_is_right(task, *task.answers[0], calls[0], name)
    left = list(calls)
    for answer in task.answers:
        taken = next(
            (i for i, call in enumerate(left) if _call_is_right(task, *answer, call)), None
        )
        if taken is None:
            return False
        del left[taken]
    return True


def _call_is_right(
    task: Task,
    name: str,
    accepted: Mapping[str, list[Any]],
    call: ToolCall,
    declared_name: str | None = None,
) -> bool:
    function = _declared(task, declared_name or name)
    if function is None or call.name != function["name"]:
        return False
    given = call.arguments
    required = function["parameters"].get("required", ())
    if not all(parameter in given for parameter in required):
        return False
    if not all(p in given or "" in values for p, values in accepted.items()):
        return False
    properties = function["parameters"]["properties"]
    return all(
        argument_is_right(task.language, properties.get(p), accepted.get(p), value)
        for p, value in given.items()
    )


def _declared(task: Task, name: str) -> Mapping[str, Any] | None:
    return next((function for function in task.functions if function["name"] == name), None)


def argument_is_right(
    language: Language, declared: Mapping[str, Any] | None, accepted: list[Any] | None, value: Any
) -> bool:
    """Whether the official checker takes `value` for an argument with these accepted values.

    `declared` is the parameter's declaration; it and `accepted` are None for unknown parameters.
    """
    if declared is None or accepted is None:
        return False
    try:
        value = _read(language, declared, value)
        kind, inner = _KINDS[language][declared["type"]], _inner_kind(language, declared)
    except (ValueError, OverflowError, KeyError):
        return False
    usual = _fits(value, accepted, kind, inner)
    if usual is None:
        return False
    if usual and kind is dict:
        return _object_is_right(value, accepted)
    if usual and kind is list and inner is dict:
        return any(_objects_are_right(value, accepted_value) for accepted_value in accepted)
    if usual and kind is str:
        return _plain(value) in [_plain(option) for option in accepted if isinstance(option, str)]
    if usual and kind is list:
        return [_plain(item) for item in value] in list(_plain_lists(accepted))
    return value in accepted


def _read(language: Language, declared: Mapping[str, Any], value: Any) -> Any:
    """Return the value of an argument; ValueError where it is no source text and should be."""
    kind = declared["type"]
    if language == "python":
        return float(value) if kind == "float" and type(value) is int else value
    if not isinstance(value, str):
        raise ValueError("wanted source text")
    inner = _inner_name(declared) if kind in _LISTS[language] else None
    return _READERS[language](value, kind, inner)


def _inner_kind(language: Language, declared: Mapping[str, Any]) -> type | None:
    if declared["type"] not in _LISTS[language]:
        return None
    return _KINDS[language][declared["items"]["type"]]


def _inner_name(declared: Mapping[str, Any]) -> str | None:
    items = declared.get("items")
    return items.get("type") if isinstance(items, Mapping) else None


def _fits(value: Any, accepted: list[Any], kind: type, inner: type | None) -> bool | None:
    """Whether a value has its declared type (True), is a variable (False), or neither (None)."""
    answered = _first_type(accepted)
    if type(value) is not kind:
        return False if type(value) is answered else None
    nested = inner is not None and isinstance(value, list)
    if nested and not any(_members_fit(value, option, inner) for option in accepted):
        return None
    return answered in (None, kind)


def _members_fit(value: Any, accepted: Any, inner: type | None) -> bool:
    if not isinstance(accepted, list):
        return True
    allowed = (inner, _first_type(accepted))
    return all(type(item) in allowed for item in value)


def _first_type(accepted: Sequence[Any]) -> type | None:
    return next((type(accepted_value) for accepted_value in accepted if accepted_value != ""), None)


def _plain(value: Any) -> Any:
    """Return a text as texts are compared; anything else as it is."""
    if not isinstance(value, str):
        return value
    return _UNSEEN.sub("", value).lower().replace("'", '"')


def _plain_lists(accepted: list[Any]) -> Iterator[list[Any]]:
    # "", which allows to leave the argument out, also allows an empty list.
    for accepted_value in accepted:
        if isinstance(accepted_value, list | str):
            yield [_plain(member) for member in accepted_value]


def _object_is_right(value: Mapping[str, Any], accepted: Sequence[Any]) -> bool:
    options = (option for option in accepted if isinstance(option, dict))
    return any(_one_object_is_right(value, option) for option in options)


def _one_object_is_right(value: Mapping[str, Any], accepted: Mapping[str, Any]) -> bool:
    for key, member in value.items():
        options = accepted.get(key)
        if not isinstance(options, list | str):
            return False
        if _plain(member) not in [_plain(option) for option in options]:
            return False
    return all(
        key in value or (isinstance(options, list | str) and "" in options)
        for key, options in accepted.items()
    )


def _objects_are_right(value: Sequence[Any], accepted: Any) -> bool:
    if not isinstance(accepted, list | str) or len(value) != len(accepted):
        return False
    return all(
        isinstance(accepted_item, dict) and _object_is_right(accepted_item, [wanted])
        for accepted_item, wanted in zip(value, accepted, strict=True)
    )


def _wanted(task: Task, name: str, accepted: Mapping[str, list[Any]]) -> ExpectedCall:
    function = _declared(task, name)
    properties = function["parameters"]["properties"] if function else {}

    def accepts(parameter: str, value: Any) -> bool:
        return argument_is_right(
            task.language, properties.get(parameter), accepted.get(parameter), value
        )

    def equals(parameter: str, value: Any) -> bool:
        declared, options = properties.get(parameter), accepted.get(parameter)
        if declared is None or options is None:
            return False
        try:
            value = value if task.language == "python" else _read(task.language, declared, value)
        except (ValueError, OverflowError, KeyError):
            return False
        return any(_is_literally(value, option) for option in options if option != "")

    required = frozenset(parameter for parameter, options in accepted.items() if "" not in options)
    return ExpectedCall(name, required, accepts, equals)


def _is_literally(value: Any, option: Any) -> bool:
    """Whether a value is the very JSON of an answer, whose objects list what each key may be."""
    if isinstance(value, Mapping) and isinstance(option, Mapping):
        return all(key in option for key in value) and all(
            any(_is_literally(value[key], option) for option in options)
            if key in value
            else "" in options
            for key, options in option.items()
            if isinstance(options, list)
        )
    if isinstance(value, list) and isinstance(option, list):
        return len(value) == len(option) and all(map(_is_literally, value, option))
    return same_value(value, option, strictly=True)
