"""Probes of a base model: what share of one-answer conversations it completes exactly."""

from collections.abc import Sequence

from chat.conversation import Conversation
from chat.formats.format import ChatFormat
from chat.formats.rendering import encode_prompt, reply_text, silent_ids
from chat.tokenizers.tokenizer import Tokenizer
from inference.chat_model import token_limits
from inference.generate import Decoding, complete
from model.transformer import Transformer


def answers(
    model: Transformer,
    tokenizer: Tokenizer,
    format: ChatFormat,
    conversations: Sequence[Conversation],
    max_new_tokens: int = 160,
) -> list[str | None]:
    """Return the greedy reply to all but the last message of each; None where it does not end."""
    prompts = [
        encode_prompt(Conversation(conversation.messages[:-1]), format, tokenizer)
        for conversation in conversations
    ]
    limits = token_limits(format, tokenizer)
    decoding = Decoding(**limits, max_new_tokens=max_new_tokens, batch_size=64)
    replies = dict(complete(model, prompts, decoding))
    silent = silent_ids(format, tokenizer)
    return [
        None if replies[row].stop is None else reply_text(replies[row].tokens, tokenizer, silent)
        for row in range(len(prompts))
    ]


def exact_share(replies: Sequence[str | None], conversations: Sequence[Conversation]) -> float:
    """Return the share of replies that equal the last message, character for character."""
    wanted = [conversation.messages[-1].content for conversation in conversations]
    hits = sum(reply == text for reply, text in zip(replies, wanted, strict=True))
    return hits / len(wanted)
