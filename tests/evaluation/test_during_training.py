"""Replies of a model in training: without dropout, in batches, within the time limit."""

import gc
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from speaking_model import TOKENIZER, learn_by_heart
from talking_runs import FORMAT, HELD_OUT, TEXTS, called
from tiny_models import TINY
from torch import Tensor

from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, render_prompt, tokenize
from chat.tokenizers.tokenizer import load_tokenizer
from evaluation.during_training import Limits, Replies, Sample
from evaluation.items import turn_items
from evaluation.results import Judged
from inference.chat_model import Answer
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The weights of a model that has learned the texts, and one of the calls."""
    known = [conversation for conversation in HELD_OUT if conversation.id in (*TEXTS, "0 Oslo")]
    return learn_by_heart(known, chat_format=FORMAT).state_dict()


@pytest.fixture(scope="module")
def sample() -> Sample:
    tokenizer, format = load_tokenizer(TOKENIZER), FORMATS[FORMAT]
    conversations = [*HELD_OUT, called("Bern")]
    items = [item for conversation in conversations for item in turn_items(conversation)]
    prompts = [tokenize(render_prompt(item.conversation, format), tokenizer).ids for item in items]
    limits = Limits(seconds=60.0, max_new_tokens=60, batch_size=2)
    return Sample(items, prompts, tokenizer, format, limits)


def ranks_of(state: dict[str, Tensor], device: str = "cpu", rank: int = 0, world: int = 1) -> Any:
    """A minimal backend for replies: an adapter with heavy dropout, in training mode."""
    model = Transformer(replace(TINY, vocab_size=len(state["output.weight"])))
    model.load_state_dict(state)
    torch.manual_seed(0)
    add_lora(model, LoraConfig(rank=4, alpha=8.0, dropout=0.5))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("lora_b"):
                parameter.normal_(std=0.1)
            kept = torch.float32 if parameter.requires_grad else torch.bfloat16
            parameter.data = parameter.data.to(device, kept if device == "cuda" else None)
    return SimpleNamespace(
        model=model.train(),
        rank=rank,
        world_size=world,
        device=torch.device(device),
        sum=lambda values: values,
        computing=nullcontext,
    )


def texts(replies: Replies) -> list[str]:
    return [judged.answer.text for judged in replies.judged]


@pytest.mark.parametrize("device", DEVICES)
def test_replies_use_no_dropout_and_free_their_memory(
    state: dict[str, Tensor], sample: Sample, device: str
) -> None:
    ranks = ranks_of(state, device)

    def memory_in_use() -> int:
        gc.collect()
        if device == "cuda":
            return torch.cuda.memory_allocated()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    first = texts(sample(ranks))
    before = memory_in_use()
    for _ in range(3):
        assert texts(sample(ranks)) == first
    assert memory_in_use() == before
    assert ranks.model.training


def test_replies_are_computed_in_the_precision_of_training(
    state: dict[str, Tensor], sample: Sample
) -> None:
    ranks = ranks_of(state)
    ranks.computing = partial(torch.autocast, "cpu", torch.bfloat16)
    seen = set[torch.dtype]()
    query = ranks.model.layers[0].attention.wq
    query.register_forward_hook(lambda module, given, product: seen.add(product.dtype))
    sample(ranks)
    assert seen == {torch.bfloat16}


def test_batch_size_does_not_change_replies(state: dict[str, Tensor], sample: Sample) -> None:
    ranks = ranks_of(state)
    found = [
        texts(replace(sample, limits=replace(sample.limits, batch_size=size))(ranks))
        for size in (1, 2, 6)
    ]
    assert len(found[0]) == 6 and found[1:] == [found[0]] * 2


def test_first_round_completes_and_most_limits_the_prompts(
    state: dict[str, Tensor], sample: Sample
) -> None:
    ranks = ranks_of(state)
    hasty = replace(sample, limits=replace(sample.limits, seconds=1e-9))
    assert (hasty(ranks).reached, hasty(ranks, 6).reached) == (2, 2)
    assert [sample(ranks, most).reached for most in (None, 6, 3, 1)] == [6, 6, 3, 1]
    assert texts(sample(ranks, 3)) == texts(sample(ranks))[:3]


@dataclass
class Clock:
    """A clock that moves `step` seconds on with each call."""

    step: float
    now: float = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize(("most", "reached"), [(None, 2), (6, 4)])
def test_first_evaluation_stops_at_half_of_the_time(
    state: dict[str, Tensor],
    sample: Sample,
    monkeypatch: pytest.MonkeyPatch,
    most: int | None,
    reached: int,
) -> None:
    """The clock is read at the start, before and after each batch; each reading adds 10 s."""
    monkeypatch.setattr("evaluation.during_training.time.perf_counter", Clock(10.0))
    timed = replace(sample, limits=replace(sample.limits, seconds=59.0))
    assert timed(ranks_of(state), most).reached == reached


def test_rank_replies_only_to_its_own_batches(state: dict[str, Tensor], sample: Sample) -> None:
    """The replies of other ranks stay empty, because `sum` here adds nothing."""
    whole = texts(sample(ranks_of(state)))
    first, second = (texts(sample(ranks_of(state, rank=rank, world=2))) for rank in (0, 1))
    assert first == [*whole[:2], "", "", *whole[4:]]
    assert second == ["", "", *whole[2:4], "", ""]


def test_truncated_replies_are_marked_as_not_whole(
    state: dict[str, Tensor], sample: Sample
) -> None:
    short = replace(sample, limits=replace(sample.limits, max_new_tokens=4))
    assert not any(judged.answer.whole for judged in short(ranks_of(state)).judged)
    assert any(judged.answer.whole for judged in sample(ranks_of(state)).judged)


def test_lone_surrogate_in_a_call_is_shown_escaped(sample: Sample) -> None:
    text = '{"tool_uses": [{"recipient_name": "functions.w", "parameters": {"a": "\\ud800"}}]}'
    item, answer = sample.items[0], Answer(text, parse_reply(text, FORMATS[FORMAT]), True)
    (shown,) = Replies([Judged(item, answer, item.judge(answer.reply))], 1, 0.0).texts.values()
    assert "\\ud800" in shown
    shown.encode()
