"""Phrases: how users ask for something, and how the purpose of a form or tool is described."""

from demo.making.text.names import Words
from synthesis import phrasing
from synthesis.grammar import plain

_DETERMINERS = ("the", "my", "this")
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


def plain_purpose(verb: str, thing: str) -> str:
    """Return a purpose that ends with the thing, as a plain wish does."""
    return f"{verb.capitalize()} {one(thing)}."


def one(thing: str) -> str:
    """Return a thing with its indefinite article."""
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def purpose(words: Words, verb: str, thing: str) -> str:
    """Return a sentence about something that does this to that."""
    return words.dice.choice(
        (
            f"{verb.capitalize()} {one(thing)}.",
            f"{verb.capitalize()} the {thing} of {one(words.noun())}.",
            f"To {verb} {one(thing)}.",
            f"For users who want to {verb} {one(thing)}.",
            f"{verb.capitalize()} {one(thing)} {words.dice.choice(('for', 'in'))} "
            f"{one(words.noun())}.",
        )
    )


def wish(words: Words, verb: str, thing: str) -> str:
    """Return what a user wants, as 'find my parcel'."""
    determiners = (f"{word} {thing}" for word in _DETERMINERS)
    return f"{verb} {words.dice.choice((one(thing), *determiners))}"


def sentence(words: Words, wanted: str) -> str:
    """Return a wish, or several, as a user's message, most often between other words."""
    if words.dice.chance(0.6):
        return plain(phrasing.request(words.dice, wanted, asks=False, reasons=()))
    return words.dice.choice(_FRAMES).replace("{}", wanted)
