"""Results of tools that show none: what their output schema, or their name, says they give.

list_events    {"events": ["Pricing review", "Hiring lunch with Mei"]}
close_issue    {"status": "done"}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chat.conversation import Tool
from synthesis.dice import Dice
from synthesis.names import words_of
from synthesis.pools import listed
from synthesis.requests import LOOKING
from synthesis.roles import CODES, is_plural, singular
from synthesis.wording import CHANGING, harmless, imperative
from teaching.examples import NAMES, Schema, draw_value, example_values

RESULTS = 48
# So few different ones stand once each.
FEW = 8
# What changes something has changed it; what was asked for has a state.
_STATES_AFTER = listed("done ok completed success")
_STATES = listed("open ready waiting confirmed")
_COMPUTING = frozenset(listed("calculate compute convert estimate measure"))
# Who asks for these wants to know what there is, or how much of it.
_COUNTING = frozenset(listed("count list search"))
_READING = frozenset(
    listed(
        "check count describe fetch find get list look lookup provide query read retrieve return "
        "search show tell track view"
    )
)
_QUANTITIES = frozenset(
    listed(
        "amount balance cost count distance duration height humidity length level percentage "
        "pressure price quantity rate score size speed stock temperature total value volume weight"
    )
)
# What a sentence or two stand in.
_TEXTS = frozenset(
    listed(
        "article body comment content description document email file letter message note page "
        "summary text"
    )
)


def invented_results(
    tool: Tool, schema: Any, codes: Mapping[str, Mapping[str, Schema]]
) -> list[dict[str, Any]]:
    """Return results as the output schema has them, or else as the tool's name says, with codes.

    A tool create_order gives the order_id that cancel_order wants: `codes` are the wanted ones.
    """
    dice = Dice("result", tool.name)
    if isinstance(schema, Mapping) and schema.get("properties"):
        drawn = [draw_value("", schema, schema.get("$defs", {}), dice) for _ in range(RESULTS)]
        return _once_each([value for value in drawn if isinstance(value, dict)])
    given = {
        name: example_values(name, wanted)
        for word in dict.fromkeys(words_of(tool.name))
        for name, wanted in codes.get(word, {}).items()
        if name not in tool.parameters["properties"]
    }
    return _once_each(
        [
            {**_by_name(tool, dice), **{name: dice.choice(given[name]) for name in given}}
            for _ in range(RESULTS)
        ]
    )


def _once_each(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what stands twice where few differ; of many, what comes often stays often."""
    different = list({repr(result): result for result in results}.values())
    return different if len(different) <= FEW else results


def codes_wanted(tools: Sequence[Tool]) -> dict[str, dict[str, Schema]]:
    """Return the codes that tools require, by what they are codes of: order for an order_id."""
    found: dict[str, dict[str, Schema]] = {}
    for tool in tools:
        for name in tool.parameters.get("required", []):
            schema = tool.parameters["properties"].get(name, {})
            *what, code = words_of(name)
            if what and code in CODES and schema.keys() <= {"type", "description", "title"}:
                found.setdefault(what[-1], {}).setdefault(name, schema)
    return found


def _by_name(tool: Tool, dice: Dice) -> dict[str, Any]:
    """Draw a result that suits a tool's name: what it lists, reads or computes, or a state."""
    words = words_of(tool.name)
    verb = _verb(tool, words)
    things = words[words[0] == verb :]
    noun = things[-1] if things else ""
    if noun in ("status", "state") or verb == "track":
        return {"status": dice.choice(_STATES)}
    if verb in _COMPUTING or (noun in _QUANTITIES and verb in _READING):
        return {noun if noun in _QUANTITIES else "result": dice.between(10, 999) / 10}
    if verb not in _READING:
        return {"status": dice.choice(_STATES_AFTER if verb in CHANGING else ("done",))}
    if verb in _COUNTING or (is_plural(noun) and _is_shown(singular(noun))):
        return _several("_".join(things), verb, dice)
    if noun in _TEXTS:
        return {"text": _drawn("text", dice)}
    if noun in NAMES and not any(noun in words_of(name) for name in tool.parameters["properties"]):
        return {noun: _drawn(noun, dice)}
    return {"updated_at": _drawn("time", dice)}


def _verb(tool: Tool, words: Sequence[str]) -> str:
    """Return what a tool does in a word: its name's first, or its description's."""
    if words[0] in CHANGING | LOOKING:
        return words[0]
    return imperative(harmless(tool.description)).partition(" ")[0].lower()


def _is_shown(one: str) -> bool:
    """Return whether several of a thing are told by their names."""
    return one in NAMES and one not in _TEXTS


def _several(name: str, verb: str, dice: Dice) -> dict[str, Any]:
    """Draw up to three things where a list shows them, or how many there are."""
    noun = name.rpartition("_")[2]
    if is_plural(noun) and _is_shown(singular(noun)) and verb != "count":
        drawn = [_drawn(singular(noun), dice) for _ in range(dice.between(0, 3))]
        return {name: list(dict.fromkeys(drawn))}
    return {name if is_plural(noun) else "found": dice.between(0, 12)}


def _drawn(name: str, dice: Dice) -> Any:
    return dice.choice(example_values(name, {"type": "string"}))
