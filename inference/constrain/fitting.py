"""The grammars of schemas, and whether a value of them fits in the room that a reply has."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from chat.conversation import Tool
from chat.formats.call_grammar import CallGrammar
from inference.constrain.completions import completions_of
from inference.constrain.ending import LONGEST_ENDING, find_ending
from inference.constrain.json_text import JsonText
from inference.constrain.preparation import TooMuchWork, bounded_work
from inference.constrain.refusal import ToolRefused
from inference.constrain.schemas import enforceable, enforceable_parts
from inference.constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

# How the tool syntaxes write JSON. Without \u, one text has one spelling and no half surrogates.
_WRITING = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}
# What llguidance may do for one token, in its own unit, of which it does some 14,000 a millisecond;
# a call that needs more is ended as is known by then.
MOST_FUEL = 100_000
# How many schemas of a tool are tried one by one to say which of them is refused.
MOST_LOCATED = 1000


def write_schema(schema: Mapping[str, Any]) -> str:
    """Return a schema as JSON for a grammar."""
    return json.dumps({**schema, "x-guidance": _WRITING})


def write_grammar(
    start: str, grammar: CallGrammar, schemas: Sequence[str], specials: Sequence[int]
) -> str:
    """Return the whole grammar of replies, in Lark, by what they begin with."""
    arguments = [f"arguments_{i}: %json {schema}" for i, schema in enumerate(schemas)]
    tokens = [f"token_{i}: <[{id}]>" for i, id in enumerate(specials)]
    return "\n".join([f"start: {start}", grammar.rules, *tokens, *arguments])


def fitting(vocabulary: Vocabulary, tools: Sequence[Tool], room: int, forced: bool) -> list[Tool]:
    """Return the tools of which a call may fit in a room.

    Raises ToolRefused for a schema to which no value is found, and where one must fit and none
    does.
    """
    found = []
    for tool in tools:
        length = _shortest_of(vocabulary, tool)
        if length is None:
            raise no_room(vocabulary, tool, LONGEST_ENDING)
        if length <= room:
            found.append(tool)
    if forced and not found:
        raise no_room(vocabulary, tools[0], room)
    return found


@lru_cache(maxsize=1024)
def shortest(vocabulary: Vocabulary, schema: str) -> int | None:
    """Return how many tokens a value of a schema and the stop token take, as far as is found.

    None where no value is found; 0 where the schema cannot be compiled.
    """
    # In brackets the place in the value is followed as in a call.
    matcher = prepared(vocabulary, f'start: "[" value "]"\nvalue: %json {schema}')
    if matcher.is_error():
        return 0
    completions = completions_of((schema,))
    ending = find_ending(vocabulary, matcher, JsonText(rules=completions.texts), completions)
    return max(1, len(ending) - len("[]")) if ending else None


def _shortest_of(vocabulary: Vocabulary, tool: Tool) -> int | None:
    """Return `shortest` of a tool's arguments; ToolRefused where finding it is too much work."""
    try:
        return shortest(vocabulary, write_schema(enforceable(tool)))
    except TooMuchWork as error:
        raise too_costly(vocabulary, tool, error) from None


def no_room(vocabulary: Vocabulary, tool: Tool, room: int) -> ToolRefused:
    """Return the error of the innermost schema to which no value is found in a room."""
    found = f"takes more than the {room:,} tokens that the reply may have"
    more = "allow it more"
    with bounded_work():
        for pointer, schema in islice(enforceable_parts(tool), MOST_LOCATED):
            try:
                length = shortest(vocabulary, write_schema(schema))
            except TooMuchWork:
                break
            if length is None:
                return ToolRefused(
                    tool.name, pointer, f"has no value that is found in {room:,} tokens"
                )
            if length > room:
                return ToolRefused(tool.name, pointer, found, more)
    return ToolRefused(tool.name, "", found, more)


def too_costly(vocabulary: Vocabulary, tool: Tool, error: TooMuchWork) -> ToolRefused:
    """Return the error of the schema whose value takes most work to find, as far as that is seen.

    An outer schema is named where it takes more than twice the work of any one in it.
    """
    costliest, most = "", 0
    with bounded_work() as work, suppress(TooMuchWork):
        for pointer, schema in islice(enforceable_parts(tool), MOST_LOCATED):
            before = work.left
            try:
                shortest(vocabulary, write_schema(schema))
            finally:
                if before - work.left > 2 * most:
                    costliest, most = pointer, before - work.left
    return ToolRefused(tool.name, costliest, str(error), "say less in it")


def free_tool(vocabulary: Vocabulary, tool: Tool) -> Tool:
    """Return a tool as it is where a value of its schema is found, otherwise with any arguments."""
    try:
        found = _shortest_of(vocabulary, tool)
    except ToolRefused:
        found = None
    anything = {"type": "object", "additionalProperties": True}
    return tool if found else Tool(tool.name, tool.description, anything)


@lru_cache(maxsize=256)
def prepared(vocabulary: Vocabulary, lark: str) -> "LLMatcher":
    """Compile a grammar; kept, because data sets offer the same tools again and again."""
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(step_lexer_fuel=MOST_FUEL, verbose_errors=False)
    grammar = LLMatcher.grammar_from_lark(lark)
    return LLMatcher(vocabulary.made, grammar, log_level=0, limits=limits)


def refusal_of(vocabulary: Vocabulary, tools: Sequence[Tool], problem: str) -> ValueError:
    """Return the error of the innermost schema that llguidance refuses."""
    for tool in tools:
        for pointer, schema in islice(enforceable_parts(tool), MOST_LOCATED):
            error = prepared(vocabulary, f"start: %json {json.dumps(schema)}").get_error()
            if error:
                return ToolRefused(tool.name, pointer, f"is not enforced: {_reason(error)}")
    return ValueError(f"these tools cannot be constrained together: {_reason(problem)}")


def _reason(error: str) -> str:
    """Return the first line of llguidance's message, without the place in its own grammar."""
    if "coerce_one_of" in error:
        return "the members of its oneOf may not exclude each other; say anyOf"
    return error.strip().splitlines()[0].rpartition("JSON schema: ")[2][:200]
