"""Cut conversations so that questions and calls are endings too, and weak endings are not.

This is what the original project did, where a conversation was trained on by its ending. Each
choice follows from the seed and the conversation alone, never from the order of the rows.
"""

import re
from dataclasses import replace

from chat.conversation import Conversation, Message
from data.conversations import content_sha256, fraction
from data.outcomes import Change, Draft, pointer

KEEP_WHOLE = 0.4
END_AT_QUESTION = 0.5
SHORTEST_TO_CUT = 4
_WEAK_ENDING = re.compile(
    r"\s*(you('re| are) welcome|great choice|(i'm|i am) (very )?sorry|sorry|i apologi[sz]e)",
    re.IGNORECASE,
)
_REQUEST = re.compile(r"\?|\bplease\b", re.IGNORECASE)


def balance(conversation: Conversation, seed: int) -> Draft:
    """Cut a weak ending; then, by the seed, end many conversations at a question or a call."""
    digest = content_sha256(conversation)
    first = _without_weak_ending(conversation)
    second = _ending_by_chance(first.conversation, seed, digest)
    return Draft(second.conversation, first.changes + second.changes)


def cut(conversation: Conversation, end: int, rule: str) -> Draft:
    """Keep the first `end` messages and note the others."""
    if end >= len(conversation.messages):
        return Draft(conversation)
    removed = conversation.to_record()["messages"][end:]
    change = Change(rule, pointer("messages", end), removed, [])
    return Draft(replace(conversation, messages=conversation.messages[:end]), (change,))


def _without_weak_ending(conversation: Conversation) -> Draft:
    """Drop a last exchange that ends in thanks or an apology, where an assistant's turn is left."""
    messages = conversation.messages
    if len(messages) < SHORTEST_TO_CUT or messages[-3].role != "assistant":
        return Draft(conversation)
    if messages[-1].tool_calls or not _WEAK_ENDING.match(
        messages[-1].content.replace("\u2019", "'")
    ):
        return Draft(conversation)
    return cut(conversation, len(messages) - 2, "weak-ending")


def _ending_by_chance(conversation: Conversation, seed: int, digest: str) -> Draft:
    messages = conversation.messages
    calls = [i for i, message in enumerate(messages) if message.tool_calls]
    if not calls or fraction(f"{seed} whole {digest}") < KEEP_WHOLE:
        return Draft(conversation)
    questions = [i for i in range(len(messages) - 2) if _is_question(messages[i : i + 3])]
    if questions and fraction(f"{seed} question {digest}") < END_AT_QUESTION:
        chosen = questions[int(fraction(f"{seed} which {digest}") * len(questions))]
        return cut(conversation, chosen + 1, "ending-at-question")
    chosen = calls[int(fraction(f"{seed} which {digest}") * len(calls))]
    return cut(conversation, chosen + 1, "ending-at-call")


def _is_question(turns: tuple[Message, ...]) -> bool:
    """Whether an assistant asks for something, the user answers, and a call follows."""
    asked, answer, call = turns
    return (
        asked.role == "assistant"
        and not asked.tool_calls
        and _REQUEST.search(asked.content) is not None
        and answer.role == "user"
        and bool(call.tool_calls)
    )
