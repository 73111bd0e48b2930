"""How alike two texts are, from short sketches: MinHash over runs of words.

The share of equal numbers in two sketches estimates the share of word runs that the texts have in
common (Jaccard). Bands of a sketch find similar texts without comparing all: two texts of
similarity s share one of 4 bands of 5 numbers with probability 1 - (1 - s^5)^4, which is 0.97 at
0.9, 0.997 at 0.95 and 0.12 at 0.5.
"""

import re
from operator import eq
from zlib import crc32

import numpy as np

HASHES = 64
BANDS = 4
BAND_HASHES = 5
RUN = 3
SIMILAR = 0.85
# Where texts are alike but for one place, this many words there and most of them others make it
# another text in the same frame. In texts of fewer than LONG words such a place is not SIMILAR.
OWN_WORDS = 4
LONG = 60

# In Chinese, Japanese and Thai no space parts the words: there each character counts as one.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+"
_ASCII_WORDS = bytes(
    ord(chr(i).lower()) if chr(i).isalnum() and i < 128 else 32 for i in range(256)
)

# Multiply-shift hashing; the seed is fixed, since sketches must be the same everywhere.
_random = np.random.Generator(np.random.PCG64(20240521))
_FACTORS = _random.integers(0, 2**64, HASHES, dtype=np.uint64) | np.uint64(1)
_FACTOR = 0x9E3779B97F4A7C15
# What the words of a run count times, modulo 2^64; a run is the sum.
_PLACES = (_FACTOR**3, 0xC2B2AE3D27D4EB4F * _FACTOR, 0x165667B19E3779F9)
_IN_RUN = [np.uint64(place % 2**64) for place in _PLACES]
_MIX, _HIGH, _LOW = np.uint64(_FACTOR), np.uint64(32), np.uint64(56)


def words_of(text: str) -> list[bytes]:
    """Return the words of a text in lower case, without punctuation, in UTF-8."""
    if text.isascii():
        return text.encode().translate(_ASCII_WORDS).split()
    return [word.encode() for word in re.findall(_WORD, text.casefold())]


def word_numbers(words: list[bytes]) -> np.ndarray:
    """Return a number [words] for each word, the same everywhere."""
    return np.fromiter(map(crc32, words), dtype=np.uint64, count=len(words))


def least_of_runs(numbers: np.ndarray) -> np.ndarray:
    """Return the 64 least hashes of the runs of a text; of two texts it is the lesser of both."""
    if not len(numbers):
        numbers = word_numbers([b""])
    least: np.ndarray = (_runs(numbers)[:, None] * _FACTORS).min(axis=0)
    return least


def leasts_of_runs(numbers: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least hashes of two texts, of which the second begins at a place of `numbers`."""
    if min(place, len(numbers) - place) < RUN:
        return least_of_runs(numbers[:place]), least_of_runs(numbers[place:])
    hashes = _runs(numbers)[:, None] * _FACTORS
    # Runs across the place are of neither text.
    return hashes[: place - RUN + 1].min(axis=0), hashes[place:].min(axis=0)


def sketch_of(least: np.ndarray) -> bytes:
    """Return 64 bytes that are the more alike, the more runs of three words two texts share."""
    # One byte of each: 255 of 256 different values stay different.
    mixed: bytes = (least * _MIX >> _LOW).astype(np.uint8).tobytes()
    return mixed


def sketch(words: list[bytes]) -> bytes:
    """Return the sketch of a text."""
    return sketch_of(least_of_runs(word_numbers(words)))


def kept_words(numbers: np.ndarray) -> bytes:
    """Return what `is_other_in_frame` compares: two bytes a word, and nothing of short texts."""
    return b"" if len(numbers) < LONG else numbers.astype(np.uint16).tobytes()


def _runs(hashes: np.ndarray) -> np.ndarray:
    """Hash each run of words into one number; a shorter text is one run."""
    if len(hashes) < RUN:
        hashes = np.concatenate([hashes, np.zeros(RUN - len(hashes), dtype=np.uint64)])
    count = len(hashes) - RUN + 1
    runs = hashes[:count] * _IN_RUN[0]
    for i in range(1, RUN):
        runs += hashes[i : i + count] * _IN_RUN[i]
    runs ^= runs >> _HIGH
    return runs


def bands(sketch: bytes) -> list[bytes]:
    """Return the parts of a sketch of which similar texts have at least one in common."""
    return [sketch[i * BAND_HASHES : (i + 1) * BAND_HASHES] for i in range(BANDS)]


def similarity(first: bytes, second: bytes) -> float:
    """Estimate the share of word runs two sketched texts have in common."""
    return sum(map(eq, first, second)) / HASHES


def is_other_in_frame(first: bytes, second: bytes) -> bool:
    """Return whether two texts differ in one place alone, and most of what each says there.

    Such texts are filled-in templates: a long frame in common, and a request of their own. Both
    are given as `kept_words` returns them.
    """
    one, other = (np.frombuffer(text, dtype=np.uint16) for text in (first, second))
    before = _common_beginning(one, other)
    one, other = one[before:], other[before:]
    after = _common_beginning(one[::-1], other[::-1])
    one, other = one[: len(one) - after], other[: len(other) - after]
    if min(len(one), len(other)) < OWN_WORDS:
        return False
    shared = len(np.intersect1d(one, other))
    return 2 * shared < min(len(np.unique(one)), len(np.unique(other)))


def _common_beginning(one: np.ndarray, other: np.ndarray) -> int:
    length = min(len(one), len(other))
    unequal = one[:length] != other[:length]
    return int(unequal.argmax()) if unequal.any() else length
