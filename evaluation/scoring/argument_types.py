"""Which share of the arguments of each type is right."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chat.conversation import Tool
from evaluation.figures import Figures, figures_of
from evaluation.scoring.calls import Verdict

_TYPES = ("string", "integer", "number", "boolean", "array", "object")


def by_argument_type(
    judged: Iterable[tuple[Verdict, Sequence[Tool]]], conversations: Sequence[str] = ()
) -> Figures:
    """Return for each type, by the schema of the offered tools, how many wanted ones are right.

    `conversations` names that of each verdict; without it each is of one of its own.
    """
    counts: list[dict[str, tuple[int, int]]] = []
    for verdict, tools in judged:
        kinds: dict[str, tuple[int, int]] = {}
        for argument in verdict.arguments:
            if argument.wanted:
                kind = argument_type(tools, argument.function, argument.name)
                right, wanted = kinds.get(kind, (0, 0))
                kinds[kind] = right + argument.right, wanted + 1
        counts.append(kinds)
    order = [*_TYPES, *sorted({kind for kinds in counts for kind in kinds} - set(_TYPES))]
    pairs = {kind: [kinds.get(kind, (0, 0)) for kinds in counts] for kind in order}
    return figures_of(pairs, conversations)


def argument_type(tools: Sequence[Tool], function: str, name: str) -> str:
    """Return the type a tool declares for an argument; `enumeration` where it lists the values."""
    for tool in tools:
        properties = tool.parameters.get("properties")
        if tool.name == function and isinstance(properties, Mapping) and name in properties:
            return _declared(properties[name])
    return "undeclared"


def _declared(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    if "enum" in schema:
        return "enumeration"
    kinds = schema.get("type")
    some = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    return some[0] if len(some) == 1 and some[0] in _TYPES else "any"
