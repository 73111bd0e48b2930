"""Several replies to a prompt: draws of their own, true log-probabilities, the prompt read once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from speaking_model import TOKENIZER, learn_by_heart
from tiny_models import TINY, sharp_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS
from chat.tokenizers.tokenizer import load_tokenizer
from evaluation.items import Item, turn_items
from inference.chat_model import ChatModel, SkippedItem
from model.attention import Documents
from model.config import ModelConfig
from rewards.replies import Drawing, DrawnReply, draw_replies
from rewards.verdicts import judge_reply

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall("weather", {"city": "Lyon"})
SAID = [
    Conversation(
        (Message("user", "Rain in Lyon?"), Message("assistant", "", (CALL,))), (WEATHER,), "asked"
    ),
    Conversation(
        (Message("user", "Hi"), Message("assistant", "Hello there, how are you?")), (), "greeted"
    ),
]
ITEMS = [item for conversation in SAID for item in turn_items(conversation)]
DRAWING = Drawing(count=3, max_new_tokens=12, max_length=400, seed=5)


@pytest.fixture(scope="module")
def wandering() -> ChatModel:
    tokenizer = load_tokenizer(TOKENIZER)
    # Twenty ids more than the tokenizer has, as an embedding may be padded.
    config = ModelConfig(**{**TINY.__dict__, "vocab_size": tokenizer.vocab_size + 20})
    return ChatModel(sharp_model(config).eval(), tokenizer, FORMATS["llama3"])


@pytest.fixture(scope="module")
def learnt() -> ChatModel:
    return ChatModel(learn_by_heart(SAID), load_tokenizer(TOKENIZER), FORMATS["llama3"])


def drawn(
    chat_model: ChatModel, items: Sequence[Item], drawing: Drawing, step: int = 0
) -> list[list[DrawnReply]]:
    found = dict(draw_replies(chat_model, items, drawing, step))
    return [replies for _, replies in sorted(found.items()) if isinstance(replies, list)]


def tokens_of(groups: list[list[DrawnReply]]) -> list[list[tuple[int, ...]]]:
    return [[reply.tokens for reply in group] for group in groups]


@torch.no_grad()
def log_probabilities(
    chat_model: ChatModel, item: Item, reply: DrawnReply, temperature: float
) -> torch.Tensor:
    """The log-probabilities of a reply's tokens, by one pass over prompt and reply."""
    prompt = chat_model.prompt(item.conversation)
    tokens = torch.tensor([*prompt, *reply.tokens])
    logits = chat_model.model(tokens, torch.arange(len(tokens)), Documents([0, len(tokens)]))
    wanted = (logits[len(prompt) - 1 : -1] / temperature).log_softmax(-1)
    return wanted.gather(-1, tokens[len(prompt) :, None])[:, 0]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
@pytest.mark.parametrize("top_p", [0.6, 1.0])
def test_log_probabilities_are_the_models_own_at_the_temperature(
    wandering: ChatModel, temperature: float, top_p: float
) -> None:
    drawing = replace(DRAWING, temperature=temperature, top_p=top_p)
    for item, group in zip(ITEMS, drawn(wandering, ITEMS, drawing), strict=True):
        for reply in group:
            wanted = log_probabilities(wandering, item, reply, temperature)
            assert torch.allclose(torch.tensor(reply.logprobs), wanted, atol=2e-5)


def test_the_stop_token_is_kept_with_its_log_probability(learnt: ChatModel) -> None:
    drawing = replace(DRAWING, max_new_tokens=60, temperature=0.5)
    for item, group in zip(ITEMS, drawn(learnt, ITEMS, drawing), strict=True):
        for reply in group:
            assert reply.answer.whole
            assert len(reply.logprobs) == len(reply.tokens)
            wanted = log_probabilities(learnt, item, reply, 0.5)
            assert torch.allclose(torch.tensor(reply.logprobs), wanted, atol=2e-5)


def test_constrained_replies_have_the_free_models_log_probabilities(learnt: ChatModel) -> None:
    pytest.importorskip("llguidance")
    drawing = replace(DRAWING, max_new_tokens=40, temperature=3.0, constrain=True)
    (group,) = drawn(learnt, ITEMS[:1], drawing)
    for reply in group:
        wanted = log_probabilities(learnt, ITEMS[0], reply, 3.0)
        assert torch.allclose(torch.tensor(reply.logprobs), wanted, atol=2e-5)


