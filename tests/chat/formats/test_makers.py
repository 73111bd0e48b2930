"""What our formats write is what the makers' own code writes, shape by shape."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chat_shape_parts import with_nine_letter_ids
from chat_shapes import SHAPES, first_difference
from oracles.makers import FOLDER, read_recordings

from chat.conversation import Conversation
from chat.formats.rendering import FORMATS, Segment, find_format, render, render_prompt, tokenize
from chat.tokenizers.tokenizer import load_tokenizer

RECORDED = sorted(file.stem for file in FOLDER.glob("*.json"))
PRESENT = [name for name in RECORDED if name in FORMATS]

# Places where ours differs on purpose: (format, shape, "whole" or "prompts") and the reason.
DIFFERENT: dict[tuple[str, str, str], str] = {}


def texts_of(name: str, shape: str) -> Iterator[tuple[str, object, list[Segment] | ValueError]]:
    """Yield what each recording of a shape is of, the recording, and what ours writes."""
    conversation = _prepared(SHAPES[shape], name)
    recorded = read_recordings(name)[shape]
    format = find_format(name)
    yield "whole", recorded["whole"], _attempt(render, conversation, format)
    for place, prompt in recorded["prompts"].items():
        before = replace(conversation, messages=conversation.messages[:place])
        yield f"prompts[{place}]", prompt, _attempt(render_prompt, before, format)
