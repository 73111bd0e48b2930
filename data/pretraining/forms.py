"""Forms to fill in: some are declared, a user asks, and the right one is answered."""

from collections.abc import Sequence
from dataclasses import replace

from chat.conversation import Conversation, Message
from data.pretraining.fields import Draft, Field, Filled, draft_field
from data.pretraining.names import Words
from data.pretraining.styles import ANSWERS, DECLARATIONS, Entry, Form

NONE_FITS = "None of these forms fits."


def form_conversation(words: Words) -> Conversation:
    """Return a conversation about a few forms, of two to four requests."""
    dice = words.dice
    forms = _forms(words, dice.choice((1, 2, 2, 2, 3, 3, 4, 5)))
    style, answers = dice.choice(("schema", "interface", "list")), dice.choice(tuple(ANSWERS))
    shown = DECLARATIONS[style](forms)
    system = f"{dice.choice(_TASKS)} Answer as {answers}.\n\n{shown}"
    messages = [Message("system", system)]
    for _ in range(dice.between(2, 4)):
        messages += _request(words, forms, answers)
    return Conversation(tuple(messages))


def choice_conversation(words: Words) -> Conversation:
    """Return requests for forms without fields, which are chosen and no more."""
    dice = words.dice
    drawn = _forms(words, dice.choice((2, 2, 3, 4)))
    forms = [replace(form, drafts=()) for form in drawn]
    answers = dice.choice(tuple(ANSWERS))
    shown = DECLARATIONS[dice.choice(("interface", "list"))](forms)
    messages = [Message("system", f"{dice.choice(_TASKS)} Answer as {answers}.\n\n{shown}")]
    for _ in range(dice.between(3, 6)):
        entry = Entry(dice.choice(forms), ())
        messages.append(Message("user", _told(words, entry, forms)))
        messages.append(Message("assistant", ANSWERS[answers](entry)))
    return Conversation(tuple(messages))


def plain_request(words: Words) -> Conversation:
    """Return one request that exactly one declared form answers, with nothing missing."""
    dice = words.dice
    forms = _forms(words, dice.between(2, 4))
    answers = dice.choice(tuple(ANSWERS))
    shown = DECLARATIONS[dice.choice(tuple(DECLARATIONS))](forms)
    entry = _fill(words, dice.choice(forms))
    return Conversation(
        (
            Message("system", f"{dice.choice(_TASKS)} Answer as {answers}.\n\n{shown}"),
            Message("user", _sentence(words, _wish(words, entry))),
            Message("assistant", ANSWERS[answers](entry)),
        )
    )


_TASKS = (
    "Fill in the form that the user needs.",
    "You fill in forms.",
    "Choose a form and fill it in.",
    "These forms can be filled in.",
)


def _forms(words: Words, count: int) -> list[Form]:
    """Draw forms of different names, some of which share their verb or their thing."""
    forms: list[Form] = []
    while len(forms) < count:
        verb, thing = words.verb(), words.thing()
        if forms and words.dice.chance(0.3):
            verb = forms[-1].verb
        elif forms and words.dice.chance(0.15):
            thing = forms[-1].thing
        form = _form(words, verb, thing)
        taken = {(each.verb, each.thing) for each in forms} | {each.name for each in forms}
        if (verb, thing) not in taken and form.name not in taken:
            forms.append(form)
    return forms


def _form(words: Words, verb: str, thing: str) -> Form:
    dice = words.dice
    name = dice.choice(
        (f"{verb}_{thing.replace(' ', '_')}",) * 3
        + (f"{thing.split()[-1]}_{verb}", words.identifier(), words.unknown().replace(" ", "_"))
    )
    about = dice.choice(
        (
            f"{verb.capitalize()} {one(thing)}.",
            f"{verb.capitalize()} the {thing} of {one(words.noun())}.",
            f"To {verb} {one(thing)}.",
            f"For users who want to {verb} {one(thing)}.",
            f"{verb.capitalize()} {one(thing)} {dice.choice(('for', 'in'))} {one(words.noun())}.",
        )
    )
    drafts: dict[str, Draft] = {}
    for _ in range(dice.choice((0, 1, 1, 2, 2, 2, 3, 3, 4))):
        draft = draft_field(words)
        required = not dice.chance(0.25)
        if not any(_sound_alike(draft, other) for other in drafts.values()):
            drafts[draft.field.name] = replace(draft, field=replace(draft.field, required=required))
    return Form(name, verb, thing, about, tuple(drafts.values()))


