import re
from pathlib import Path

import numpy as np
import pytest
import torch

from chat.formats.rendering import render
from chat.tokenizers.tokenizer import load_tokenizer
from demo.making.text.lexicon import HELD_OUT, SEEN
from demo.making.text.names import Words
from demo.making.text.stream import (
    FORMAT,
    PROBES,
    TASKS,
    Stream,
    probe_conversations,
)
from synthesis.dice import Dice

VOCABULARY = Path("demo/base/tokenizer.model")


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream(load_tokenizer(VOCABULARY), seed=5, step_tokens=2000, early_steps=10)


def test_a_step_follows_from_the_seed_and_its_number_alone(stream):
    again = Stream(stream.tokenizer, seed=5, step_tokens=2000, early_steps=10)
    again.step(3)
    assert torch.equal(stream.step(7).tokens, again.step(7).tokens)
    assert not torch.equal(stream.step(7).tokens[:500], stream.step(8).tokens[:500])
    other = Stream(stream.tokenizer, seed=6, step_tokens=2000, early_steps=10)
    assert not torch.equal(stream.step(7).tokens[:500], other.step(7).tokens[:500])


def test_steps_are_full_and_no_conversation_is_cut(stream):
    for number in range(5):
        batch = stream.step(number)
        assert 1000 < len(batch.tokens) <= 2000
        end = stream.tokenizer.special_tokens["<|eot_id|>"]
        assert all(batch.tokens[offset - 1] == end for offset in batch.offsets[1:])


def test_only_the_assistants_words_are_learned(stream):
    conversation = stream.conversation(2, 0)
    tokens, trained = stream.tokens(conversation)
    learned = stream.tokenizer.decode(np.array(tokens)[np.array(trained)].tolist())
    replies = [message.content for message in conversation.messages if message.role == "assistant"]
    assert learned == "".join(f"{reply}<|eot_id|>" for reply in replies)


def test_the_mix_moves_from_copying_to_forms():
    stream = Stream(load_tokenizer(VOCABULARY), seed=1, step_tokens=2000, early_steps=100)

    def share_of_forms(step: int) -> float:
        drawn = [stream.conversation(step, index) for index in range(200)]
        replies = [conversation.messages[-1].content for conversation in drawn]
        return sum('"fields"' in reply for reply in replies) / len(replies)

    assert share_of_forms(0) < 0.3 < 0.5 < share_of_forms(100)


@pytest.mark.parametrize("task", TASKS)
def test_text_is_not_in_the_tool_call_format(task):
    for index in range(100):
        words = Words(Dice("format", task, index), SEEN)
        text = "".join(segment.text for segment in render(TASKS[task](words), FORMAT))
        assert not re.search("tool_uses|recipient_name|namespace|functions", text)


@pytest.mark.parametrize("kind", PROBES)
def test_probes_hold_no_word_of_training(kind):
    shown = {*SEEN.nouns, *SEEN.verbs, *SEEN.adjectives}
    own = {*HELD_OUT.nouns, *HELD_OUT.verbs, *HELD_OUT.adjectives}
    asked = [conversation.messages[-1].content for conversation in probe_conversations(kind, 40)]
    found = {word for text in asked for word in re.findall("[a-z]+", text)}
    if kind == "form":
        assert found & own
    # what remains are the names of common fields (city, date), options and invented words
    assert len(found & shown) < len(found) / 5


@pytest.mark.parametrize("kind", PROBES)
def test_no_constant_answer_passes_a_probe(kind):
    wanted = [conversation.messages[-1].content for conversation in probe_conversations(kind, 200)]
    assert max(map(wanted.count, wanted)) <= 2


@pytest.mark.parametrize("kind", ["copy", "lookup"])
def test_probes_ask_for_names_of_several_tokens(kind, stream):
    lengths = [
        len(stream.tokenizer.encode(conversation.messages[-1].content))
        for conversation in probe_conversations(kind, 100)
    ]
    assert min(lengths) > 1
    assert sum(lengths) / len(lengths) > 4
