"""Forms to fill in: some are declared, a user asks, and the right one is answered."""

from collections.abc import Sequence
from dataclasses import replace

from chat.conversation import Conversation, Message
from demo.making.text.choices import Aim, draw_aims
from demo.making.text.fields import Draft, Field, Filled, draft_field
from demo.making.text.names import Words
from demo.making.text.notation import Entry, Form, declared, written
from demo.making.text.phrases import sentence, wish
from synthesis import phrasing
from synthesis.grammar import marked, plain

NONE_FITS = "None of these forms fits."


def form_conversation(words: Words) -> Conversation:
    """Return a conversation about a few forms, of two to five requests."""
    dice = words.dice
    forms = _forms(words, dice.choice((2, 2, 2, 3, 3, 4)), (0, 0, 1, 1, 1, 2, 2, 3))
    messages = [announced(words, forms)]
    for _ in range(dice.between(2, 5)):
        messages += _request(words, forms)
    return Conversation(tuple(messages))


def filling_conversation(words: Words) -> Conversation:
    """Return a few requests for one form, to train which value belongs to which field."""
    dice = words.dice
    forms = _forms(words, 1, (1, 1, 2, 2, 3, 3, 4))
    messages = [announced(words, forms)]
    for _ in range(dice.between(1, 3)):
        entry = _fill(words, forms[0])
        said = sentence(words, _wish(words, entry))
        messages += [Message("user", said), Message("assistant", written(entry))]
    return Conversation(tuple(messages))


def plain_filling(words: Words) -> Conversation:
    """Return one request and the only form, with nothing missing."""
    return plain_request(words, 1)


def plain_request(words: Words, count: int | None = None) -> Conversation:
    """Return one request that exactly one of two to four (or `count`) declared forms answers."""
    dice = words.dice
    forms = _forms(words, count or dice.between(2, 4))
    entry = _fill(words, dice.choice(forms))
    return Conversation(
        (
            announced(words, forms),
            Message("user", sentence(words, _wish(words, entry))),
            Message("assistant", written(entry)),
        )
    )


def announced(words: Words, forms: Sequence[Form]) -> Message:
    """Return the system message that declares forms."""
    return Message("system", f"{words.dice.choice(_TASKS)}\n\n{declared(forms)}")


_TASKS = (
    "Fill in the form that the user needs.",
    "You fill in forms.",
    "Choose a form and fill it in.",
    "These forms can be filled in.",
)


def _forms(
    words: Words, count: int, fields: Sequence[int] = (0, 1, 1, 2, 2, 2, 3, 3, 4)
) -> list[Form]:
    """Draw forms of different names, some of which share their verb or their thing."""
    return [draw_form(words, aim, words.dice.choice(fields)) for aim in draw_aims(words, count)]


def draw_form(words: Words, aim: Aim, fields: int) -> Form:
    """Draw a form with up to `fields` fields, no two of which are told alike."""
    verb, thing, about, name = aim
    drafts: dict[str, Draft] = {}
    for _ in range(fields):
        draft = draft_field(words)
        required = not words.dice.chance(0.08)
        if not any(_sound_alike(draft, other) for other in drafts.values()):
            drafts[draft.field.name] = replace(draft, field=replace(draft.field, required=required))
    kept = tuple(drafts.values())
    return Form(name, about, tuple(draft.field for draft in kept), verb, thing, kept)


def _sound_alike(one: Draft, other: Draft) -> bool:
    """Return whether a user could give a value of either in the same words."""
    same = one.field.kind == other.field.kind and set(one.cues) & set(other.cues)
    return bool(same) or one.field.name == other.field.name or (one.bare and other.bare)


def _request(words: Words, forms: Sequence[Form]) -> list[Message]:
    dice = words.dice
    kind = dice.below(100)
    if kind < 10:
        # what one form does is wanted with the thing of none, or the other way round
        near, kept = dice.choice(forms), dice.below(3)
        verb = near.verb if kept == 0 else words.verb()
        thing = near.thing if kept == 1 else words.thing()
        if not any(verb in form.about.lower() and thing in form.about for form in forms):
            said = sentence(words, wish(words, verb, thing))
            return [Message("user", said), Message("assistant", NONE_FITS)]
    entry = _fill(words, dice.choice(forms))
    missing = [filled for filled in entry.filled if filled.field.required]
    if kind < 25 and missing:
        return _asking(words, entry, dice.choice(missing))
    if kind < 40 and len(forms) > 1:
        other = _fill(words, dice.choice([form for form in forms if form is not entry.form]))
        first = f"{_wish(words, entry)}{dice.choice((' and ', ', and ', '; also '))}"
        answer = f"{written(entry)}\n{written(other)}"
        said = sentence(words, first + _wish(words, other))
        return [Message("user", said), Message("assistant", answer)]
    said = _told(words, entry, forms)
    return [Message("user", said), Message("assistant", written(entry))]


def _asking(words: Words, entry: Entry, missing: Filled) -> list[Message]:
    """Leave a required value out; it is asked for, given, and the form is filled in."""
    rest = tuple(filled for filled in entry.filled if filled is not missing)
    question = f"What is the {_spoken(missing.field)}?"
    return [
        Message("user", sentence(words, _wish(words, replace(entry, filled=rest)))),
        Message("assistant", question),
        Message("user", _given(words, missing)),
        Message("assistant", written(entry)),
    ]


def _given(words: Words, missing: Filled) -> str:
    """Return how a user gives a value that was asked for."""
    if words.dice.chance(0.4):
        return words.dice.choice((missing.said, f"{missing.said}, please"))
    value = missing.value if isinstance(missing.value, str) else missing.said
    slots = {"value": marked(value), "noun": _spoken(missing.field)}
    return plain(phrasing.reply(words.dice, phrasing.ANSWER_FRAMES, **slots))


def _fill(words: Words, form: Form) -> Entry:
    """Fill in every required field and some of the others."""
    chosen = [draft for draft in form.drafts if draft.field.required or words.dice.chance(0.5)]
    return Entry(form, tuple(draft.fill(words.dice) for draft in chosen))


def _wish(words: Words, entry: Entry) -> str:
    dice = words.dice
    form = entry.form
    ordered = dice.shuffled(entry.filled) if dice.chance(0.6) else entry.filled
    parts = [wish(words, form.verb, form.thing), *(filled.said for filled in ordered)]
    return dice.choice((" ", " ", ", ")).join(parts)


def _told(words: Words, entry: Entry, forms: Sequence[Form]) -> str:
    """Return a user's sentence; where one form alone has the thing, the verb may be another."""
    others = [form for form in forms if form is not entry.form]
    thing = entry.form.thing
    if words.dice.chance(0.2) and not any(thing in other.about for other in others):
        said = " ".join([thing, *(filled.said for filled in entry.filled)])
        return words.dice.choice(_SHORT).replace("{}", said)
    if words.dice.chance(0.3):
        # what is wanted comes last, right before the answer
        parts = [filled.said for filled in words.dice.shuffled(entry.filled)]
        return ", ".join([*parts, wish(words, entry.form.verb, thing)])
    return sentence(words, _wish(words, entry))


_SHORT = (
    "What is the {}?",
    "I need a new {}.",
    "What about the {}?",
    "There is something to do with the {}.",
    "Show me the {}.",
    "Do you know the {}?",
    "It is about the {}.",
)


def _spoken(field: Field) -> str:
    return field.name.replace("_", " ").replace("-", " ")
