"""The vocabulary of the demo's base: words are cut the same way wherever they stand.

An ordinary byte-level vocabulary cuts ' parcel', '_parcel' and 'Parcel' in three ways that have
nothing in common, and a small model has to learn for each word that they are one. Here pieces of
bare words are made first; capitals follow their small letters, and a blank or an underscore joins
the first piece last.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from chat.conversation import Conversation
from demo.making.bpe import train_vocabulary
from demo.making.text.lexicon import ALL_WORDS, SEEN
from demo.making.text.names import Words
from synthesis.dice import Dice

# How the tokens beside bytes and numbers are shared out; what is left begins with ' ' or '_'.
_PIECES, _CAPITALS, _SIGNS = 0.34, 0.08, 0.02
_SIGN = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
# How many occurrences a word of the list counts for, beside those in the text.
_LISTED = 40
# Words of chat formats and schemas are one token each, which shortens the distance between a
# question and its answer that a small model has to attend across.
STRUCTURE = (
    "\n\n assistant system user tool functions parameters namespace recipient uses parallel name "
    "type string integer number boolean default minimum maximum pattern description required "
    "properties object array"
)


def pretraining_vocabulary(
    tasks: Mapping[str, Callable[[Words], Conversation]],
    size: int,
    seed: int = 0,
    conversations: int = 4000,
) -> list[bytes]:
    """Return a byte-level vocabulary of `size` tokens by rank, made for the text of `tasks`.

    The whole word list counts, so that words held out of training are cut like the others.
    """
    texts = list(_texts(tasks, seed, conversations))
    room = size - 256
    words = Counter(word for text in texts for word in re.findall("[a-z]+", text.lower()))
    words.update(dict.fromkeys(ALL_WORDS, 10 * _LISTED))
    bare = (f"{word} " * (1 + count // 10) for word, count in words.items())
    pieces = train_vocabulary(bare, "[a-z]+", 256 + int(_PIECES * room))
    signs = train_vocabulary(texts, _SIGN, 256 + int(_SIGNS * room))[256:]
    numbers = [f"{number:02}".encode() for number in range(100)]
    tokens = [*_with_capitals(pieces, texts, int(_CAPITALS * room)), *numbers, *signs]
    tokens = list(dict.fromkeys(tokens))
    whole = _whole(tokens, STRUCTURE.split(" "))
    return [*tokens, *_behind_signs(tokens, texts, size - len(tokens) - len(whole)), *whole]


def joins(word: bytes, ranks: Mapping[bytes, int]) -> list[list[bytes]]:
    """Return a word cut into bytes, and as it is after each join that the ranks lead to."""
    states = [[bytes([value]) for value in word]]
    while True:
        parts = states[-1]
        joined = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        if min(joined, default=len(ranks)) == len(ranks):
            return states
        place = joined.index(min(joined))
        states.append([*parts[:place], parts[place] + parts[place + 1], *parts[place + 2 :]])


def _texts(
    tasks: Mapping[str, Callable[[Words], Conversation]], seed: int, conversations: int
) -> Iterable[str]:
    for index in range(conversations):
        dice = Dice("vocabulary", seed, index)
        for message in tasks[dice.choice(tuple(tasks))](Words(dice, SEEN)).messages:
            yield message.content


def _with_capitals(pieces: Sequence[bytes], texts: Sequence[str], most: int) -> list[bytes]:
    """Put 'Par' behind 'par', for the pieces that begin most capitalised words."""
    ranks = {piece: rank for rank, piece in enumerate(pieces)}
    begun: Counter[bytes] = Counter()
    words = Counter(word for text in texts for word in re.findall("[A-Z][a-z]+", text))
    for word, count in words.items():
        for first in {state[0] for state in joins(word.lower().encode(), ranks)}:
            begun[first] += count
    chosen = {piece for piece, _ in begun.most_common(most) if len(piece) > 1}
    both = ((piece, piece.title()) if piece in chosen else (piece,) for piece in pieces)
    return [token for tokens in both for token in tokens]


def _whole(tokens: Sequence[bytes], words: Iterable[str]) -> list[bytes]:
    """Return what makes each word one token, joined from its beginning."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    for word in words:
        first, *rest = joins(word.encode(), ranks)[-1]
        for part in rest:
            first += part
            ranks.setdefault(first, len(ranks))
    return list(ranks)[len(tokens) :]


def _behind_signs(tokens: Sequence[bytes], texts: Sequence[str], most: int) -> list[bytes]:
    """Return ' par' and '_par', for the signs and pieces that begin most words."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    words = Counter(word for text in texts for word in re.findall("[ _][A-Za-z]+", text))
    words.update({f"{sign}{word}": _LISTED for sign in " _" for word in ALL_WORDS})
    begun: Counter[bytes] = Counter()
    for word, count in words.items():
        begun[word[0].encode() + joins(word[1:].encode(), ranks)[-1][0]] += count
    return [token for token, _ in begun.most_common(most)]
