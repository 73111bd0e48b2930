"""Let a model go on with texts as they stand, without the turns of its chat format."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from chat.formats.rendering import reply_text, silent_ids
from chat.strict_json import read_json
from inference.chat_model import ChatModel, token_limits
from inference.generate import Decoding, complete


def read_prompts(file: Path | str) -> list[str]:
    """Return the texts of a JSON list; FileNotFoundError or ValueError says what is wrong."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; wanted a JSON list of texts")
    try:
        prompts = read_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, str) for p in prompts):
        raise ValueError(f"{path} must hold a list of texts with at least one in it")
    return prompts


def completed_texts(
    chat_model: ChatModel, prompts: Sequence[str], decoding: Decoding
) -> Iterator[tuple[int, str]]:
    """Yield (index, prompt and what follows it) as texts end; special tokens have no text.

    A text begins with the token that begins a conversation, and ends at the chat format's stops.
    """
    tokenizer, format = chat_model.tokenizer, chat_model.format
    begin = [tokenizer.special_tokens[format.begin]] if format.begin else []
    encoded = [begin + tokenizer.encode(prompt) for prompt in prompts]
    limits, silent = token_limits(format, tokenizer), silent_ids(format, tokenizer)
    for index, found in complete(chat_model.model, encoded, replace(decoding, **limits)):
        yield index, reply_text(encoded[index] + found.tokens, tokenizer, silent)
