"""Train a small byte-level BPE vocabulary, in the file format of Meta's Llama 3 tokenizer.

The format is tiktoken's: one line per token, its bytes in base64 and its rank.
"""

import base64
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

import regex

Pair = tuple[int, int]


def train_vocabulary(texts: Iterable[str], pattern: str, size: int) -> list[bytes]:
    """Return `size` tokens by rank: the 256 bytes, then the most frequent pair at each turn.

    `pattern` splits a text into words; pairs are counted inside words only. Of equally frequent
    pairs the one of lower ranks is joined first, so the same texts give the same tokens.
    Raises ValueError when the texts hold fewer different pairs than `size` asks for.
    """
    if size < 256:
        raise ValueError(f"a byte-level vocabulary has at least 256 tokens, found size {size}")
    counted = Counter(word for text in texts for word in regex.findall(pattern, text))
    tokens = [bytes([value]) for value in range(256)]
    known = set(tokens)
    pairs = _Pairs({tuple(word.encode()): count for word, count in counted.items()})
    while len(tokens) < size:
        best = pairs.most_frequent()
        if best is None:
            raise ValueError(
                f"the texts give only {len(tokens)} tokens, wanted {size}; use more text or "
                "a smaller size"
            )
        joined = tokens[best[0]] + tokens[best[1]]
        # Two ways can lead to the same bytes (ab+c, a+bc), and a rank must be unique.
        if joined not in known:
            pairs.join(best, len(tokens))
            tokens.append(joined)
            known.add(joined)
    return tokens


def tiktoken_lines(tokens: Iterable[bytes]) -> str:
    """Return the text of a tiktoken vocabulary file."""
    return "".join(
        f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)
    )


class _Pairs:
    """The neighbouring pairs of all words, counted once and then only where a join changes them.

    The heap keeps outdated entries: those whose count differs from the pair's count are skipped.
    """

    def __init__(self, words: dict[tuple[int, ...], int]) -> None:
        self.words = [list(word) for word in words]
        self.weights = list(words.values())
        self.counts: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def most_frequent(self) -> Pair | None:
        """Return the pair to join next, None when every word is a single token."""
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            if count and self.counts[pair] == -count:
                return pair
        return None

    def join(self, pair: Pair, token: int) -> None:
        """Replace `pair` by `token` in every word that holds it."""
        changed: set[Pair] = set()
        for index in self.where.pop(pair):
            changed.update(self._count(index, -1))
            self.words[index] = _joined(self.words[index], pair, token)
            changed.update(self._count(index, 1))
        for other in sorted(changed):
            heapq.heappush(self.heap, (-self.counts[other], other))

    def _count(self, index: int, sign: int) -> set[Pair]:
        """Add or take back the pairs of one word; return them."""
        word = self.words[index]
        found = Counter(pairwise(word))
        for pair, times in found.items():
            self.counts[pair] += sign * times * self.weights[index]
            self.where[pair].add(index)
        return set(found)


def _joined(word: list[int], pair: Pair, token: int) -> list[int]:
    result: list[int] = []
    for value in word:
        # A token just made is never the left half: it is new, and no pair holds it yet.
        if result and (result[-1], value) == pair:
            result[-1] = token
        else:
            result.append(value)
    return result