def _sound_alike(one: Draft, other: Draft) -> bool:
    """Return whether a user could give a value of either in the same words."""
    same = one.field.kind == other.field.kind and set(one.cues) & set(other.cues)
    return bool(same) or one.field.name == other.field.name


def _request(words: Words, forms: Sequence[Form], answers: str) -> list[Message]:
    dice = words.dice
    kind = dice.below(100)
    if kind < 10:
        # what one form does is wanted with the thing of none, or the other way round
        near, kept = dice.choice(forms), dice.below(3)
        verb = near.verb if kept == 0 else words.verb()
        thing = near.thing if kept == 1 else words.thing()
        if not any(verb in each.about.lower() and thing in each.about for each in forms):
            wish = _sentence(words, f"{verb} {dice.choice((one(thing), f'my {thing}'))}")
            return [Message("user", wish), Message("assistant", NONE_FITS)]
    entry = _fill(words, dice.choice(forms))
    missing = [each for each in entry.filled if each.field.required]
    if kind < 25 and missing:
        return _asking(words, entry, dice.choice(missing), answers)
    if kind < 40 and len(forms) > 1:
        other = _fill(words, dice.choice([each for each in forms if each is not entry.form]))
        wish = f"{_wish(words, entry)}{dice.choice((' and ', ', and ', '; also '))}"
        answer = f"{ANSWERS[answers](entry)}\n{ANSWERS[answers](other)}"
        said = _sentence(words, wish + _wish(words, other))
        return [Message("user", said), Message("assistant", answer)]
    said = _told(words, entry, forms)
    return [Message("user", said), Message("assistant", ANSWERS[answers](entry))]


def _asking(words: Words, entry: Entry, missing: Filled, answers: str) -> list[Message]:
    """Leave a required value out; it is asked for, given, and the form is filled in."""
    rest = tuple(each for each in entry.filled if each is not missing)
    question = f"What is the {_spoken(missing.field)}?"
    return [
        Message("user", _sentence(words, _wish(words, replace(entry, filled=rest)))),
        Message("assistant", question),
        Message("user", words.dice.choice((missing.said, f"{missing.said}, please"))),
        Message("assistant", ANSWERS[answers](entry)),
    ]


def _fill(words: Words, form: Form) -> Entry:
    """Fill in every required field and some of the others."""
    chosen = [each for each in form.drafts if each.field.required or words.dice.chance(0.5)]
    return Entry(form, tuple(each.fill(words.dice) for each in chosen))


def _wish(words: Words, entry: Entry) -> str:
    dice = words.dice
    form = entry.form
    filled = dice.shuffled(entry.filled) if dice.chance(0.6) else entry.filled
    named = dice.choice((one(form.thing), *(f"{word} {form.thing}" for word in _DETERMINERS)))
    parts = [f"{form.verb} {named}"]
    parts += [each.said for each in filled]
    return dice.choice((" ", " ", ", ")).join(parts)


def _told(words: Words, entry: Entry, forms: Sequence[Form]) -> str:
    """Return a user's sentence; where one form alone has the thing, the verb may be another."""
    others = [each for each in forms if each is not entry.form]
    thing = entry.form.thing
    if words.dice.chance(0.2) and not any(thing in each.about for each in others):
        said = " ".join([thing, *(each.said for each in entry.filled)])
        return words.dice.choice(_SHORT).replace("{}", said)
    return _sentence(words, _wish(words, entry))


def one(thing: str) -> str:
    """Return a thing with its indefinite article."""
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


_DETERMINERS = ("the", "my", "this")
_SHORT = (
    "What is the {}?",
    "I need a new {}.",
    "What about the {}?",
    "There is something to do with the {}.",
    "Show me the {}.",
    "Do you know the {}?",
    "It is about the {}.",
)


def _sentence(words: Words, wish: str) -> str:
    return words.dice.choice(_FRAMES).replace("{}", wish)


_FRAMES = (
    "{}",
    "Please {}.",
    "{}, please.",
    "Can you {}?",
    "Could you {}? Thanks.",
    "I want to {}.",
    "I need to {}.",
    "Hello, I would like to {}.",
    "Help me {}.",
    "We have to {} today.",
    "My friend asked me to {}.",
)


def _spoken(field: Field) -> str:
    return field.name.replace("_", " ").replace("-", " ")
