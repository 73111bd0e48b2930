"""Answers of a model to the items of an evaluation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chat.formats.format import CannotWrite
from evaluation.answers.turns import Answers, answers_with_turns
from evaluation.items import Item
from inference.chat_model import ChatModel, SkippedItem
from inference.generate import Decoding

if TYPE_CHECKING:
    from inference.constrain.constraint import Constraints


def model_answers(
    chat_model: ChatModel,
    items: Sequence[Item],
    decoding: Decoding,
    constrain: bool = False,
    tell: Callable[[str], None] = print,
) -> Answers:
    """Yield (index, answer) as replies end; ValueError where no item of one reply can be asked.

    Items that the chat format cannot write, or whose prompt leaves no room for a reply, come first
    and are not asked. With `constrain`, calls are valid by the tools' schemas
    (inference/constrain/), and items with a schema that cannot be enforced are not asked either;
    `tell` is called with the cost at the end. Tasks of several turns come last; one that has grown
    beyond the room ends there. The longest prompts are read first, so that a batch holds prompts of
    about one length.
    """
    seconds: list[float] | None = [] if constrain else None
    yield from answers_with_turns(
        items,
        lambda asked: _replies(chat_model, asked, decoding, seconds),
        decoding.batch_size or len(items),
    )
    if seconds is not None:
        from inference.constrain.costs import cost_text

        tell(cost_text(seconds))


def _replies(
    chat_model: ChatModel, items: Sequence[Item], decoding: Decoding, seconds: list[float] | None
) -> Answers:
    """Yield one reply to each item; with `seconds`, constrained, and each token's cost is added."""
    prompts, refused = written_prompts(chat_model, items, decoding.max_length, seconds is not None)
    asked = list(prompts)
    if refused and not asked and all(item.task is None for item in items):
        raise ValueError(f"none of {len(items):,} items can be asked; the first: {refused[0]}")
    yield from ((index, SkippedItem(reason)) for index, reason in sorted(refused.items()))
    constraints = None
    if seconds is not None:
        constraints = constraints_for(chat_model, [items[index] for index in asked])
        constraints.seconds = seconds
    left = list(prompts.values())
    order = longest_first(left)
    for place, answer in chat_model.replies(left, decoding, constraints, order):
        yield asked[place], answer


def longest_first(prompts: Sequence[list[int]]) -> list[int]:
    """Return the places of prompts, the longest first, so that a batch holds about one length."""
    return sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))


def constraints_for(chat_model: ChatModel, items: Sequence[Item]) -> "Constraints":
    """Return what makes the calls in the replies to these items valid."""
    from inference.constrain.constraint import Constraints

    conversations = [item.conversation for item in items]
    return Constraints(conversations, chat_model.format, chat_model.tokenizer)


def written_prompts(
    chat_model: ChatModel, items: Sequence[Item], limit: int | None, constrain: bool
) -> tuple[dict[int, list[int]], dict[int, str]]:
    """Return the prompts of items by index, and why others have none.

    Those are refused that the chat format cannot write, whose prompt has `limit` tokens or more,
    and to `constrain` those with a schema that cannot be enforced.
    """
    refused = dict[int, str]()
    if constrain:
        from inference.constrain.constraint import refusals

        conversations = [item.conversation for item in items]
        refused = dict(refusals(conversations, chat_model.format, chat_model.tokenizer))
    prompts: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        if index in refused:
            continue
        try:
            prompt = chat_model.prompt(item.conversation)
        except CannotWrite as error:
            refused[index] = f"{chat_model.format.name} cannot write it: {error}"
            continue
        if limit is None or len(prompt) < limit:
            prompts[index] = prompt
            continue
        refused[index] = (
            f"{item.id} is a prompt of {len(prompt):,} tokens, and prompt and reply may have "
            f"{limit:,} together; raise --max-seq-len"
        )
    return prompts, refused
