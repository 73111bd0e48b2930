"""Steps in the backward pass, bfloat16 masters and 8-bit moments in whole runs of full training."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import TINY, random_model
from torch import Tensor

from data.batches import Batch
from training.backends import NativeBackend
from training.config import Config, OptimizerSection
from training.in_backward import check_one_micro_batch
from training.loss import summed_cross_entropy
from training.objective import batch_loss
from training.recomputation import apply_policy
from training.setup import make_batches, open_splits

Settings = Callable[..., Config]
Train = Callable[..., NativeBackend]

IN_BACKWARD = {"in_backward": True, "clip_norm": None}
ROUNDED = {"stochastic_rounding": True}
KINDS: dict[str, dict[str, Any]] = {
    "adamw": {},
    "sgd": {"kind": "sgd"},
    "adamw8bit": {"kind": "adamw8bit"},
    "adamw rounded": ROUNDED,
    "adamw8bit rounded": {"kind": "adamw8bit", **ROUNDED},
}
# What takes least memory.
SMALLEST: dict[str, Any] = {
    "lora": None,
    "model__dtype": "bfloat16",
    "optimizer": {"kind": "adamw8bit", **ROUNDED, **IN_BACKWARD},
    "training__micro_batch_tokens": 4096,
    "validation__every": None,
    "validation__max_conversations": 2,
}


def optimizer_of(**values: Any) -> OptimizerSection:
    return OptimizerSection.model_validate({"clip_norm": None, **values})


def drawn(step: int, length: int = 60) -> Batch:
    """One document of random tokens, every second of them to be predicted."""
    tokens = torch.randint(0, 384, (length,), generator=torch.Generator().manual_seed(step))
    rows = torch.arange(0, length - 1, 2)
    return Batch(tokens, torch.arange(length), (0, length), rows, tokens[rows + 1])


def backend_of(
    settings: OptimizerSection, policy: str = "none", tied: bool = False
) -> NativeBackend:
    model = random_model(replace(TINY, tied_embeddings=tied))
    model.requires_grad_()
    if settings.stochastic_rounding:
        model.bfloat16()
    apply_policy(model.train(), policy)
    return NativeBackend(model, settings, torch.device("cpu"), torch.float32)


def trained(backend: NativeBackend, steps: int = 3) -> tuple[list[float], dict[str, Tensor]]:
    """Take steps; return the gradient norms and the weights."""
    norms = []
    for number in range(steps):
        batch = drawn(number)
        backend.begin_step(1e-3, 1)
        loss = batch_loss(backend, batch, summed_cross_entropy) / len(batch.targets)
        backend.backward(loss, last=True)
        norm = backend.step(1e-3)
        assert norm is not None
        norms.append(norm.item())
    return norms, dict(backend.trained_state())


@pytest.mark.parametrize("kind", KINDS)
def test_step_in_backward_equals_the_ordinary_one(kind: str) -> None:
    ordinary, stepping = optimizer_of(**KINDS[kind]), optimizer_of(in_backward=True, **KINDS[kind])
    norms, weights = trained(backend_of(ordinary, tied=True))
    found_norms, found = trained(backend_of(stepping, tied=True))
    assert found_norms == norms
    assert all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("policy", ["selective", "full"])
def test_recomputation_reads_weights_before_they_are_updated(policy: str) -> None:
    _, weights = trained(backend_of(optimizer_of()))
    _, found = trained(backend_of(optimizer_of(in_backward=True), policy))
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_only_one_gradient_is_there_at_a_time() -> None:
    """A tied weight, too, is updated once."""
    backend = backend_of(optimizer_of(in_backward=True), tied=True)
    counts = []
    step = backend.optimizer.step

    def counting() -> None:
        counts.append(sum(p.grad is not None for p in backend.parameters.values()))
        step()

    backend.optimizer.step = counting  # type: ignore[method-assign]
    trained(backend, 1)
    assert counts == [1] * len(backend.parameters)
    assert all(p.grad is None for p in backend.parameters.values())


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_backend_continues_like_the_saved_one(kind: str, tmp_path: Path) -> None:
    settings = optimizer_of(in_backward=True, **KINDS[kind])
    saved, loaded = backend_of(settings), backend_of(settings)
    trained(saved, 2)
    saved.save(tmp_path)
    loaded.load(tmp_path)
    wanted, found = trained(saved, 2)[1], trained(loaded, 2)[1]
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_second_micro_batch_is_refused_before_anything_changes() -> None:
    backend = backend_of(optimizer_of(in_backward=True))
    before = {name: tensor.clone() for name, tensor in backend.trained_state()}
    with pytest.raises(ValueError, match=r"this step has 2 micro-batches.*in_backward=false"):
        backend.begin_step(1e-3, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in backend.trained_state())


def test_run_with_split_steps_is_refused_with_what_fits(settings: Settings) -> None:
    config = settings(lora=None, optimizer=IN_BACKWARD)
    batches = make_batches(config, open_splits(config))
    with pytest.raises(ValueError, match=r"of 6 steps.*of 64 tokens") as error:
        check_one_micro_batch(config, batches)
    words = str(error.value).split("--training.micro_batch_tokens=")[1]
    tokens = int(words.split(",")[0])
    fitting = settings(lora=None, optimizer=IN_BACKWARD, training__micro_batch_tokens=tokens)
    check_one_micro_batch(fitting, make_batches(fitting, open_splits(fitting)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": {"in_backward": True}}, "clip_norm=null"),
        ({"optimizer": IN_BACKWARD, "lora": {"rank": 4}}, "--lora=null"),
        ({"optimizer": IN_BACKWARD, "model__dtype": "float16"}, "--model.dtype=float32"),
        ({"optimizer": ROUNDED, "lora": {"rank": 4}}, "--lora=null"),
        ({"optimizer": ROUNDED}, "--model.dtype=bfloat16"),
        ({"optimizer": {**ROUNDED, "kind": "sgd"}}, "--optimizer.kind=adamw"),
    ],
)
def test_what_cannot_be_combined_is_refused_with_the_flag(
    settings: Settings, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**{"lora": None, **values})


# Whole runs


def test_resumed_run_equals_the_unresumed_bit_for_bit(settings: Settings, train_run: Train) -> None:
    make = partial(settings, **SMALLEST, schedule__total_steps=4)
    wanted = dict(train_run(make(name="whole", training__max_steps=4)).trained_state())
    train_run(make(name="half", training__max_steps=2))
    rest = make(name="half", training__max_steps=4)
    found = dict(train_run(rest, resume=True).trained_state())
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_checkpoint_holds_moments_in_8_bits_by_name(settings: Settings, train_run: Train) -> None:
    config = settings(**SMALLEST, training__max_steps=2)
    train_run(config)
    state = load_file(config.run_dir / "step-000002" / "state.safetensors")
    name = "layers.0.attention.wq.weight"
    weight = state[f"master/{name}"]
    assert weight.dtype == torch.bfloat16
    for moment in ("exp_avg", "exp_avg_sq"):
        codes = state[f"optimizer/{moment}/{name}"]
        assert (codes.dtype, codes.shape) == (torch.uint8, weight.shape)
        absmax = state[f"optimizer/{moment}_absmax/{name}"]
        assert (absmax.dtype, absmax.shape) == (torch.float32, (weight.numel() // 256,))
