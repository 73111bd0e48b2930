"""How much of an evaluation is done: prompts differ in length, and the longest are read first."""

import json
from collections.abc import Sequence

from evaluation.items import Item
from inference.chat_model import Answer, SkippedItem


class Workload:
    """Prompts to be read and replies to be said, in characters, which stand for tokens.

    Replies to come are taken to be as long as those that have come, on average.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._prompts = [_prompt_length(item) for item in items]
        self._unread, self._to_come = sum(self._prompts), len(items)
        self._read = self._said = self._answered = 0

    def take(self, index: int, answer: Answer | SkippedItem) -> float:
        """Take the answer to an item; return which share of the work is done by now."""
        self._unread -= self._prompts[index]
        self._to_come -= 1
        if isinstance(answer, Answer):
            self._read += self._prompts[index]
            self._said += len(answer.text)
            self._answered += 1
        done = self._read + self._said
        to_come = self._unread + self._to_come * self._said / max(1, self._answered)
        return done / max(1, done + to_come)


def _prompt_length(item: Item) -> int:
    return len(json.dumps(item.conversation.to_record(), ensure_ascii=False))
