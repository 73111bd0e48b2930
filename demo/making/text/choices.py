"""Choosing by what is wanted: many short questions about a few purposes, answered by a name.

The list is shown once and asked about many times, so that many of its tokens are trained.
"""

from collections.abc import Callable, Sequence

from chat.conversation import Conversation, Message
from demo.making.text.names import Words
from demo.making.text.phrases import one, plain_purpose, purpose, sentence, wish

Aim = tuple[str, str, str, str]

# How a list shows a purpose and its name; {0} is the purpose and {1} the name.
_LINES = (
    "# {0}\n{1}",
    "// {0}\n{1}()",
    "{1}: {0}",
    "- {1}, {0}",
    "{0} Then {1}",
    '{{"about": "{0}", "name": "{1}"}}',
    '{{"name": "{1}", "about": "{0}"}}',
    *("// {0}\ninterface {1} {{\n}}",) * 8,
)
_NAME_LAST = ("# {0}\n{1}", "// {0}\n{1}()", "{0} Then {1}", '{{"about": "{0}", "name": "{1}"}}')
# Most often as forms are declared and filled in.
_ANSWERS = ("{}", "[{}]", "{}()", *('{{"form": "{}"}}',) * 5)


def choice_conversation(words: Words) -> Conversation:
    """Return wishes, one or several at a time, each answered by the name of what serves it."""
    dice = words.dice
    aims = draw_aims(words, dice.choice((2, 2, 3, 3, 4, 5, 6)))
    line = dice.choice(_NAME_LAST if dice.chance(0.25) else _LINES)
    answer = dice.choice(_ANSWERS)
    if dice.chance(0.4):
        aims = [(verb, thing, plain_purpose(verb, thing), name) for verb, thing, _, name in aims]
    say = _plain_wishes if dice.chance(0.3) else _wishes
    messages = [_announced(aims, line, answer)]
    for _ in range(dice.between(6, 10)):
        said, chosen = say(words, aims)
        reply = "\n".join(answer.format(name) for *_, name in chosen)
        messages += [Message("user", said), Message("assistant", reply)]
    return Conversation(tuple(messages))


def _wishes(words: Words, aims: Sequence[Aim]) -> tuple[str, list[Aim]]:
    """Return one to three wishes in a sentence, and what they are for."""
    dice = words.dice
    chosen = [dice.choice(aims) for _ in range(dice.choice((1, 1, 1, 1, 1, 2, 3)))]
    wishes = [wish(words, verb, thing) for verb, thing, _, _ in chosen]
    joined = dice.choice((" and ", ", ", ", and ", "; also ")).join(wishes)
    return sentence(words, joined), chosen


def _plain_wishes(words: Words, aims: Sequence[Aim]) -> tuple[str, list[Aim]]:
    """Return a wish that ends with a thing, as most purposes do: the easiest one to match."""
    chosen = words.dice.choice(aims)
    verb, thing, _, _ = chosen
    said = words.dice.choice((f"{verb} {one(thing)}", f"{verb} my {thing}", thing))
    if said == thing and sum(thing == aim[1] for aim in aims) > 1:
        said = f"{verb} {thing}"
    return said, [chosen]


def plain_choice(words: Words) -> Conversation:
    """Return one wish and four purposes with names."""
    dice = words.dice
    aims = draw_aims(words, 4)
    verb, thing, _, name = dice.choice(aims)
    user = Message("user", sentence(words, wish(words, verb, thing)))
    return Conversation((_announced(aims, "# {0}\n{1}", "{}"), user, Message("assistant", name)))


def _announced(aims: Sequence[Aim], line: str, answer: str) -> Message:
    shown = "\n".join(line.format(about, name) for _, _, about, name in aims)
    return Message("system", f"Answer as {answer.format('name')}.\n\n{shown}")


def draw_aims(words: Words, count: int) -> list[Aim]:
    """Draw verbs, things, purposes and names; some share their verb or their thing."""
    dice = words.dice
    aims: list[Aim] = []
    while len(aims) < count:
        verb, thing = words.verb(), words.thing()
        if aims and dice.chance(0.3):
            verb = aims[-1][0]
        elif aims and dice.chance(0.15):
            thing = aims[-1][1]
        name = name_for(words, verb, thing)
        taken = {aim[:2] for aim in aims} | {aim[3] for aim in aims}
        if (verb, thing) not in taken and name not in taken:
            aims.append((verb, thing, purpose(words, verb, thing), name))
    return aims


def name_for(words: Words, verb: str, thing: str) -> str:
    """Return a name made of the words of a purpose; seldom one that has nothing to do with them."""
    dice = words.dice
    others: tuple[Callable[[], str], ...] = (
        lambda: f"{thing.split()[-1]}_{verb}",
        lambda: f"{verb}_{thing.split()[-1]}",
        lambda: f"{verb}_{words.noun()}",
        lambda: f"{words.verb()}_{thing.split()[-1]}",
        words.identifier,
    )
    if dice.chance(0.85):
        return f"{verb}_{thing.replace(' ', '_')}"
    return dice.choice(others)()
