"""Answers of a model to the items of an evaluation."""

from collections.abc import Callable, Sequence

from chat.formats.format import CannotWrite
from evaluation.answers.turns import Answers, answers_with_turns
from evaluation.items import Item
from inference.chat_model import ChatModel, SkippedItem
from inference.generate import Decoding


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
    conversations = [item.conversation for item in items]
    format, tokenizer = chat_model.format, chat_model.tokenizer
    refused = dict[int, str]()
    if seconds is not None:
        from inference.constrain.constraint import Constraints, refusals

        refused = dict(refusals(conversations, format, tokenizer))
    prompts = _written(chat_model, items, decoding.max_length, refused)
    asked = [index for index in range(len(items)) if index not in refused]
    if refused and not asked and all(item.task is None for item in items):
        raise ValueError(f"none of {len(items):,} items can be asked; the first: {refused[0]}")
    yield from ((index, SkippedItem(reason)) for index, reason in sorted(refused.items()))
    constraints = None
    if seconds is not None:
        constraints = Constraints([conversations[index] for index in asked], format, tokenizer)
        constraints.seconds = seconds
    left = [prompts[index] for index in asked]
    order = sorted(range(len(left)), key=lambda place: -len(left[place]))
    for place, answer in chat_model.replies(left, decoding, constraints, order):
        yield asked[place], answer


def _written(
    chat_model: ChatModel, items: Sequence[Item], limit: int | None, refused: dict[int, str]
) -> dict[int, list[int]]:
    """Return the prompts of items by index; those without are added to `refused`, with reasons."""
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
    return prompts
