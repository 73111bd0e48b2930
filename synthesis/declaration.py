"""What a synthetic tool is: an executable function with phrases; its schema is read off it."""

import inspect
import json
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from chat.conversation import Tool
from synthesis.grammar import joined, shown
from synthesis.kinds import Kind, several
from synthesis.names import in_words

_TYPES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


@dataclass(frozen=True)
class Instead:
    """Marks an enum's parameter: what a user may ask for that is not among its values."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """An argument that a tool takes."""

    name: str
    kind: Kind
    required: bool
    default: Any
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class SyntheticTool:
    """A tool that runs, and how people talk about it.

    do: Requests that follow "Please": "(check|look up) the weather in {city}[ on {date}]".
    ask: Questions without their mark: "what is the weather like in {city}". May be empty.
    answer: What the assistant says of a result; slots are arguments and the result's keys.
    more: Pairs of a later question and its answer from the same result.
    slips: Parameters of which some values make the function raise ValueError.
    subject: What a result is about, where sentences about it are made of its entries alone.
    """

    tool: Tool
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    do: tuple[str, ...]
    ask: tuple[str, ...]
    answer: tuple[str, ...]
    more: tuple[tuple[str, str], ...] = ()
    slips: tuple[str, ...] = ()
    domain: str = ""
    subject: str = ""

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.tool.name

    def run(self, arguments: Mapping[str, Any]) -> Any:
        """Return the function's result, or `{"error": ...}` with what it raised."""
        try:
            return self.function(**arguments)
        # A user's own function may raise anything; for a model that is an error like another.
        except Exception as error:
            return {"error": str(error) or type(error).__name__}
        except SystemExit as error:
            # A terminated process exits with this code (console/command.py), even inside a tool.
            if error.code == 128 + signal.SIGTERM:
                raise
            return {"error": f"{self.name} called exit({error.code!r})"}

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of this name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


@dataclass(frozen=True)
class Chain:
    """Two tools of which the second takes arguments from the first one's result.

    uses: Argument of `then` -> key of the result of `first`. Arguments with the same name in
        both, when not named here, have the same value.
    do: Requests for both at once; slots are the arguments of both but those in `uses`.
    """

    first: str
    then: str
    uses: Mapping[str, str]
    do: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """Tools of one field.

    reasons: Sentences, without their dot, that people say before a request.
    similar: Domains whose tools could be meant too; they are not offered beside these.
    """

    name: str
    tools: tuple[SyntheticTool, ...]
    chains: tuple[Chain, ...] = ()
    reasons: tuple[str, ...] = ()
    similar: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        named = tuple(replace(tool, domain=self.name) for tool in self.tools)
        object.__setattr__(self, "tools", named)


def is_error(result: Any) -> bool:
    """Return whether a result is an error."""
    return isinstance(result, dict) and set(result) == {"error"}


@lru_cache(maxsize=65536)
def fitting(templates: tuple[str, ...], given: frozenset[str]) -> tuple[str, ...]:
    """Return the templates that tell exactly the values of the `given` slots."""
    return tuple(template for template in templates if shown(template, given) == given)


