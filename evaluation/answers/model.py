"""Answers of a model to the items of an evaluation."""

from collections.abc import Callable, Iterator, Sequence

from evaluation.items import Item
from inference.chat_model import Answer, ChatModel, SkippedItem
from inference.generate import Decoding


def model_answers(
    chat_model: ChatModel,
    items: Sequence[Item],
    decoding: Decoding,
    constrain: bool = False,
    tell: Callable[[str], None] = print,
) -> Iterator[tuple[int, Answer | SkippedItem]]:
    """Yield (index, answer); ValueError names an item whose prompt leaves no room.

    With `constrain`, calls are valid by the tools' schemas (inference/constrain/): items with a
    schema that cannot be enforced come first and are not asked; `tell` is called with the cost.
    """
    conversations = [item.conversation for item in items]
    if not constrain:
        _check_prompt_lengths(chat_model, items, decoding.max_length)
        yield from chat_model.answers(conversations, decoding)
        return
    from inference.constrain.constraint import Constraints, refusals

    refused = refusals(conversations, chat_model.format, chat_model.tokenizer)
    asked = [index for index in range(len(items)) if index not in refused]
    if not asked:
        raise ValueError(f"none of {len(items):,} items can be constrained; {refused[0]}")
    _check_prompt_lengths(chat_model, [items[index] for index in asked], decoding.max_length)
    yield from ((index, SkippedItem(reason)) for index, reason in refused.items())
    left = [conversations[index] for index in asked]
    constraints = Constraints(left, chat_model.format, chat_model.tokenizer)
    for index, answer in chat_model.answers(left, decoding, constraints):
        yield asked[index], answer
    tell(constraints.cost())


def _check_prompt_lengths(chat_model: ChatModel, items: Sequence[Item], limit: int | None) -> None:
    for item in items:
        length = len(chat_model.prompt(item.conversation))
        if limit is not None and length >= limit:
            raise ValueError(
                f"{item.id} is a prompt of {length:,} tokens, and prompt and reply may have "
                f"{limit:,} together; raise --max-seq-len"
            )
