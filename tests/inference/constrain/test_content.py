"""A reply that must be JSON of one schema: whole within its room, checked at its end."""

import json

import pytest
import torch
from speaking_model import TOKENIZER

from chat.conversation import Tool
from chat.formats.known import FORMATS
from chat.formats.rendering import stop_ids
from chat.schemas.validation import validate_arguments
from chat.tokenizers.tokenizer import load_tokenizer
from inference.constrain.constraint import CallConstraint
from inference.constrain.content import content_constraint
from inference.constrain.finished_replies import FinishedReply, content_read

DEMO = load_tokenizer(TOKENIZER)
LLAMA3 = FORMATS["llama3"]
STOPS = stop_ids(LLAMA3, DEMO)
MONTH = {
    "type": "object",
    "properties": {
        "number": {"type": "integer", "minimum": 1, "maximum": 12},
        "name": {"type": "string", "pattern": "[a-z]{3}"},
    },
    "required": ["number", "name"],
}


def said(constraint: CallConstraint, seed: int, room: int) -> str:
    """The reply of random logits."""
    generator = torch.Generator().manual_seed(seed)
    tokens: list[int] = []
    for left in range(room, 0, -1):
        accepted = False
        while not accepted:
            logits = torch.randn(DEMO.vocab_size, generator=generator)
            constraint.restrict(logits, left)
            token = int(logits.argmax())
            accepted = constraint.accept(token, left - 1)
        if token in STOPS:
            return DEMO.decode(tokens)
        tokens.append(token)
    raise AssertionError(f"the reply is cut off: {DEMO.decode(tokens)}")


def test_content_is_whole_and_valid_within_its_room() -> None:
    for seed in range(5):
        text = said(content_constraint(MONTH, "m", LLAMA3, DEMO, room=40), seed, 40)
        assert validate_arguments(Tool("m", "", MONTH), json.loads(text)) == []


def test_content_that_has_no_room_is_refused_beforehand() -> None:
    with pytest.raises(ValueError, match=r"m cannot be constrained: .* more than the 5 tokens"):
        content_constraint(MONTH, "m", LLAMA3, DEMO, room=5)


def test_content_that_is_not_valid_at_its_end_is_an_error() -> None:
    constraint = content_constraint(MONTH, "m", LLAMA3, DEMO)
    stricter = {**MONTH, "required": ["number", "name", "days"]}
    constraint.finished = FinishedReply(content_read(Tool("m", "", stricter)), DEMO)
    with pytest.raises(ValueError, match=r"the content is not valid at .*days"):
        said(constraint, 0, 100)
