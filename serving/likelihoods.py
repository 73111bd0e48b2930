"""The log probabilities of a reply's tokens, as OpenAI's API gives them."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from inference.sampling import Likelihood


class TokenRecords:
    """The records of one reply's tokens that were not given yet.

    Args:
        texts: The bytes of each token of the vocabulary.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        # Each with the bytes of text that stand before it.
        self._kept: deque[tuple[int, dict[str, Any]]] = deque()
        self._length = 0

    def add(self, token: int, likelihood: Likelihood) -> None:
        """Keep the record of one more token."""
        top = [self._record(id, value) for id, value in likelihood.top if value > float("-inf")]
        record = {**self._record(token, likelihood.logprob), "top_logprobs": top}
        self._kept.append((self._length, record))
        self._length += len(self._texts[token])

    def take(self, length: int | None = None) -> list[dict[str, Any]]:
        """Return and forget the records of tokens that begin in so many bytes of text, or all."""
        taken = []
        while self._kept and (length is None or self._kept[0][0] < length):
            taken.append(self._kept.popleft()[1])
        return taken

    def _record(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._texts[token]
        shown = text.decode("utf-8", "replace")
        return {"token": shown, "logprob": logprob, "bytes": list(text)}
