"""Example values for parameters that come without, such as those of an MCP server's tools.

They are invented from the schema: its formats and bounds, and the parameter's name, and the
same for the same name everywhere, so that what one tool returns another takes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import validate_arguments
from synthesis import kinds, pools
from synthesis.dice import Dice
from synthesis.names import words_of
from synthesis.roles import CODES

# How many values a parameter gets; about a quarter of them is never trained.
VALUES = 48
# How deep objects in objects are filled in.
_DEEPEST = 3
Draw = Callable[[Dice], Any]


def _of(kind: kinds.Kind) -> Draw:
    return kind.draw


_FORMATS: Mapping[str, Draw] = {
    "date": _of(kinds.DATE),
    "time": _of(kinds.TIME),
    "date-time": lambda dice: f"{kinds.DATE.draw(dice)}T{kinds.TIME.draw(dice)}:00Z",
    "email": pools.email,
    "uri": lambda dice: f"https://example.com/{_slug(dice)}",
    "uuid": lambda dice: "-".join(
        f"{dice.below(16**length):0{length}x}" for length in (8, 4, 4, 4, 12)
    ),
}
# By the last word of a parameter's name that stands here.
NAMES: Mapping[str, Draw] = {
    **dict.fromkeys(("city", "town", "location", "place", "destination", "origin"), pools.city),
    **dict.fromkeys(("date", "day", "deadline", "since", "until"), _FORMATS["date"]),
    "time": _FORMATS["time"],
    **dict.fromkeys(("email", "mail"), pools.email),
    "phone": _of(kinds.PHONE),
    **dict.fromkeys(("url", "uri", "link"), _FORMATS["uri"]),
    **dict.fromkeys(("address", "street"), pools.address),
    **dict.fromkeys(("person", "user", "customer", "owner", "author", "assignee"), pools.person),
    **dict.fromkeys(("recipient", "guest", "contact"), pools.person),
    **dict.fromkeys(("product", "item", "article"), pools.product),
    **dict.fromkeys(("title", "subject", "event", "meeting", "appointment"), pools.event_title),
    **dict.fromkeys(("task", "todo", "note", "reminder"), pools.errand),
    **dict.fromkeys(("message", "text", "body", "content", "comment"), pools.message),
    **dict.fromkeys(("description", "summary"), pools.message),
    **dict.fromkeys(("path", "file", "filename"), lambda dice: f"{_slug(dice)}.txt"),
    **dict.fromkeys(("folder", "directory"), lambda dice: f"/{_slug(dice)}"),
    **dict.fromkeys(("query", "search", "keyword", "term"), pools.search_topic),
    **dict.fromkeys(("language",), lambda dice: dice.choice(("English", "German", "Spanish"))),
}


Schema = Mapping[str, Any]


def example_values(
    name: str, schema: Any, parameters: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return up to VALUES different values that fit the schema, none where none could be made.

    `parameters` is the whole schema, whose definitions the parameter's may refer to.
    """
    definitions = {key: (parameters or {})[key] for key in ("$defs",) if key in (parameters or {})}
    whole = {"type": "object", "properties": {name: schema}, "required": [name], **definitions}
    checked = Tool(name, "", whole)
    dice, found = Dice("value", name), dict[str, Any]()
    for _ in range(4 * VALUES):
        value = draw_value(name, schema, definitions.get("$defs", {}), dice)
        if not any(validate_arguments(checked, {name: value})):
            found.setdefault(repr(value), value)
        if len(found) == VALUES:
            break
    return list(found.values())


_NUMBERS = ("integer", "number")


def draw_value(
    name: str, schema: Any, definitions: Mapping[str, Any], dice: Dice, depth: int = 0
) -> Any:
    """Draw a value for a schema; deep inside, lists are empty, and so are objects."""
    schema = _plain(schema, definitions)
    if "const" in schema:
        return schema["const"]
    if values := schema.get("enum") or schema.get("examples"):
        return dice.choice(values)
    type = schema.get("type", "object" if "properties" in schema else "string")
    if type in _NUMBERS:
        return _number(schema, type == "integer", dice)
    if type == "boolean":
        return dice.chance(0.5)
    if type == "array":
        return _list(name, schema, definitions, dice, depth)
    if type == "object":
        wanted = schema.get("required", list(schema.get("properties", {}))[:2])
        return {
            key: draw_value(
                key, schema.get("properties", {}).get(key, {}), definitions, dice, depth + 1
            )
            for key in wanted
            if depth < _DEEPEST
        }
    return _text(name, schema, dice)


def _list(
    name: str, schema: Schema, definitions: Mapping[str, Any], dice: Dice, depth: int
) -> list[Any]:
    """Draw one to three different values, none deep inside, and as many as the schema wants."""
    least = schema.get("minItems", 0 if depth >= _DEEPEST else 1)
    most = 0 if depth >= _DEEPEST else min(3, schema.get("maxItems", 3))
    count, singular = dice.between(least, max(least, most)), name.removesuffix("s")
    items = schema.get("items", {})
    drawn = [draw_value(singular, items, definitions, dice, depth + 1) for _ in range(count)]
    different = [value for place, value in enumerate(drawn) if value not in drawn[:place]]
    return different if len(different) >= least else drawn


def _plain(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema without references, and with one of the types that it allows.

    What is no object, such as true, allows anything.
    """
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found = definitions.get(reference.rpartition("/")[2], {})
        schema = found if isinstance(found, Mapping) else {}
    for key in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(key, ()):
            if isinstance(choice, Mapping) and choice.get("type") != "null":
                return _plain(choice, definitions)
    if isinstance(schema.get("type"), list):
        types = [type for type in schema["type"] if type != "null"]
        return {**schema, "type": types[0] if types else "string"}
    return schema


def _number(schema: Mapping[str, Any], whole: bool, dice: Dice) -> int | float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0 if "maximum" in schema else 1))
    most = schema.get("maximum", schema.get("exclusiveMaximum", least + 199))
    step = schema.get("multipleOf", 1)
    if whole:
        first = -int(-least // step)
        return int(dice.between(first, max(first, int(most // step))) * step)
    return dice.between(round(10 * least), round(10 * most)) / 10


def _text(name: str, schema: Mapping[str, Any], dice: Dice) -> str:
    if draw := _FORMATS.get(schema.get("format", "")):
        return str(draw(dice))
    words = words_of(name)
    for word in reversed(words):
        if word in CODES:
            # Of two words the first says what it is the code of: R-48213 for a room_id.
            return f"{words[0][:1].upper() or 'X'}-{dice.between(10000, 99999)}"
        if draw := NAMES.get(word):
            return str(draw(dice))
    if words[-1] == "name":
        return pools.person(dice) if len(words) == 1 else _named(dice)
    return _named(dice)


def _named(dice: Dice) -> str:
    return f"{dice.choice(pools.COLOURS)} {dice.choice(pools.CREATURES)}"


def _slug(dice: Dice) -> str:
    return f"{dice.choice(pools.TOPICS)}-{dice.choice(pools.OCCASIONS)}".replace(" ", "-").lower()
