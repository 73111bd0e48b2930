"""Answers of a model to the items of an evaluation."""

from collections.abc import Callable, Iterator, Sequence

from chat.conversation import Conversation
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.rendering import render_prompt
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

    Items that the chat format cannot write come first and are not asked. With `constrain`, calls
    are valid by the tools' schemas (inference/constrain/), and those with a schema that cannot be
    enforced are not asked either; `tell` is called with the cost.
    """
    conversations = [item.conversation for item in items]
    format, tokenizer = chat_model.format, chat_model.tokenizer
    refused = unwritable(conversations, format)
    if constrain:
        from inference.constrain.constraint import Constraints, refusals

        refused = {**refusals(conversations, format, tokenizer), **refused}
    asked = [index for index in range(len(items)) if index not in refused]
    if refused and not asked:
        raise ValueError(f"none of {len(items):,} items can be asked; the first: {refused[0]}")
    _check_prompt_lengths(chat_model, [items[index] for index in asked], decoding.max_length)
    yield from ((index, SkippedItem(reason)) for index, reason in sorted(refused.items()))
    left = [conversations[index] for index in asked]
    constraints = Constraints(left, format, tokenizer) if constrain else None
    for index, answer in chat_model.answers(left, decoding, constraints):
        yield asked[index], answer
    if constraints:
        tell(constraints.cost())


def unwritable(conversations: Sequence[Conversation], format: ChatFormat) -> dict[int, str]:
    """Return which conversations the chat format has no way to ask, each with the reason."""
    found: dict[int, str] = {}
    for index, conversation in enumerate(conversations):
        try:
            render_prompt(conversation, format)
        except CannotWrite as error:
            found[index] = f"{format.name} cannot write it: {error}"
    return found


def _check_prompt_lengths(chat_model: ChatModel, items: Sequence[Item], limit: int | None) -> None:
    for item in items:
        length = len(chat_model.prompt(item.conversation))
        if limit is not None and length >= limit:
            raise ValueError(
                f"{item.id} is a prompt of {length:,} tokens, and prompt and reply may have "
                f"{limit:,} together; raise --max-seq-len"
            )
