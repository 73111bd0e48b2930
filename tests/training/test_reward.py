"""The objective of rewards: TRL's recorded values, plain autograd, and the generator's numbers."""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import LLAMA3_SHAPES, TINY, random_model
from torch import Tensor

from benchmarks.ours import Optimizer
from data.batches import Batch
from inference.generate import Decoding, complete
from model.attention import Documents
from model.config import ModelConfig
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from model.transformer import Transformer
from training.backends import NativeBackend, trained_parameters
from training.feed import StepData
from training.reward import MISMATCH_BOUNDS, Clip, Reward, distances, token_losses
from training.rollouts import RolloutFeed

TRL = json.loads((Path(__file__).parents[1] / "oracles" / "trl_reward.json").read_text())
CLIP = Clip(0.2, 0.28)


@pytest.mark.parametrize("form", TRL["forms"])
def test_losses_and_gradients_are_those_of_trl(form: str) -> None:
    settings, wanted = TRL["settings"][form], TRL["forms"][form]
    own, old, reference = (
        torch.tensor([x for row in TRL[name] for x in row]) for name in ("own", "old", "reference")
    )
    lengths = torch.tensor([len(row) for row in TRL["own"]])
    advantages = torch.tensor(TRL["advantages"]).repeat_interleave(lengths)
    own.requires_grad_()
    losses, _ = token_losses(
        own, old, advantages, Clip(settings["epsilon_low"], settings["epsilon_high"])
    )
    loss = (losses + settings["beta"] * distances(own, reference)).mean()
    loss.backward()
    assert loss.item() == pytest.approx(wanted["loss"], rel=1e-6)
    assert own.grad is not None
    gradients = [x for row in wanted["gradients"] for x in row]
    torch.testing.assert_close(own.grad, torch.tensor(gradients), rtol=1e-5, atol=1e-8)


def test_recorded_settings_of_trl_differ_where_the_clip_holds() -> None:
    losses = [TRL["forms"][form]["loss"] for form in ("plain", "higher", "near_the_base")]
    assert len(set(losses)) == 3


def backend_of(
    config: ModelConfig = TINY, lora: bool = True, dtype: torch.dtype = torch.float32
) -> NativeBackend:
    # training.config, whose fields these are, needs pydantic, which a bare GPU image does not have.
    settings: Any = Optimizer(weight_decay=0.0)
    model = random_model(config)
    if lora:
        add_lora(model, LoraConfig(rank=4, alpha=8.0, targets=("wq", "wv", "w2")))
        draw = torch.Generator().manual_seed(1)
        for name, parameter in trained_parameters(model).items():
            if name.endswith("lora_b"):
                parameter.data = 0.02 * torch.randn(parameter.shape, generator=draw)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else dtype)
    return NativeBackend(model.train(), settings, torch.device("cpu"), dtype)


def drawn_batch(seed: int = 0) -> Batch:
    """Three conversations of which the ends were drawn, at log-probabilities near a model's."""
    draw, lengths = torch.Generator().manual_seed(seed), (12, 5, 20)
    tokens = torch.randint(0, TINY.vocab_size, (sum(lengths),), generator=draw)
    positions = torch.cat([torch.arange(length) for length in lengths])
    rows = torch.nonzero(positions >= 3)[:, 0]
    rows = rows[~torch.isin(rows, torch.tensor([11, 16, 36]))]
    old = -6 + 0.2 * torch.randn(len(rows), generator=draw)
    advantage = torch.randn(len(rows), generator=draw)
    values = {"old": old, "advantage": advantage}
    return Batch(tokens, positions, (0, 12, 17, 37), rows, tokens[rows + 1], None, values)


def plain_logprobs(model: Transformer, batch: Batch, temperature: float) -> Tensor:
    logits = model(
        batch.tokens, batch.positions, Documents(batch.offsets), output_positions=batch.rows
    )
    return (logits.float() / temperature).log_softmax(-1)[range(len(batch.rows)), batch.targets]


def plain_loss(model: Transformer, batch: Batch, old: Tensor, kl: float, heat: float) -> Tensor:
    """The objective as the paper writes it, with whole logits and without our loss."""
    assert batch.values is not None
    logprobs, advantage = plain_logprobs(model, batch, heat), batch.values["advantage"]
    ratio = torch.exp(logprobs - old)
    held = torch.clamp(ratio, 1 - CLIP.low, 1 + CLIP.high)
    loss = -torch.min(ratio * advantage, held * advantage).sum()
    if kl:
        with torch.no_grad():
            base = plain_logprobs(random_model(TINY), batch, heat)
        loss = loss + kl * (torch.exp(base - logprobs) - (base - logprobs) - 1).sum()
    return loss


def length(parts: dict[str, Tensor]) -> float:
    return sum(part.double().square().sum().item() for part in parts.values()) ** 0.5


