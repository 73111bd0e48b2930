from pathlib import Path

import pytest
from tiny_models import TINY, random_model

from chat.conversation import Conversation, Message
from chat.formats.known import find_format
from chat.tokenizers.tokenizer import load_tokenizer
from demo.making.probes import answers, exact_share
from model.config import ModelConfig


def asked(answer: str) -> Conversation:
    return Conversation((Message("user", "Which?"), Message("assistant", answer)))


def test_exact_share_counts_only_identical_answers():
    items = [asked("blue"), asked("Blue"), asked("blue fish"), asked("red")]
    assert exact_share(["blue", "blue", "blue", None], items) == 0.25


def test_a_reply_that_does_not_end_counts_as_none():
    tokenizer = load_tokenizer(Path("demo/base/tokenizer.model"))
    config = ModelConfig(**{**TINY.__dict__, "vocab_size": tokenizer.vocab_size})
    model = random_model(config)
    replies = answers(model, tokenizer, find_format("llama3"), [asked("x")] * 2, max_new_tokens=3)
    assert replies == [None, None]


@pytest.mark.parametrize("text", ["a", "a longer one"])
def test_a_probe_does_not_show_its_answer(text, monkeypatch):
    """The prompt of a probe ends before its last message."""
    tokenizer = load_tokenizer(Path("demo/base/tokenizer.model"))
    config = ModelConfig(**{**TINY.__dict__, "vocab_size": tokenizer.vocab_size})
    model, format = random_model(config), find_format("llama3")
    one, other = (
        answers(model, tokenizer, format, [asked(answer)], 5) for answer in (text, "other")
    )
    assert one == other
