"""Make an over-long conversation fit by what may be left out of it: tools it never calls."""

from collections.abc import Callable
from dataclasses import replace

from chat.conversation import Conversation


def without_spare_tools(
    conversation: Conversation,
    count: Callable[[Conversation], int],
    most: int,
) -> Conversation | None:
    """Leave out as few tools as possible, longest first, so that `count` is at most `most`.

    Tools that are called stay; where none is, the shortest stays, so that an answer which says
    that no tool helps is still about one. None when that is not enough.
    """
    called = {call.name for message in conversation.messages for call in message.tool_calls}
    spare = [tool.name for tool in conversation.tools if tool.name not in called]
    length = {tool.name: len(tool.json_text) for tool in conversation.tools}
    spare.sort(key=lambda name: -length[name])
    if len(spare) == len(conversation.tools):
        spare = spare[:-1]

    def without(number: int) -> Conversation:
        left_out = set(spare[:number])
        kept = tuple(tool for tool in conversation.tools if tool.name not in left_out)
        return replace(conversation, tools=kept)

    if not spare or count(without(len(spare))) > most:
        return None
    too_few, enough = 0, len(spare)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if count(without(middle)) > most:
            too_few = middle
        else:
            enough = middle
    return without(enough)
