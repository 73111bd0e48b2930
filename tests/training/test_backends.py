"""The native backend: the same steps on every device, and state that continues where it was."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tiny_models import TINY, random_model
from torch import Tensor

from benchmarks.ours import Optimizer
from data.batches import Batch
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from training.backends import NativeBackend
from training.loss import summed_cross_entropy
from training.objective import batch_loss

on_cuda = pytest.param(
    "cuda",
    marks=[
        pytest.mark.cuda,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)
LENGTHS = (40, 7, 100)
RATE = 1e-2


def packed(step: int) -> Batch:
    """Three documents of random tokens; in each, every second token is to be predicted."""
    draw = torch.Generator().manual_seed(step)
    tokens = torch.randint(0, TINY.vocab_size, (sum(LENGTHS),), generator=draw)
    positions = torch.cat([torch.arange(length) for length in LENGTHS])
    rows = torch.nonzero(positions % 2 == 0)[:, 0]
    rows = rows[~torch.isin(rows + 1, torch.tensor([40, 47, 147]))]
    return Batch(tokens, positions, (0, 40, 47, 147), rows, tokens[rows + 1])


def backend_of(device: str, dtype: torch.dtype, dropout: float = 0.0) -> NativeBackend:
    # training.config, whose fields these are, needs pydantic, which a bare GPU image does not have.
    settings: Any = Optimizer(weight_decay=0.01)
    model = random_model(TINY)
    add_lora(model, LoraConfig(rank=4, alpha=8.0, dropout=dropout))
    for parameter in model.parameters():
        kept = torch.float32 if parameter.requires_grad else dtype
        parameter.data = parameter.data.to(device, kept)
    return NativeBackend(model.train(), settings, torch.device(device), dtype)


def steps(backend: NativeBackend, first: int, last: int) -> list[tuple[float, float]]:
    """Take steps first to last - 1; return the loss and the gradient norm of each."""
    figures = []
    for number in range(first, last):
        batch = packed(number)
        loss = batch_loss(backend, batch, summed_cross_entropy) / len(batch.targets)
        backend.backward(loss, last=True)
        norm = backend.step(RATE)
        assert norm is not None
        figures.append((loss.item(), norm.item()))
    return figures


def state(backend: NativeBackend) -> dict[str, Tensor]:
    return {name: tensor.cpu().clone() for name, tensor in backend.trained_state()}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
def test_training_on_a_gpu_takes_the_steps_of_the_cpu(dtype: torch.dtype, tolerance: float) -> None:
    found = steps(backend_of("cuda", dtype), 0, 5)
    wanted = steps(backend_of("cpu", torch.float32), 0, 5)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=tolerance, atol=0)


@pytest.mark.parametrize("device", ["cpu", on_cuda])
def test_a_loaded_backend_continues_like_the_saved_one(device: str, tmp_path: Path) -> None:
    """Dropout draws the same masks, and the moments and their step count are the same."""
    saved = backend_of(device, torch.float32, dropout=0.3)
    steps(saved, 0, 3)
    saved.save(tmp_path)
    wanted = steps(saved, 3, 6)
    loaded = backend_of(device, torch.float32, dropout=0.3)
    torch.manual_seed(99)
    loaded.load(tmp_path)
    exact = {"rtol": 0.0, "atol": 0.0} if device == "cpu" else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(steps(loaded, 3, 6), wanted, **cast(Any, exact))
    torch.testing.assert_close(state(loaded), state(saved), **cast(Any, exact))


def test_the_norm_returned_is_the_one_before_clipping() -> None:
    backend = backend_of("cpu", torch.float32)
    backend.clip_norm = 1e-6
    (_, norm), *_ = steps(backend, 0, 1)
    backend = backend_of("cpu", torch.float32)
    backend.clip_norm = None
    (_, unclipped), *_ = steps(backend, 0, 1)
    assert norm == pytest.approx(unclipped) and norm > 1e-3


def test_state_of_other_parameters_is_refused(tmp_path: Path) -> None:
    backend_of("cpu", torch.float32).save(tmp_path)
    other = backend_of("cpu", torch.float32)
    del other.parameters["layers.1.feed_forward.w2.lora_b"]
    with pytest.raises(ValueError, match=r"holds 28 trained tensors, this run trains 27"):
        other.load(tmp_path)