def declare(
    function: Callable[..., Any],
    do: tuple[str, ...],
    answer: tuple[str, ...],
    ask: tuple[str, ...] = (),
    more: tuple[tuple[str, str], ...] = (),
    slips: tuple[str, ...] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> SyntheticTool:
    """Make a tool of a function with annotations and a docstring (a sentence, then `Args:`).

    `kinds` are those of parameters whose annotation names none.
    """
    about, sentences = _documentation(function)
    hints = get_type_hints(function, include_extras=True)
    parameters = tuple(
        _parameter(function.__name__, parameter, hints, sentences, kinds or {})
        for parameter in inspect.signature(function).parameters.values()
    )
    parameters = distinguishable(parameters)
    schema = {
        "type": "object",
        "properties": {parameter.name: dict(parameter.schema) for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.required],
    }
    tool = Tool(function.__name__, about, schema)
    return SyntheticTool(tool, function, parameters, do, ask, answer, more, slips)


def distinguishable(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Call parameters of the same kind by their names: not two dates but a start and an end.

    A name of a letter or two is no word: such parameters are a first and a second one.
    """
    nouns = [parameter.kind.noun for parameter in parameters]
    return tuple(
        replace(parameter, kind=_renamed(parameter, place, nouns.count(parameter.kind.noun) > 1))
        for place, parameter in enumerate(parameters)
    )


def _renamed(parameter: Parameter, place: int, shared: bool) -> Kind:
    kind, words = parameter.kind, in_words(parameter.name)
    noun = words if shared else kind.noun
    if len(noun) <= 2:
        order = _ORDER[place] if place < len(_ORDER) else f"{place + 1}th"
        noun = f"{order} {kind.noun if len(kind.noun) > 2 else 'value'}"
    if noun == kind.noun:
        return kind
    return replace(kind, noun=noun, rule=kind.rule.replace(f"the {kind.noun} ", f"the {noun} "))


_ORDER = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def _documentation(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return what a function does and a sentence for each argument, from its docstring."""
    about, _, rest = (inspect.getdoc(function) or "").partition("\n\nArgs:\n")
    sentences = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + rest)[1:]:
        name, _, sentence = entry.partition(":")
        sentences[name.strip()] = " ".join(sentence.split())
    return " ".join(about.split()), sentences


def _parameter(
    function: str,
    parameter: inspect.Parameter,
    hints: Mapping[str, Any],
    sentences: Mapping[str, str],
    kinds: Mapping[str, Kind],
) -> Parameter:
    name, default = parameter.name, parameter.default
    if name not in hints:
        raise ValueError(f"the parameter {name} of {function} has no annotation; add its type")
    schema, kind = _read(hints[name], in_words(name))
    kind = kinds.get(name, kind)
    if kind is None:
        raise ValueError(
            f"the parameter {name} of {function} has no example values; "
            f"give them as EXAMPLES = {{{name!r}: [...]}} or annotate it with a kind"
        )
    sentence = {"description": sentences[name]} if name in sentences else {}
    required = default is inspect.Parameter.empty
    ending = {} if required or default is None else {"default": default}
    return Parameter(name, kind, required, default, {**schema, **sentence, **ending})


def _read(annotation: Any, noun: str) -> tuple[dict[str, Any], Kind | None]:
    """Return the JSON Schema of an annotation, and its kind where it tells one."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _read_annotated(inner, noun)
    if origin in (Union, UnionType):
        return _read(next(member for member in inner if member is not NoneType), noun)
    if origin is Literal:
        return {"type": _TYPES[type(inner[0])], "enum": list(inner)}, enum_kind(noun, inner)
    if origin is list:
        items, kind = _read(inner[0], noun)
        return {"type": "array", "items": items}, several(kind, noun) if kind else None
    if is_typeddict(annotation):
        return _object_schema(annotation), None
    if annotation is bool:
        return {"type": "boolean"}, Kind(noun, lambda dice: dice.chance(0.5))
    if (origin or annotation) not in _TYPES:
        raise ValueError(f"{noun}: no JSON Schema for the annotation {annotation}")
    return {"type": _TYPES[origin or annotation]}, None


def _read_annotated(inner: tuple[Any, ...], noun: str) -> tuple[dict[str, Any], Kind | None]:
    schema, kind = _read(inner[0], noun)
    for note in inner[1:]:
        if isinstance(note, Kind):
            schema, kind = {**schema, **note.schema}, note
        elif isinstance(note, Instead):
            kind = enum_kind(noun, tuple(schema["enum"]), note.words)
    return schema, kind


def _object_schema(annotation: Any) -> dict[str, Any]:
    hints = get_type_hints(annotation, include_extras=True)
    properties = {name: _read(hint, name)[0] for name, hint in hints.items()}
    # In the order of the class: the set of required keys has none.
    required = [name for name in hints if name in annotation.__required_keys__]
    return {"type": "object", "properties": properties, "required": required}


def enum_kind(noun: str, values: tuple[Any, ...], instead: tuple[str, ...] = ()) -> Kind:
    """Return the kind of an enum; `instead` are words for what is not among its values."""
    words = joined([say_enum(value) for value in values], "or")
    return Kind(
        noun,
        lambda dice: dice.choice(values),
        lambda value, dice: say_enum(value),
        wrong=(lambda dice: dice.choice(instead)) if instead else None,
        rule=f"(the {noun} can only be|the choice is|I can only take) {words}",
    )


def say_enum(value: Any) -> str:
    """Return the words of an enum's value."""
    return str(value).replace("_", " ")


def result_text(result: Any) -> str:
    """Return a result as the JSON text of a tool's message; ValueError where it is none."""
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"a tool's result cannot be written as JSON: {error}") from error
