"""A short way to end a reply that is under way, so that a call is whole when its room runs out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inference.constrain.completions import Completions
from inference.constrain.json_text import JsonText
from inference.constrain.preparation import spend
from inference.constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

# No ending is searched beyond so many tokens.
LONGEST_ENDING = 2048
# llguidance bounds its work for one call of it.
_MOST_AT_ONCE = 100


def find_ending(
    vocabulary: Vocabulary,
    matcher: "LLMatcher",
    text: JsonText,
    completions: Completions,
    room: int = LONGEST_ENDING,
) -> list[int] | None:
    """Return tokens that end the reply soon, the stop token included; None when none are found.

    What is forced is taken; where there is a choice, the first that fits of what closes what is
    open, then of what the schemas' patterns and multiples lead to, then of single bytes. That need
    not be the shortest way, but it is one, of at most `room` tokens.
    """
    matcher, text, ending = matcher.deep_copy(), text.copy(), list[int]()
    while len(ending) < min(room, LONGEST_ENDING):
        spend()
        if matcher.is_accepting():
            return [*ending, vocabulary.stops[0]]
        tokens = matcher.compute_ff_tokens()
        if not tokens:
            choices = _choices(text, completions, len(ending))
            tokens = next((t for t in map(vocabulary.spell, choices) if _fits(matcher, t)), [])
        for token in tokens:
            if not matcher.consume_token(token):
                return None
            ending.append(token)
            text.feed(vocabulary.texts[token])
        if not tokens or text.wrong:
            return None
    return None


def still_ends(
    vocabulary: Vocabulary, matcher: "LLMatcher", text: JsonText, ending: list[int]
) -> bool:
    """Whether an ending that was found before also ends the reply as it stands now."""
    if not _fits(matcher, ending):
        return False
    text = text.copy()
    for token in ending[:-1]:
        text.feed(vocabulary.texts[token])
    return not text.wrong


def _fits(matcher: "LLMatcher", tokens: list[int]) -> bool:
    if not tokens:
        return False
    spend()
    if len(tokens) <= _MOST_AT_ONCE:
        return matcher.validate_tokens(tokens) == len(tokens)
    trial = matcher.deep_copy()
    starts = range(0, len(tokens), _MOST_AT_ONCE)
    return all(trial.consume_tokens(tokens[start : start + _MOST_AT_ONCE]) for start in starts)


def _choices(text: JsonText, completions: Completions, step: int) -> Iterator[bytes]:
    """Yield what may come next, first what ends what is open.

    Single bytes come in another order at each step: the same character again and again leads to no
    address of mail.
    """
    if text.string is None:
        # Calls in tags end with one, which begins with an angle bracket.
        yield from _single(b"}],<")
        yield from completions.numbers(text.number)
        yield from _rotated(b"0123456789", step)
        yield from _single(b'"-tfn[{')
    else:
        if not text.takes_name:
            yield b'"'
        yield from text.completions()
        yield from _rotated(b"a0@.-:/+Z_ ", step)
    yield from _single(bytes(range(256)))


def _rotated(values: bytes, step: int) -> Iterator[bytes]:
    start = step % len(values)
    yield from _single(values[start:] + values[:start])


def _single(values: bytes) -> Iterator[bytes]:
    return (bytes([value]) for value in values)
