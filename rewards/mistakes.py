"""Typed mistakes: what a model might say or call wrongly in place of a right reply.

A mistake keeps to the tools and, but for a missing argument, to their schemas, so that only what
was asked for tells it from the right reply.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chat.conversation import Message, Tool, ToolCall
from chat.schemas.validation import validate_arguments
from evaluation.failures import (
    COULD_CALL,
    MISSING,
    NEEDLESS,
    NO_TOOL_WANTED,
    WRONG_TOOL,
    WRONG_VALUE,
)
from rewards.turns import Turn
from rewards.values import (
    SeenValues,
    made_up,
    other_value,
    properties_of,
    required_of,
    varied,
)
from synthesis.dice import Dice
from synthesis.grammar import plain
from synthesis.names import in_words, words_of
from synthesis.phrasing import DECLINES, OFFERS, reply

# How many of the most similar tools are tried for a wrong one.
_NEAREST = 4
# What is said in place of a call: a question about what is known, a promise, a claim, a refusal.
_ASKING = (
    "(Could|Can) you (please |)tell me the {name}?",
    "(What|Which) {name} (do you mean|should I use|would you like)?",
    "(Before I start|To do that|For this), I need the {name}.",
)
_TALKING = (
    "(Sure|Of course|Certainly|Okay)(,|!) (I will|I'll|let me) (look into that|take care of that|"
    "do that|check that)( for you| now|).",
    "(I can|I could) do that (for you |)with {tool}. (Shall I|Should I|Do you want me to)?",
    "(Done|All done|That is done|That has been taken care of)(.|!)",
)


def wrong_value(turn: Turn, seen: SeenValues, dice: Dice) -> Message | None:
    """Return the calls with another value in one argument."""
    for place, call, tool, name in _arguments(turn, dice):
        old, schema = call.arguments[name], properties_of(tool).get(name)
        for new in (
            other_value(old, seen.of(call.name, name), dice),
            varied(old, schema, dice),
            other_value(old, [made_up(schema, _asked(turn), dice)], dice),
        ):
            changed = replace(call, arguments={**call.arguments, name: new})
            if new is not None and _fits(tool, changed):
                return _with_call(turn.reply, place, changed)
    return None


def missing_argument(turn: Turn, seen: SeenValues, dice: Dice) -> Message | None:
    """Return the calls without one of their arguments."""
    for place, call, _, name in _arguments(turn, dice):
        left = {key: value for key, value in call.arguments.items() if key != name}
        return _with_call(turn.reply, place, replace(call, arguments=left))
    return None


def needless_argument(turn: Turn, seen: SeenValues, dice: Dice) -> Message | None:
    """Return the calls with an argument that nobody asked for, not its default."""
    offered = {tool.name: tool for tool in turn.tools}
    for place, call in dice.shuffled(list(enumerate(turn.reply.tool_calls))):
        tool = offered[call.name]
        spare = [name for name in properties_of(tool) if name not in call.arguments]
        for name in dice.shuffled(spare):
            schema = properties_of(tool)[name]
            values = seen.of(call.name, name) or [made_up(schema, _asked(turn), dice)]
            value = dice.choice(values)
            default = schema.get("default") if isinstance(schema, Mapping) else None
            added = replace(call, arguments={**call.arguments, name: value})
            if value not in (None, default) and _fits(tool, added):
                return _with_call(turn.reply, place, added)
    return None


def wrong_tool(turn: Turn, seen: SeenValues, dice: Dice) -> Message | None:
    """Return the calls with another tool in place of one, or of several calls without one."""
    calls = turn.reply.tool_calls
    if not calls:
        return None
    place = dice.below(len(calls))
    if len(calls) > 1 and dice.chance(0.5):
        return replace(turn.reply, tool_calls=calls[:place] + calls[place + 1 :])
    call = calls[place]
    for tool in _nearest(turn, call, dice):
        made = _call_of(tool, turn, seen, dice, call.arguments)
        if made is not None:
            return _with_call(turn.reply, place, replace(made, id=call.id))
    return None


def needless_call(turn: Turn, seen: SeenValues, dice: Dice) -> Message | None:
    """Return a call where text is wanted: too early, once more, or of a tool that does not help."""
    made = _early_call(turn, seen, dice)
    earlier = turn.earlier_calls()
    if made is None and turn.before.role == "tool" and earlier and dice.chance(0.5):
        made = earlier[-1]
    if made is None:
        for tool in _talked_of(turn, dice):
            made = _call_of(tool, turn, seen, dice, {})
            if made is not None:
                break
    if made is None:
        return None
    # Nine letters and digits: the narrowest form that a chat format wants.
    return Message("assistant", "", (replace(made, id=f"call{len(earlier) + 1:05}"),))


def talk(turn: Turn, seen: SeenValues, dice: Dice) -> Message | None:
    """Return text where a call is wanted: a needless question, a promise, a claim, a refusal."""
    if not turn.reply.tool_calls:
        return None
    call = dice.choice(turn.reply.tool_calls)
    tool, names = in_words(call.name), list(call.arguments)
    if names and dice.chance(0.5):
        name = in_words(dice.choice(names))
        return Message("assistant", plain(reply(dice, _ASKING, name=name)))
    if dice.chance(0.6):
        return Message("assistant", plain(reply(dice, _TALKING, tool=tool)))
    offer = reply(dice, OFFERS, tools=tool)
    return Message("assistant", plain(reply(dice, DECLINES, offer=offer)))


Mistake = Callable[[Turn, SeenValues, Dice], Message | None]
MISTAKES: Mapping[str, Mistake] = {
    WRONG_VALUE: wrong_value,
    MISSING: missing_argument,
    NEEDLESS: needless_argument,
    WRONG_TOOL: wrong_tool,
    NO_TOOL_WANTED: needless_call,
    COULD_CALL: talk,
}


def _arguments(turn: Turn, dice: Dice) -> Iterator[tuple[int, ToolCall, Tool, str]]:
    """Yield each argument of the right calls, in random order: its call's place, call and tool."""
    offered = {tool.name: tool for tool in turn.tools}
    found = [
        (place, call, offered[call.name], name)
        for place, call in enumerate(turn.reply.tool_calls)
        for name in call.arguments
    ]
    yield from dice.shuffled(found)


