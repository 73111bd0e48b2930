"""What a backend is told of its precision, and the scale of a loss in float16."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import TINY, random_model
from torch import Tensor, nn

from benchmarks.ours import Optimizer
from inference.generate import generate
from training.backends import NativeBackend
from training.finite import SCALE_HALVED
from training.loss import summed_cross_entropy
from training.objective import batch_loss
from training.precision import FIRST_SCALE, GROWTH_STEPS, LossScale, find_dtype

from .test_backends import RATE, backend_of, packed, state, steps

CPU = torch.device("cpu")


# The backend


def full_backend(dtype: torch.dtype, autocast: bool) -> NativeBackend:
    """All weights of a float32 model are trained."""
    settings: Any = Optimizer(kind="sgd")
    return NativeBackend(random_model(TINY).train(), settings, CPU, dtype, autocast)


def computed_dtypes(backend: NativeBackend) -> set[torch.dtype]:
    """Return a set that gets the dtype of each product of the first block from now on."""
    seen = set[torch.dtype]()

    def note(module: nn.Module, given: Any, product: Tensor) -> None:
        seen.add(product.dtype)

    for module in backend.model.layers[0].modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(note)
    return seen


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_masters_compute_as_the_backend_was_told(dtype: torch.dtype) -> None:
    for autocast, wanted in ((True, dtype), (False, torch.float32)):
        backend = full_backend(dtype, autocast)
        seen = computed_dtypes(backend)
        batch_loss(backend, packed(0), summed_cross_entropy)
        assert seen == {wanted}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_replies_of_a_full_run_compute_as_its_forward(dtype: torch.dtype) -> None:
    """Their logits are the forward pass's, not those of the float32 masters."""
    backend = full_backend(dtype, autocast=True)
    seen = computed_dtypes(backend)
    prompt = packed(0).tokens[:40].tolist()
    with backend.computing():
        (reply,) = generate(backend.model, [prompt], stop_ids=(), max_new_tokens=8)
    assert seen == {dtype}
    assert all(p.grad is None and p.dtype == torch.float32 for p in backend.model.parameters())
    assert len(reply) == 8


# float16


def test_float16_training_follows_float32() -> None:
    found, wanted = (steps(backend_of("cpu", d), 0, 5) for d in (torch.float16, torch.float32))
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=5e-3, atol=0)


def test_small_gradients_survive_float16_by_their_scale() -> None:
    norms = []
    for dtype, scale in ((torch.float32, 1.0), (torch.float16, FIRST_SCALE), (torch.float16, 1.0)):
        backend = backend_of("cpu", dtype)
        if backend.loss_scale:
            backend.loss_scale.scale = scale
        loss = batch_loss(backend, packed(0), summed_cross_entropy)
        backend.backward(loss * 1e-8, last=True)
        norm = backend.step(RATE)
        assert norm is not None
        norms.append(norm.item())
    assert norms[1] == pytest.approx(norms[0], rel=0.01)
    assert norms[2] != pytest.approx(norms[0], rel=0.2), "unscaled they are lost"


def overflow(backend: NativeBackend) -> Tensor | None:
    """Take a step with an infinite gradient."""
    backend.backward(batch_loss(backend, packed(0), summed_cross_entropy), last=True)
    first = next(iter(backend.parameters.values()))
    assert first.grad is not None
    first.grad[0, 0] = float("inf")
    return backend.step(RATE)


def test_an_infinite_gradient_leaves_the_step_out_and_halves_the_scale() -> None:
    backend = backend_of("cpu", torch.float16)
    steps(backend, 0, 1)
    before = state(backend)
    assert overflow(backend) == SCALE_HALVED
    assert backend.loss_scale and backend.loss_scale.scale == FIRST_SCALE / 2
    torch.testing.assert_close(state(backend), before, rtol=0, atol=0)
    assert all(p.grad is None for p in backend.parameters.values())
    assert all(int(slots["step"]) == 1 for slots in backend.optimizer.state.values())


def test_a_loaded_float16_backend_continues_bit_for_bit(tmp_path: Path) -> None:
    saved = backend_of("cpu", torch.float16, dropout=0.3)
    overflow(saved)
    steps(saved, 0, 3)
    saved.save(tmp_path)
    wanted = steps(saved, 3, 6)
    loaded = backend_of("cpu", torch.float16, dropout=0.3)
    loaded.load(tmp_path)
    assert loaded.loss_scale and loaded.loss_scale.scale == FIRST_SCALE / 2
    assert steps(loaded, 3, 6) == wanted
    assert loaded.loss_scale.clean_steps == 6
    torch.testing.assert_close(state(loaded), state(saved), rtol=0, atol=0)


def test_the_scale_doubles_after_steps_without_overflow() -> None:
    scale = LossScale()
    assert all(scale.allows(1.0) for _ in range(GROWTH_STEPS - 1))
    assert scale.scale == FIRST_SCALE
    assert scale.allows(1.0) and scale.scale == 2 * FIRST_SCALE
    assert not scale.allows(float("nan")) and scale.scale == FIRST_SCALE


def test_gradients_infinite_without_a_scale_are_refused() -> None:
    scale = LossScale()
    scale.scale = 1.0
    with pytest.raises(ValueError, match=r"norm is inf in float16 .*--model.dtype=float32"):
        scale.allows(float("inf"))


def test_bfloat16_on_a_card_without_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(ValueError, match=r"Tesla T4 does not .*; add --model.dtype=float16"):
        find_dtype("bfloat16", torch.device("cuda"))
    assert find_dtype("float16", torch.device("cuda")) == torch.float16
    assert find_dtype("bfloat16", CPU) == torch.bfloat16
