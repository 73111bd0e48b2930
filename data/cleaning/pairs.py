"""Pairs: two ways to go on from one prompt, of which the chosen one is to be preferred."""

from dataclasses import dataclass

from chat.conversation import Conversation, Message, Tool, to_json
from data.cleaning.fingerprints import turn_text
from data.outcomes import records


@dataclass(frozen=True)
class Pair:
    """Two continuations of a prompt, each beginning with a turn of the assistant.

    id: The ids of the two rows, or of the one that held both.
    """

    tools: tuple[Tool, ...]
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    id: str = ""


def pair_of(chosen: Conversation, rejected: Conversation) -> Pair | None:
    """Return the pair of two conversations; the prompt is all that they have in common.

    None where the assistant does not say otherwise: the prompts differ, or one conversation is
    the other, or its beginning.
    """
    begins = None
    # Where the turns of the shorter one are all equal, it is the beginning of the longer one.
    for place, (good, bad) in enumerate(zip(chosen.messages, rejected.messages, strict=False)):
        if good.role == bad.role == "assistant":
            begins = place
        if turn_text(good) == turn_text(bad):
            continue
        if begins is None or good.role != bad.role or good.role in ("system", "user"):
            return None
        return Pair(
            chosen.tools,
            chosen.messages[:begins],
            chosen.messages[begins:],
            rejected.messages[begins:],
            " ".join(dict.fromkeys((chosen.id, rejected.id))).strip(),
        )
    return None


def pair_line(pair: Pair) -> str:
    """Return a pair as one line of JSON, its end included; messages are the canonical ones."""
    tools = ", ".join(tool.json_text for tool in pair.tools)
    sides = {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
    fields = [f'"{name}": {to_json(records(*messages))}' for name, messages in sides.items()]
    origin = [f'"id": {to_json(pair.id)}'] if pair.id else []
    return "{" + ", ".join([*origin, f'"tools": [{tools}]', *fields]) + "}\n"
