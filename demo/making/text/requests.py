"""Requests as the generator of tool conversations plays them, answered in forms.

Fine-tuning shows the same kinds of requests (single, several at once, incomplete, unfit), but not
the notation in which forms are declared and filled in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chat.conversation import Conversation, Message, Tool
from demo.making.text.fields import Field, Filled
from demo.making.text.forms import announced
from demo.making.text.names import Words
from demo.making.text.notation import Entry, Form, written
from demo.making.text.tools import draw_domain
from synthesis.behaviours import BEHAVIOURS
from synthesis.catalogue import Catalogue
from synthesis.declaration import Domain
from synthesis.dice import Dice
from synthesis.scene import Scene

# How many of a hundred requests go by each behaviour.
_SHARES = {
    "single_call": 28,
    "parallel_calls": 20,
    "call_sequence": 12,
    "missing_argument": 18,
    "invalid_value": 4,
    "tool_error": 3,
    "no_suitable_tool": 12,
    "answer_from_result": 3,
    "small_talk": 3,
}
_PLAYED = tuple(name for name, share in _SHARES.items() for _ in range(share))


def request_conversation(words: Words) -> Conversation:
    """Return one to three requests to the same one to four forms."""
    forms = words.dice.choice((1, 2, 2, 2, 3, 3, 4))
    return _conversation(words, forms, words.dice.choice((1, 2, 2, 3)), _PLAYED, "seen")


def missing_conversation(words: Words) -> Conversation:
    """Return requests to one or two forms; about half of them leave something out.

    The first token of a reply decides whether it asks, so this is trained on its own.
    """
    forms = words.dice.between(1, 2)
    behaviours = ("single_call", "missing_argument")
    return _conversation(words, forms, words.dice.between(3, 4), behaviours, "seen")


def plain_call(words: Words) -> Conversation:
    """Return one request that one of the declared forms answers, and the answer."""
    whole = _conversation(words, words.dice.between(2, 4), 1, ("single_call",), "unseen")
    return Conversation(whole.messages[:3])


def _conversation(
    words: Words, count: int, requests: int, behaviours: Sequence[str], values: str
) -> Conversation:
    """Return so many requests to `count` forms, each played as one of the behaviours."""
    dice = words.dice
    offered, absent, other = _domains(words, (count, 1, 1))
    there, elsewhere = Catalogue((offered,)), Catalogue((absent, other))
    tools = tuple(dice.shuffled(offered.tools))
    forms = {tool.name: _form(tool.tool) for tool in tools}
    messages = [announced(words, list(forms.values()))]
    possible = [behaviour for behaviour in behaviours if BEHAVIOURS[behaviour].possible(there)]
    for _ in range(requests):
        behaviour = dice.choice(possible)
        catalogue = elsewhere if behaviour == "no_suitable_tool" else there
        scene = Scene(dice, catalogue, values=values)
        scene.offered = tuple(tool.tool for tool in tools)
        BEHAVIOURS[behaviour].play(scene)
        messages += _in_forms(_shortened(dice, scene.messages), forms)
    return Conversation(tuple(messages))


def _domains(words: Words, counts: Sequence[int]) -> list[Domain]:
    """Draw fields of so many tools, no two of the same name."""
    domains: list[Domain] = []
    for place, count in enumerate(counts):
        taken = frozenset(tool.name for domain in domains for tool in domain.tools)
        domains.append(draw_domain(words, f"field_{place}", count, taken))
    return domains


def _shortened(dice: Dice, messages: Sequence[Message]) -> Sequence[Message]:
    """Most often leave out what follows the last call: its result and what is said of it."""
    last = max((at for at, message in enumerate(messages) if message.tool_calls), default=None)
    if (
        last is None
        or any(message.role == "user" for message in messages[last:])
        or dice.chance(0.3)
    ):
        return messages
    return messages[: last + 1]


def _in_forms(messages: Sequence[Message], forms: Mapping[str, Form]) -> Iterator[Message]:
    """Yield the messages with calls as filled in forms, and with their results as the user's."""
    results: list[str] = []
    for message in messages:
        if message.role == "tool":
            results.append(f"Result: {message.content}")
            continue
        if results:
            yield Message("user", "\n".join(results))
            results = []
        if message.tool_calls:
            entries = [_entry(forms[call.name], call.arguments) for call in message.tool_calls]
            message = Message("assistant", "\n".join(map(written, entries)))
        yield message


def _form(tool: Tool) -> Form:
    """Return a tool as a form; its fields are described by their names alone."""
    required = tool.parameters["required"]
    fields = (
        Field(name, "", schema["type"], tuple(schema.get("enum", ())), name in required)
        for name, schema in tool.parameters["properties"].items()
    )
    return Form(tool.name, tool.description, tuple(fields))


def _entry(form: Form, arguments: Mapping[str, Any]) -> Entry:
    filled = (
        Filled(field, arguments[field.name], "") for field in form.fields if field.name in arguments
    )
    return Entry(form, tuple(filled))
