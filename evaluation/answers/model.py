"""Answers of a model to the items of an evaluation."""

from collections.abc import Callable, Iterator, Sequence

from evaluation.items import Item
from inference.chat_model import Answer, NotAsked, Speaker
from inference.generate import Decoding


def model_answers(
    speaker: Speaker,
    items: Sequence[Item],
    decoding: Decoding,
    constrain: bool = False,
    tell: Callable[[str], None] = print,
) -> Iterator[tuple[int, Answer | NotAsked]]:
    """Yield (index, answer); ValueError names an item whose prompt leaves no room.

    With `constrain`, calls are valid by the tools' schemas (inference/constrain/): items with a
    schema that cannot be enforced come first and are not asked, and `tell` hears of the cost.
    """
    conversations = [item.conversation for item in items]
    if not constrain:
        _refuse_long(speaker, items, decoding.max_length)
        yield from speaker.answers(conversations, decoding)
        return
    from inference.constrain.constraint import Constraints, refusals

    refused = refusals(conversations, speaker.format, speaker.tokenizer)
    asked = [index for index in range(len(items)) if index not in refused]
    if not asked:
        raise ValueError(f"none of {len(items):,} items can be constrained; {refused[0]}")
    _refuse_long(speaker, [items[index] for index in asked], decoding.max_length)
    yield from ((index, NotAsked(reason)) for index, reason in refused.items())
    left = [conversations[index] for index in asked]
    constraints = Constraints(left, speaker.format, speaker.tokenizer)
    for index, answer in speaker.answers(left, decoding, constraints):
        yield asked[index], answer
    tell(constraints.cost())


def _refuse_long(speaker: Speaker, items: Sequence[Item], limit: int | None) -> None:
    for item in items:
        length = len(speaker.prompt(item.conversation))
        if limit is not None and length >= limit:
            raise ValueError(
                f"{item.id} is a prompt of {length:,} tokens, and prompt and reply may have "
                f"{limit:,} together; raise --max-seq-len"
            )