@pytest.mark.parametrize(
    ("shape", "lora", "kl", "temperature"),
    [
        ("llama3", True, 0.0, 1.0),
        ("llama3", True, 0.05, 1.0),
        ("llama3", True, 0.05, 0.7),
        ("llama3", False, 0.0, 1.0),
        ("llama3_2", False, 0.0, 1.0),  # tied heads: the embedding is trained from both ends
    ],
)
def test_gradients_are_those_of_the_plain_formula(
    shape: str, lora: bool, kl: float, temperature: float
) -> None:
    backend, batch = backend_of(LLAMA3_SHAPES[shape], lora), drawn_batch()
    with torch.no_grad():
        near = plain_logprobs(backend.model, batch, temperature)
    draw = torch.Generator().manual_seed(2)
    old = near + 0.4 * torch.randn(near.shape, generator=draw)
    assert batch.values is not None
    batch = replace(batch, values={**batch.values, "old": old})
    loss, sums = Reward(CLIP, kl, temperature).loss(backend, batch)
    assert 0.05 < sums[1] / len(old) < 0.9, "the clip holds some tokens and not all"
    loss.backward()
    found = {name: p.grad.clone() for name, p in backend.parameters.items() if p.grad is not None}
    backend.model.zero_grad()
    wanted = plain_loss(backend.model, batch, old, kl, temperature)
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.keys() == backend.parameters.keys()
    plain = {name: p.grad for name, p in backend.parameters.items() if p.grad is not None}
    assert length({name: found[name] - plain[name] for name in plain}) < 1e-6 * length(plain)


def test_batch_without_tokens_has_a_loss_of_zero() -> None:
    zero, none = torch.zeros(1, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    empty = {"old": torch.empty(0), "advantage": torch.empty(0)}
    batch = Batch(zero, zero, (0, 1), none, none, None, empty)
    loss, sums = Reward(CLIP, 0.1).loss(backend_of(), batch)
    loss.backward()
    assert loss.item() == 0 and sums.tolist() == [0, 0, 0]


def test_step_without_tokens_is_divided_by_one() -> None:
    assert Reward(CLIP).count(StepData([], 0, 0, 3)) == 1
    assert Reward(CLIP).count(StepData([], 7, 20, 3)) == 7


def replies_of(backend: NativeBackend, temperature: float) -> list[Any]:
    """Draw replies to prompts of different length, and say what each would teach."""
    from rewards.rollouts import TrainedReply

    prompts = [[5, 7, 11, 300], [1], list(range(20, 50))] * 2
    decoding = Decoding((9,), 40, temperature=temperature, keep_logprobs=True, batch_size=4)
    with backend.computing():
        drawn = dict(
            complete(
                backend.model, prompts, decoding, draws=lambda row: random.Random(f"reply {row}")
            )
        )
    return [
        TrainedReply(
            prompts[row],
            reply.tokens + ([] if reply.stop is None else [reply.stop]),
            list(reply.logprobs),
            1.0,
        )
        for row, reply in sorted(drawn.items())
    ]


@dataclass
class Drawing:
    """Stands for draws that all give the same replies, with two steps on each."""

    replies: list[Any]
    updates: int = 2
    steps_per_epoch: int = 2

    def begin(self, backend: Any, resumed: bool) -> None: ...

    def __call__(self, backend: Any, number: int) -> Any:
        from rewards.rollouts import Drawn

        return Drawn(self.replies, 6, {}, {}, {})


def test_only_the_first_step_on_a_draw_is_fresh() -> None:
    backend = backend_of()
    feed = RolloutFeed(Drawing(replies_of(backend, 1.0)), backend, 120)
    assert [feed.step(number).fresh for number in range(4)] == [True, False, True, False]
    resumed = RolloutFeed(feed.rollouts, backend, 120)
    assert not resumed.step(3).fresh, "a step was taken on its draw before the run was stopped"


@pytest.mark.parametrize(
    ("dtype", "fresh", "mismatch", "doubted"),
    [
        ("float32", True, 2e-5, True),
        ("float32", True, 9e-6, False),
        ("float32", False, 2e-5, False),  # the weights have moved
        ("bfloat16", True, 2e-2, False),
        ("bfloat16", True, 4e-2, True),
    ],
)
def test_mismatch_above_its_bound_is_doubted_on_fresh_replies(
    dtype: str, fresh: bool, mismatch: float, doubted: bool
) -> None:
    found = Reward(CLIP, dtype=dtype).doubt(
        StepData([], 7, 20, 3, fresh=fresh), {"mismatch": mismatch}
    )
    assert bool(found) == doubted
    if doubted:
        assert f"mismatch is {mismatch:.2g}" in found and f"in {dtype}" in found


# The bounds that docs/rewards.md states, of the mean over tokens.
@pytest.mark.parametrize(
    ("dtype", "temperature"), [("float32", 1.0), ("float32", 0.7), ("bfloat16", 1.0)]
)
def test_trainer_agrees_with_the_generator_within_the_stated_bound(
    dtype: str, temperature: float
) -> None:
    backend = backend_of(dtype=getattr(torch, dtype))
    replies = replies_of(backend, temperature)

    data = RolloutFeed(Drawing(replies), backend, 120).step(0)
    assert len(data.batches) > 1 and data.trained == sum(len(r.tokens) for r in replies)
    objective = Reward(CLIP, temperature=temperature)
    sums = torch.stack([objective.loss(backend, batch)[1].detach() for batch in data.batches])
    assert sums[:, 0].sum() / data.trained < MISMATCH_BOUNDS[dtype]
