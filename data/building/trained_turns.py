"""What of a conversation is trained: the assistant's turns, the last of them, or all the text."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

from chat.conversation import Conversation
from chat.formats.format import CannotWrite, ChatFormat
from chat.formats.rendering import Tokens, training_sequences

TrainOn = Literal["assistant", "last", "all"]
TRAIN_ON: tuple[str, ...] = get_args(TrainOn)


def trained_sequences(
    conversation: Conversation, format: ChatFormat, train_on: str
) -> Iterator[Conversation]:
    """Yield the conversations to train on, each message marked by whether it is learnt.

    Raises CannotWrite where the whole text is to be trained, and a turn is marked as not to be
    learnt.
    """
    if train_on != "all":
        known = with_last_turn_learnt(conversation) if train_on == "last" else conversation
        yield from training_sequences(known, format)
        return
    for place, message in enumerate(conversation.messages):
        if not message.trained:
            raise CannotWrite(
                f"messages[{place}]: the turn is not to be learnt, and the whole text is trained"
            )
    yield conversation


def with_last_turn_learnt(conversation: Conversation) -> Conversation:
    """Return a conversation of which no turn before the last of the assistant is learnt."""
    messages = conversation.messages
    spoken = [place for place, message in enumerate(messages) if message.role == "assistant"]
    kept = tuple(
        replace(message, trained=False) if place in spoken[:-1] else message
        for place, message in enumerate(messages)
    )
    return replace(conversation, messages=kept)


def whole_text(tokens: Tokens) -> Tokens:
    """Return tokens of which all but the first are trained, up to the last trained one."""
    length = len(tokens.trained)
    end = next((at for at in range(length, 0, -1) if tokens.trained[at - 1]), 0)
    trained = [0 < at < end for at in range(length)]
    return replace(tokens, trained=trained)
