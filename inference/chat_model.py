"""Let a model answer conversations: prompts in, parsed replies out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chat.conversation import Conversation
from chat.formats.call_syntax import Reply
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.rendering import encode_prompt, parse_reply, reply_text, silent_ids, stop_ids
from chat.tokenizers.tokenizer import Tokenizer
from inference.generate import Decoding, RowConstraint, complete
from model.transformer import Transformer


@dataclass(frozen=True)
class Answer:
    """What a model said; `whole` is false when a limit cut it off before a stop token."""

    text: str
    reply: Reply
    whole: bool


@dataclass(frozen=True)
class SkippedItem:
    """What stands for an answer where nothing was asked, and why."""

    reason: str


def read_answer(
    tokens: Sequence[int], whole: bool, tokenizer: Tokenizer, format: ChatFormat
) -> Answer:
    """Return the answer that generated tokens, without the stop token, say."""
    text = reply_text(tokens, tokenizer, silent_ids(format, tokenizer))
    return Answer(text, parse_reply(text, format), whole)


def token_limits(format: ChatFormat, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what a format and a tokenizer decide of a Decoding: the stops and which ids exist."""
    return {
        "stop_ids": stop_ids(format, tokenizer),
        "vocab_size": tokenizer.vocab_size,
        "unused_ids": tokenizer.unused_ids,
    }


@dataclass(frozen=True)
class ChatModel:
    """A model with the tokenizer and the chat format it was trained with."""

    model: Transformer
    tokenizer: Tokenizer
    format: ChatFormat

    def answers(
        self,
        conversations: Sequence[Conversation],
        decoding: Decoding,
        constraint: Callable[[int], RowConstraint | None] | None = None,
    ) -> Iterator[tuple[int, Answer]]:
        """Yield (index, answer) in the conversations' order, each as soon as it is its turn.

        The decoding's stop ids are replaced by those of the chat format, and ids that the tokenizer
        lacks are never chosen; `constraint(index)` is what rules an answer
        (inference/constrain/constraint.py). Raises ValueError for the first conversation that the
        format cannot write, or whose prompt leaves no room within `max_length`.
        """
        prompts = [self._numbered_prompt(place, c) for place, c in enumerate(conversations, 1)]
        _check_prompt_lengths(prompts, decoding.max_length)
        ready: dict[int, Answer] = {}
        turn = 0
        for index, answer in self.replies(prompts, decoding, constraint):
            ready[index] = answer
            while turn in ready:
                yield turn, ready.pop(turn)
                turn += 1

    def replies(
        self,
        prompts: Sequence[list[int]],
        decoding: Decoding,
        constraint: Callable[[int], RowConstraint | None] | None = None,
        order: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, Answer]]:
        """Yield (index, answer) of prompts, as `prompt` makes them, each when it is finished.

        `order` is that in which they enter the batch; the rest is as in `answers`.
        """
        decoding = replace(decoding, **token_limits(self.format, self.tokenizer))
        found = complete(self.model, prompts, decoding, constraint=constraint, order=order)
        for row, completion in found:
            whole = completion.stop is not None
            yield row, read_answer(completion.tokens, whole, self.tokenizer, self.format)

    def prompt(self, conversation: Conversation) -> list[int]:
        """Return the tokens up to where the assistant speaks."""
        return encode_prompt(conversation, self.format, self.tokenizer)

    def _numbered_prompt(self, number: int, conversation: Conversation) -> list[int]:
        try:
            return self.prompt(conversation)
        except CannotWrite as error:
            raise ValueError(
                f"dialog {number} cannot be written in the chat format {self.format.name}: {error}"
            ) from None


def _check_prompt_lengths(prompts: Sequence[list[int]], max_length: int | None) -> None:
    for number, prompt in enumerate(prompts, start=1):
        if max_length is not None and len(prompt) >= max_length:
            raise ValueError(
                f"dialog {number} is a prompt of {len(prompt):,} tokens, and prompt and reply may "
                f"have {max_length:,} together; raise --max-seq-len or shorten the dialog"
            )
