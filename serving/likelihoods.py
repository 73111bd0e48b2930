"""The log probabilities of a reply's tokens, as OpenAI's API gives them."""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

from inference.sampling import Likelihood


class TokenRecords:
    """The records of one reply's tokens that were not given yet.

    Args:
        texts: The bytes of each token of the vocabulary.
        silent: The special tokens that have no text in the reply.
    """

    def __init__(self, texts: Sequence[bytes], silent: Collection[int]) -> None:
        self._texts, self._silent = texts, silent
        # Each with the length of text from which on it is given.
        self._kept: deque[tuple[int, dict[str, Any]]] = deque()

    def add(self, token: int, likelihood: Likelihood, start: int) -> None:
        """Keep the record of one more token, before which `start` bytes of text stand."""
        top = [self._record(id, value) for id, value in likelihood.top if value > float("-inf")]
        record = {**self._record(token, likelihood.logprob), "top_logprobs": top}
        # What has no text is given with the text before it, another token with its first byte.
        self._kept.append((start + (token not in self._silent), record))

    def take(self, length: int | None = None) -> list[dict[str, Any]]:
        """Return and forget the records of tokens that begin in so many bytes of text, or all."""
        taken = []
        while self._kept and (length is None or self._kept[0][0] <= length):
            taken.append(self._kept.popleft()[1])
        return taken

    def _record(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._texts[token]
        written = [] if token in self._silent else list(text)
        return {"token": text.decode("utf-8", "replace"), "logprob": logprob, "bytes": written}
