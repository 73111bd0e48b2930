"""A user's own tools: one Python file of functions, or one JSON file of schemas with examples."""

import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import read_tool, validate_arguments
from synthesis.cues import is_quoted
from synthesis.declaration import (
    Chain,
    Domain,
    Parameter,
    SyntheticTool,
    declare,
    distinguishable,
    enum_kind,
    is_error,
)
from synthesis.dice import Dice
from synthesis.kinds import Kind, decimal, number, one_of, several
from synthesis.names import in_words
from synthesis.requests import questions, requests, subject
from synthesis.roles import role, spoken_of
from synthesis.world import pick

DOMAIN = "custom"
_VAGUE = ("automatic", "standard", "the usual one", "something else", "the best one", "any")


def read_tools_file(path: Path | str, spoken_of: bool = True) -> tuple[Domain, ...]:
    """Read a user's tools: the domain `custom`, or a Python file's own DOMAINS; it is executed.

    Where they are not `spoken_of` in generated data, functions need no example values and none is
    called. ValueError names the file, the tool and what it lacks.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"--tools-file {path} does not exist; name a .py or .json file")
    if path.suffix not in (".py", ".json"):
        raise ValueError(f"--tools-file {path} ends in {path.suffix!r}, wanted .py or .json")
    try:
        read = _read_python(path, spoken_of) if path.suffix == ".py" else _read_json(path)
        domains = tuple(map(complete, read) if spoken_of else read)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not any(domain.tools for domain in domains):
        raise ValueError(f"{path} holds no tool")
    return domains


def complete(domain: Domain) -> Domain:
    """Give the tools of a domain phrases, and link them, where that was not done by hand."""
    tools = tuple(map(_with_phrases, domain.tools))
    return replace(domain, tools=tools, chains=domain.chains or tuple(_chains(tools)))


def _read_python(path: Path, spoken_of: bool) -> list[Domain]:
    """Take DOMAINS, or TOOLS, or every public function defined in the file."""
    spec = importlib.util.spec_from_file_location(f"tools_of_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError("it cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"it cannot be executed: {type(error).__name__}: {error}") from error
    names = vars(module)
    if "DOMAINS" in names:
        return list(names["DOMAINS"])
    found = names.get("TOOLS") or [
        value
        for name, value in names.items()
        if callable(value)
        and not name.startswith("_")
        and not isinstance(value, type)
        and getattr(value, "__module__", "") == module.__name__
    ]
    examples, wrong = names.get("EXAMPLES", {}), names.get("WRONG", {})

    def tool(entry: Any) -> SyntheticTool:
        if isinstance(entry, SyntheticTool):
            return entry
        return _of_function(entry, examples, wrong) if spoken_of else _run_only(entry)

    return [Domain(DOMAIN, tuple(map(tool, found)))]


def _run_only(function: Callable[..., Any]) -> SyntheticTool:
    """Return a tool of which no arguments are ever drawn."""
    names = inspect.signature(function).parameters
    return declare(function, (), (), kinds={name: Kind(name, lambda _: None) for name in names})


def _of_function(
    function: Callable[..., Any],
    examples: Mapping[str, Sequence[Any]],
    wrong: Mapping[str, Sequence[Any]],
) -> SyntheticTool:
    kinds = {name: _kind_of_examples(name, values, wrong) for name, values in examples.items()}
    tool = declare(function, (), (), kinds=kinds)
    parameters = tuple(map(_listing, tool.parameters))
    slips = tuple(parameter.name for parameter in parameters if parameter.name in wrong)
    return replace(tool, parameters=parameters, slips=slips)


def _kind_of_examples(
    name: str, values: Sequence[Any], wrong: Mapping[str, Sequence[Any]] | None = None
) -> Kind:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ValueError(f"the examples of {name} are {values!r}, wanted a list of values")
    strays = (wrong or {}).get(name)
    stray = (lambda dice: dice.choice(strays)) if strays else None
    return one_of(in_words(name), list(values), stray=stray)


def _listing(parameter: Parameter) -> Parameter:
    """Let an array hold one or two of its examples where these are single values."""
    if parameter.schema.get("type") != "array":
        return parameter
    if isinstance(parameter.kind.draw(Dice("example")), list):
        return parameter
    return replace(parameter, kind=several(parameter.kind, parameter.kind.noun, 1, 2))


def _read_json(path: Path) -> list[Domain]:
    content = json.loads(path.read_text(encoding="utf-8"))
    records = content.get("tools") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise ValueError('wanted a list of tools, or an object with "tools"')
    return [Domain(DOMAIN, tuple(map(_of_record, records)))]


def _of_record(record: Any) -> SyntheticTool:
    tool = read_tool(record)
    function = record.get("function", record)
    examples = own_examples(tool.name, record)
    results = record.get("results", function.get("results"))
    if not isinstance(results, list) or not results:
        raise ValueError(f'the tool {tool.name} has no example results; add "results": [...]')
    required = tool.parameters.get("required", [])
    parameters = tuple(
        _parameter(tool.name, name, schema, name in required, examples.get(name))
        for name, schema in tool.parameters["properties"].items()
        # An optional parameter without example values is declared, and never given.
        if name in required or name in examples or _tells_values(schema)
    )
    parameters = distinguishable(parameters)
    # Examples of a name or a code tell all there is: others fail.
    known = {
        parameter.name: examples.get(parameter.name) or parameter.schema["examples"]
        for parameter in parameters
        if parameter.required and parameter.kind.stray is not None and _names_one(parameter)
    }
    run = _recorded(tool, results, known)
    return SyntheticTool(tool, run, parameters, (), (), (), slips=tuple(known))


def own_examples(tool: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example values that a tool's record brings, by the names of its parameters."""
    examples: dict[str, Any] = {}
    for place in (record.get("function", record), record):
        found = place.get("examples", {})
        if not isinstance(found, Mapping):
            raise ValueError(
                f"the examples of the tool {tool} are {found!r}, wanted an object with a list of "
                "values for each parameter"
            )
        examples |= found
    return examples


