"""Whether a clean conversation can be trained on: a turn to learn, and a format that writes it."""

from chat.conversation import Conversation, is_learnt
from data.outcomes import Rejected


def check_learnable(conversation: Conversation, chat_format: str | None = None) -> None:
    """Raise Rejected where nothing is to be learnt, and where a format that is named cannot write.

    What building would leave out is found here, while its row is at hand.
    """
    if not any(map(is_learnt, conversation.messages)):
        reason = "no turn of the assistant is to be learnt"
        raise Rejected("nothing-to-learn", "/messages", reason)
    if chat_format is None:
        return
    # Not at the top: each process of a cleaning would load all formats and their tokenizers.
    from chat.formats.format import CannotWrite
    from chat.formats.known import find_format
    from chat.formats.rendering import check_writable

    try:
        check_writable(conversation, find_format(chat_format))
    except CannotWrite as error:
        spoken = next(filter(is_learnt, conversation.messages))
        reason = f"{chat_format}: {error}"
        raise Rejected("unwritable", "/messages", reason, spoken.content) from error
