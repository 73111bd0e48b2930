"""Small tasks of copying and looking up: say it again, find it in a record, remember what was said.

Every answer stands in the context; nothing has to be known.
"""

import json
from collections.abc import Callable
from typing import Any

from chat.conversation import Conversation, Message
from demo.making.text.names import Words


def copy_conversation(words: Words) -> Conversation:
    """Return requests to repeat names: one, several, or one of several."""
    messages: list[Message] = []
    for _ in range(words.dice.between(2, 4)):
        names = [_name(words) for _ in range(words.dice.choice((1, 1, 2, 3)))]
        ask = words.dice.choice(("Repeat: {}", "Say {} again.", "Copy {}", "Write {}.", "{}?"))
        listed = ", ".join(names)
        messages += [Message("user", ask.replace("{}", listed)), Message("assistant", listed)]
    return Conversation(tuple(messages))


def plain_copy(words: Words) -> Conversation:
    """Return one request to repeat one unknown name."""
    name = words.unknown()
    return Conversation((Message("user", f"Repeat: {name}"), Message("assistant", name)))


def recall_conversation(words: Words) -> Conversation:
    """Return many questions, a key and no more, about a list of pairs; the value is the answer."""
    dice = words.dice
    pairs: dict[str, str] = {}
    while len(pairs) < dice.choice((2, 3, 4, 6, 8)):
        key = dice.choice((words.noun, words.noun, words.thing, words.identifier, words.invented))()
        pairs[key] = dice.choice((words.noun, words.invented, words.identifier, words.code))()
    joint, end = dice.choice((": ", " = ", " -> ", "\n", ", ")), dice.choice(("", "", "?", ":"))
    shown = "\n".join(f"{key}{joint}{value}" for key, value in pairs.items())
    messages = [Message("system", shown)]
    for _ in range(dice.between(8, 12)):
        key = dice.choice(tuple(pairs))
        messages += [Message("user", f"{key}{end}"), Message("assistant", pairs[key])]
    return Conversation(tuple(messages))


def lookup_conversation(words: Words) -> Conversation:
    """Return questions about a record, a list of records, or the keys of a record."""
    kind = words.dice.choice((_record, _record, _record, _table, _reverse))
    system, ask = kind(words)
    messages = [Message("system", system)]
    for _ in range(words.dice.between(5, 10)):
        question, answer = ask()
        messages += [Message("user", question), Message("assistant", answer)]
    return Conversation(tuple(messages))


def memory_conversation(words: Words) -> Conversation:
    """Return a dialogue in which things get names, and are called by them later."""
    dice = words.dice
    facts: dict[str, str] = {}
    while len(facts) < dice.between(1, 3):
        facts[words.thing()] = words.proper().title()
    messages: list[Message] = []
    for thing, name in facts.items():
        say = dice.choice(("My {} is called {}.", "I named my {} {}.", "The {} is {}."))
        reply = dice.choice((f"{name} is your {thing}.", f"So {name} it is.", f"Hello, {name}!"))
        messages += [
            Message("user", say.replace("{}", thing, 1).replace("{}", name, 1)),
            Message("assistant", reply),
        ]
    for thing, name in dice.shuffled(list(facts.items())):
        ask = dice.choice((f"What is my {thing} called?", f"Who is the {thing}?"))
        messages += [Message("user", ask), Message("assistant", f"Your {thing} is called {name}.")]
    return Conversation(tuple(messages))


def json_conversation(words: Words) -> Conversation:
    """Return a sentence turned into JSON, or JSON into sentences."""
    dice = words.dice
    values = {_key(words): _value(words) for _ in range(dice.between(1, 5))}
    text = json.dumps(values, ensure_ascii=False)
    told = dice.choice((" is ", ": ", " = "))
    sentence = dice.choice((", ", "; ", "\n")).join(
        f"{key.replace('_', ' ')}{told}{_spoken(value)}" for key, value in values.items()
    )
    if dice.chance(0.7):
        return _pair(f"As JSON: {sentence}", text)
    lines = "\n".join(f"{key}: {_spoken(value)}" for key, value in values.items())
    return _pair(f"As lines: {text}", lines)


def _pair(question: str, answer: str) -> Conversation:
    return Conversation((Message("user", question), Message("assistant", answer)))


def _name(words: Words) -> str:
    kinds = (words.unknown, words.unknown, words.proper, words.identifier, words.code)
    return words.dice.choice(kinds)()


def _key(words: Words) -> str:
    return words.dice.choice((words.noun, words.identifier, lambda: words.thing()))().replace(
        " ", "_"
    )


def _value(words: Words) -> Any:
    dice = words.dice
    if dice.chance(0.25):
        return dice.between(0, 99999)
    if dice.chance(0.1):
        return dice.chance(0.5)
    return _name(words)


def _spoken(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


Ask = Callable[[], tuple[str, str]]


def _shown(words: Words, values: dict[str, Any]) -> str:
    if words.dice.chance(0.6):
        return json.dumps(values, ensure_ascii=False)
    return "\n".join(f"{key}: {_spoken(value)}" for key, value in values.items())


def _record(words: Words) -> tuple[str, Ask]:
    values = {_key(words): _value(words) for _ in range(words.dice.choice((2, 3, 4, 5, 7, 9)))}

    def ask() -> tuple[str, str]:
        key = words.dice.choice(tuple(values))
        spoken, value = words.dice.choice((key, key.replace("_", " "))), _spoken(values[key])
        # saying the key again before its value is easier to learn than the value alone
        asked = words.dice.below(4)
        if asked == 0:
            return f"{spoken}?", value
        if asked == 1:
            return f"Tell me the {spoken}.", value
        if asked == 2:
            return f"What is the {spoken}?", f"The {spoken} is {value}."
        return f"What about {spoken}?", f"{key}: {value}"

    return _shown(words, values), ask


def _reverse(words: Words) -> tuple[str, Ask]:
    values = {_key(words): _name(words) for _ in range(words.dice.choice((2, 2, 3, 4, 5)))}

    def ask() -> tuple[str, str]:
        key = words.dice.choice(tuple(values))
        return f"Where does it say {values[key]}?", key

    return _shown(words, values), ask


def _table(words: Words) -> tuple[str, Ask]:
    dice = words.dice
    keys = tuple({words.noun(): None for _ in range(dice.between(1, 3))})
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < dice.between(2, 4):
        rows[words.proper()] = {key: _value(words) for key in keys}

    def ask() -> tuple[str, str]:
        name, key = dice.choice(tuple(rows)), dice.choice(keys)
        question = dice.choice((f"What is the {key} of {name}?", f"{name}, {key}?"))
        return question, _spoken(rows[name][key])

    lines = [json.dumps({"name": name, **row}, ensure_ascii=False) for name, row in rows.items()]
    return "\n".join(lines), ask


def plain_lookup(words: Words) -> Conversation:
    """Return one question about a record of four to six keys."""
    values = {words.thing().replace(" ", "_"): words.unknown() for _ in range(6)}
    key = words.dice.choice(tuple(values))
    system = Message("system", json.dumps(values, ensure_ascii=False))
    return Conversation((system, Message("user", f"{key}?"), Message("assistant", values[key])))