def _recorded(tool: Tool, results: list[Any], known: Mapping[str, list[Any]]) -> Callable[..., Any]:
    """Return a function that gives one of the results, always the same for the same arguments."""

    def run(**arguments: Any) -> Any:
        for name, values in known.items():
            if arguments.get(name) not in values:
                raise ValueError(f"unknown {in_words(name)} {arguments.get(name)!r}")
        for problem in validate_arguments(tool, arguments):
            raise ValueError(problem.message)
        return pick(results, tool.name, json.dumps(arguments, sort_keys=True))

    return run


def _tells_values(schema: Mapping[str, Any]) -> bool:
    bounded = {"minimum", "maximum"} <= schema.keys()
    return bounded or "enum" in schema or "examples" in schema or schema.get("type") == "boolean"


def _parameter(
    tool: str, name: str, schema: Mapping[str, Any], required: bool, examples: Any
) -> Parameter:
    values = examples if examples is not None else schema.get("examples")
    noun = in_words(name)
    if "enum" in schema:
        kind = enum_kind(noun, tuple(schema["enum"]))
    elif values:
        kind = _kind_of_examples(name, values)
        if schema.get("type") == "string":
            kind = replace(kind, stray=lambda dice: _changed(values, dice))
    else:
        kind = _kind_of_schema(tool, name, noun, schema)
    return _listing(Parameter(name, kind, required, schema.get("default"), schema))


def _kind_of_schema(tool: str, name: str, noun: str, schema: Mapping[str, Any]) -> Kind:
    type = schema.get("type")
    if type == "boolean":
        return Kind(noun, lambda dice: dice.chance(0.5))
    if type == "integer" and "minimum" in schema and "maximum" in schema:
        return number(noun, schema["minimum"], schema["maximum"])
    if type == "number" and "minimum" in schema and "maximum" in schema:
        return decimal(noun, schema["minimum"], schema["maximum"])
    raise ValueError(
        f"the parameter {name} of {tool} has no example values; "
        f'add "examples": {{"{name}": [...]}} beside the tool\'s description'
    )


def _names_one(parameter: Parameter) -> bool:
    """Whether values are names of things that may not exist: no texts, dates or times."""
    texts = ("text", "title", "query", "date", "time", "moment", "manner", "email", "url")
    return role(parameter) not in texts and not (
        role(parameter) == "other" and is_quoted(parameter)
    )


def _changed(values: Sequence[Any], dice: Dice) -> Any:
    """Return what is like the examples and none of them: other digits, or parts of two names."""
    value, other = str(dice.choice(values)), str(dice.choice(values))
    digits = re.sub(r"\d", lambda found: str((int(found[0]) + dice.between(1, 9)) % 10), value)
    if digits != value:
        return digits
    mixed = "".join(value.partition(" ")[:2] + other.partition(" ")[2:])
    if " " in value and " " in other and mixed not in values:
        return mixed
    # A letter too few is a name that nobody has.
    at = dice.between(1, max(1, len(value) - 2))
    return value[:at] + value[at + 1 :] if len(value) > 3 else f"{value}x"


def _with_phrases(tool: SyntheticTool) -> SyntheticTool:
    """Give a tool that brings no phrases some that are built from its names and description."""
    tool = replace(tool, parameters=tuple(map(_with_mistakes, tool.parameters)))
    if tool.do:
        return tool
    tool = replace(tool, parameters=tuple(map(spoken_of, tool.parameters)))
    do = requests(tool)
    about = "" if tool.answer else subject(tool)
    return replace(tool, do=do, ask=tool.ask or questions(do), subject=about)


def _with_mistakes(parameter: Parameter) -> Parameter:
    """Give an enum something that a user may ask for and that it does not have."""
    values = parameter.schema.get("enum")
    if not values or parameter.kind.wrong:
        return parameter
    instead = tuple(word for word in _VAGUE if word not in values)
    return replace(parameter, kind=enum_kind(parameter.kind.noun, tuple(values), instead))


def _chains(tools: tuple[SyntheticTool, ...]) -> list[Chain]:
    """Link tools of which one's result has an entry that another takes as an argument."""
    found = []
    needed = {tool.name: {e.name for e in tool.parameters if e.required} for tool in tools}
    for first in tools:
        own = {parameter.name for parameter in first.parameters}
        result = _example(first, {})
        for then in tools:
            uses = {name: name for name in result if name in needed[then.name] and name not in own}
            if uses and first is not then and _example(then, {name: result[name] for name in uses}):
                # A tool with phrases of its own tells elsewhere what it takes from the first one.
                after = requests(then, uses) if then.subject else then.do
                do = (f"{one}, and (then|after that) {two}" for one in first.do for two in after)
                found.append(Chain(first.name, then.name, uses, tuple(do)))
    return found


def _example(tool: SyntheticTool, fixed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result of a tool, empty where it gives none that has entries."""
    dice = Dice("example", tool.name)
    for _ in range(50):
        drawn = {
            parameter.name: parameter.kind.draw(dice)
            for parameter in tool.parameters
            if parameter.required
        }
        result = tool.run({**drawn, **fixed})
        if isinstance(result, dict) and not is_error(result):
            return result
    return {}
