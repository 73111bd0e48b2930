"""A short way to end a reply that is under way, so that a call is whole when its room runs out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inference.constrain.json_text import JsonText
from inference.constrain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

# A call that cannot be ended in this many tokens is not hurried.
LONGEST_ENDING = 2048


def find_ending(vocabulary: Vocabulary, matcher: "LLMatcher", text: JsonText) -> list[int] | None:
    """Return tokens that end the reply soon, the stop token included; None when none are found.

    What is forced is taken; where there is a choice, the first character that fits of those that
    close what is open. That need not be the shortest way, but it is one.
    """
    matcher, text, ending = matcher.deep_copy(), text.copy(), list[int]()
    while len(ending) < LONGEST_ENDING:
        if matcher.is_accepting():
            return [*ending, vocabulary.stops[0]]
        tokens = matcher.compute_ff_tokens()
        taken = matcher.try_consume_tokens(tokens) if tokens else 0
        if not taken:
            values = _closing_first(text, len(ending))
            choices = (vocabulary.single[value] for value in values if value in vocabulary.single)
            tokens = next(([t] for t in choices if matcher.try_consume_tokens([t])), [])
            taken = len(tokens)
        if not taken or matcher.is_error():
            return None
        for token in tokens[:taken]:
            ending.append(token)
            text.feed(vocabulary.texts[token])
    return None


def _closing_first(text: JsonText, step: int) -> Iterator[int]:
    """Yield every byte, first those that end what is open.

    Others come in another order at each step: the same character again and again leads to no
    multiple of ten, and to no address of mail.
    """
    if text.string is None:
        # Calls in tags end with one, which begins with an angle bracket.
        yield from b"}],<"
        yield from _rotated(b"0123456789", step)
        yield from b'"-tfn[{'
    else:
        if not text.takes_name:
            yield from b'"'
        yield from _rotated(b"a0@.-:/+Z_ ", step)
    yield from range(256)


def _rotated(values: bytes, step: int) -> bytes:
    start = step % len(values)
    return values[start:] + values[:start]