def _with_call(message: Message, place: int, call: ToolCall) -> Message:
    calls = message.tool_calls
    return replace(message, tool_calls=(*calls[:place], call, *calls[place + 1 :]))


def _fits(tool: Tool, call: ToolCall) -> bool:
    return not validate_arguments(tool, call.arguments)


def _asked(turn: Turn) -> str:
    """Return what the user said last."""
    earlier = reversed(turn.conversation.messages[: turn.place])
    return next((message.content for message in earlier if message.role == "user"), "")


def _nearest(turn: Turn, call: ToolCall, dice: Dice) -> list[Tool]:
    """Return the offered tools that resemble the called one most, by words and parameters."""
    called = {call.name for call in turn.reply.tool_calls}
    words, parameters = set(words_of(call.name)), call.arguments.keys()

    def likeness(tool: Tool) -> int:
        return len(words & set(words_of(tool.name))) + len(parameters & properties_of(tool).keys())

    others = [tool for tool in turn.tools if tool.name not in called]
    return sorted(dice.shuffled(others), key=likeness, reverse=True)[:_NEAREST]


def _talked_of(turn: Turn, dice: Dice) -> list[Tool]:
    """Return the offered tools whose name has most words in common with what the user said."""
    said = set(_asked(turn).lower().split())
    return sorted(
        dice.shuffled(turn.tools),
        key=lambda tool: len(said & set(words_of(tool.name))),
        reverse=True,
    )[:_NEAREST]


def _early_call(turn: Turn, seen: SeenValues, dice: Dice) -> ToolCall | None:
    """Return the call that comes later, with guesses for what nobody said yet."""
    offered = {tool.name: tool for tool in turn.tools}
    known = " ".join(message.content for message in turn.conversation.messages[: turn.place])
    for call in turn.later_calls() if turn.before.role == "user" else ():
        tool = offered.get(call.name)
        if tool is None:
            continue
        guessed = {
            name: value if str(value) in known else _guess(tool, name, turn, seen, dice, value)
            for name, value in call.arguments.items()
        }
        made = replace(call, arguments=guessed)
        if _fits(tool, made):
            return made
    return None


def _guess(
    tool: Tool, name: str, turn: Turn, seen: SeenValues, dice: Dice, right: Any = None
) -> Any:
    """Return a value for a parameter, another than the right one where that is possible."""
    values = seen.of(tool.name, name)
    others: Sequence[Any] = [value for value in values if value != right] or values
    if others:
        return dice.choice(others)
    return made_up(properties_of(tool).get(name), _asked(turn), dice)


def _call_of(
    tool: Tool, turn: Turn, seen: SeenValues, dice: Dice, hints: Mapping[str, Any]
) -> ToolCall | None:
    """Return a call of a tool that fits its schema, with the `hints` it has parameters for."""
    declared = properties_of(tool)
    arguments = {name: value for name, value in hints.items() if name in declared}
    for name in required_of(tool):
        if name not in arguments:
            arguments[name] = _guess(tool, name, turn, seen, dice)
    made = ToolCall(tool.name, arguments)
    if not _fits(tool, made):
        required = required_of(tool)
        fewer = {name: _guess(tool, name, turn, seen, dice) for name in required}
        made = ToolCall(tool.name, fewer)
    return made if _fits(tool, made) else None