def test_draws_depend_on_seed_step_and_prompt_alone(wandering: ChatModel) -> None:
    both = tokens_of(drawn(wandering, ITEMS, DRAWING))
    assert len(set(both[0])) == DRAWING.count
    assert tokens_of(drawn(wandering, ITEMS[1:], DRAWING)) == both[1:]
    assert tokens_of(drawn(wandering, ITEMS[::-1], replace(DRAWING, batch_size=3))) == both[::-1]
    assert tokens_of(drawn(wandering, ITEMS, DRAWING, step=1)) != both
    assert tokens_of(drawn(wandering, ITEMS, replace(DRAWING, seed=6))) != both


def test_more_replies_leave_the_first_ones_as_they_are(wandering: ChatModel) -> None:
    three = tokens_of(drawn(wandering, ITEMS, DRAWING))
    five = tokens_of(drawn(wandering, ITEMS, replace(DRAWING, count=5)))
    assert [group[:3] for group in five] == three


def test_a_prompt_is_read_once_for_all_its_replies(wandering: ChatModel) -> None:
    read = list[int]()
    hook = wandering.model.register_forward_hook(lambda _, given, __: read.append(len(given[0])))
    drawn(wandering, ITEMS, replace(DRAWING, max_new_tokens=2))
    hook.remove()
    prompts = [len(wandering.prompt(item.conversation)) for item in ITEMS]
    assert read == [sum(prompts), len(ITEMS) * DRAWING.count]


def test_items_that_cannot_be_asked_come_first_with_the_reason(wandering: ChatModel) -> None:
    drawing = replace(DRAWING, max_length=len(wandering.prompt(ITEMS[1].conversation)) + 20)
    found: Iterator[object] = (outcome for _, outcome in draw_replies(wandering, ITEMS, drawing))
    refused, replies = found
    assert isinstance(refused, SkippedItem)
    assert "raise --max-seq-len" in refused.reason
    assert isinstance(replies, list)


def test_several_greedy_replies_are_refused() -> None:
    with pytest.raises(ValueError, match="all 4 replies to a prompt are the same one"):
        Drawing(count=4, temperature=0)


def test_a_model_in_training_stays_in_training(wandering: ChatModel) -> None:
    wandering.model.train()
    drawn(wandering, ITEMS[:1], DRAWING)
    assert wandering.model.training
    wandering.model.eval()


def test_replies_are_judged_with_the_kind_of_mistake(learnt: ChatModel) -> None:
    drawing = replace(DRAWING, count=1, max_new_tokens=60, temperature=0)
    (call,), (text,) = drawn(learnt, ITEMS, drawing)
    verdicts = [judge_reply(ITEMS[0], call), judge_reply(ITEMS[1], text)]
    assert [(verdict.right, verdict.kind) for verdict in verdicts] == [(True, None)] * 2
    other = judge_reply(ITEMS[0], text)
    assert (other.right, other.kind) == (False, "asked where it could call")


def test_a_record_of_a_verdict_has_prompt_and_reply(learnt: ChatModel) -> None:
    drawing = replace(DRAWING, count=1, max_new_tokens=60, temperature=0)
    ((call,),) = drawn(learnt, ITEMS[:1], drawing)
    asked = SAID[0].to_record()
    assert judge_reply(ITEMS[0], call).to_record() == {
        "id": "asked/1",
        "sha256": "asked",
        "tools": asked["tools"],
        "messages": asked["messages"][:1],
        "reply": asked["messages"][1],
        "right": True,
        "kind": None,
        "tokens": len(call.tokens),
    }


def test_a_reply_that_a_limit_cut_off_is_not_right(learnt: ChatModel) -> None:
    drawing = replace(DRAWING, count=1, max_new_tokens=2, temperature=0)
    ((cut,),) = drawn(learnt, ITEMS[1:], drawing)
    verdict = judge_reply(ITEMS[1], cut)
    assert verdict.verdict.correct
    assert not verdict.right
