"""Replies that a model draws: several to a prompt, with their tokens and log-probabilities."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.answers.model import constraints_for, longest_first, written_prompts
from evaluation.items import Item
from inference.chat_model import Answer, ChatModel, SkippedItem, read_answer, token_limits
from inference.generate import Completion, Decoding, complete


@dataclass(frozen=True)
class Drawing:
    """How many replies a prompt gets and how they are drawn.

    Args:
        count: Replies a prompt.
        temperature: That of the draws, and of the distribution that log-probabilities are of.
        top_p: Draw from the likeliest tokens that together have this probability.
        max_new_tokens: The most tokens of a reply.
        max_length: The most tokens of a prompt and its reply together; None for no limit.
        batch_size: Replies under way at once.
        seed: Another number draws other replies.
        constrain: Whether calls are valid by the schemas of the tools offered.
        cuda_graphs: As in `inference.generate.Decoding`.
    """

    count: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    max_length: int | None = None
    batch_size: int = 64
    seed: int = 0
    constrain: bool = False
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} replies a prompt are wanted; draw at least 1")
        if self.count > 1 and self.temperature == 0:
            raise ValueError(
                f"at temperature 0 all {self.count} replies to a prompt are the same one; raise "
                "--temperature, or draw one reply"
            )


@dataclass(frozen=True)
class DrawnReply:
    """One reply as it was drawn.

    tokens: All that was drawn, the stop token too where one ended it.
    logprobs: Of each token the natural logarithm of its probability, by the model's own
        distribution at the drawing's temperature: over all ids, before top_p and constraints.
    answer: What the tokens say.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    answer: Answer


def draw_replies(
    chat_model: ChatModel, items: Sequence[Item], drawing: Drawing, step: int = 0
) -> Iterator[tuple[int, list[DrawnReply] | SkippedItem]]:
    """Yield (index of the item, its replies) as the last reply to each ends.

    Items that cannot be asked come first, each with the reason (`written_prompts`). The prompt of
    the replies to one item is read once. The draws depend on seed, `step`, prompt and the number of
    the reply alone: on no other item, and not on the batch. The model is not changed; where it is
    in training, that is what replies.
    """
    prompts, refused = written_prompts(chat_model, items, drawing.max_length, drawing.constrain)
    yield from ((index, SkippedItem(reason)) for index, reason in sorted(refused.items()))
    if not prompts:
        return
    asked, texts = list(prompts), list(prompts.values())
    count = drawing.count
    found: dict[int, dict[int, DrawnReply]] = {}
    for row, completion in _completions(
        chat_model, [items[i] for i in asked], texts, drawing, step
    ):
        place, number = divmod(row, count)
        replies = found.setdefault(place, {})
        replies[number] = _read(completion, chat_model)
        if len(replies) == count:
            del found[place]
            yield asked[place], [replies[number] for number in range(count)]


def _completions(
    chat_model: ChatModel,
    items: Sequence[Item],
    prompts: Sequence[list[int]],
    drawing: Drawing,
    step: int,
) -> Iterator[tuple[int, Completion]]:
    """Yield (place of the prompt * count + number of the reply, what was drawn)."""
    count = drawing.count
    decoding = Decoding(
        **token_limits(chat_model.format, chat_model.tokenizer),
        max_new_tokens=drawing.max_new_tokens,
        max_length=drawing.max_length,
        batch_size=max(count, drawing.batch_size),
        temperature=drawing.temperature,
        top_p=drawing.top_p,
        cuda_graphs=drawing.cuda_graphs,
        keep_logprobs=True,
    )
    constraints = constraints_for(chat_model, items) if drawing.constrain else None
    yield from complete(
        chat_model.model,
        [prompt for prompt in prompts for _ in range(count)],
        decoding,
        constraint=constraints and (lambda row: constraints(row // count)),
        order=[count * place + n for place in longest_first(prompts) for n in range(count)],
        draws=lambda row: _draws(drawing.seed, step, prompts[row // count], row % count),
    )


def _draws(seed: int, step: int, prompt: Sequence[int], number: int) -> random.Random:
    """Return what a reply is drawn from."""
    tokens = hashlib.sha256(" ".join(map(str, prompt)).encode()).hexdigest()
    return random.Random(f"{seed}/{step}/{tokens}/{number}")


def _read(completion: Completion, chat_model: ChatModel) -> DrawnReply:
    tokens, stop = completion.tokens, completion.stop
    answer = read_answer(tokens, stop is not None, chat_model.tokenizer, chat_model.format)
    drawn = tokens if stop is None else [*tokens, stop]
    return DrawnReply(tuple(drawn), completion.logprobs, answer)
