"""What only a GPU can show of training: kernels, waiting, memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from tiny_models import TINY, random_model
from torch import Tensor

from data.batches import Batch
from model.config import ModelConfig
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from training.backends import Backend
from training.loss import loss_and_hits, summed_cross_entropy
from training.objective import batch_loss

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
WIDE = ModelConfig(
    dim=512, n_layers=4, n_heads=8, n_kv_heads=2, head_dim=64, hidden_dim=1536, vocab_size=32000
)


def backend_of(config: ModelConfig) -> Backend:
    """As much of a backend as `batch_loss` asks for: a bfloat16 base with an adapter."""
    model = random_model(config)
    add_lora(model, LoraConfig(rank=8))
    for parameter in model.parameters():
        kept = torch.float32 if parameter.requires_grad else torch.bfloat16
        parameter.data = parameter.data.to("cuda", kept)
    return cast(Backend, SimpleNamespace(model=model.train(), device=torch.device("cuda")))


def documents(config: ModelConfig, count: int, length: int, trained: int) -> Batch:
    """`count` documents of `length` random tokens, the last `trained` of each to be predicted."""
    tokens = torch.randint(0, config.vocab_size, (count * length,))
    starts = torch.arange(count)[:, None] * length
    rows = (starts + torch.arange(length - 1 - trained, length - 1)).flatten()
    offsets = tuple(range(0, count * length + 1, length))
    return Batch(tokens, torch.arange(length).repeat(count), offsets, rows, tokens[rows + 1])


@contextmanager
def waiting_forbidden() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def peak_over_before(backend: Backend, batch: Batch) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    batch_loss(backend, batch, summed_cross_entropy).backward()
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("train_weight", [False, True])
def test_the_loss_on_a_gpu_equals_its_float32_definition(
    dtype: torch.dtype, train_weight: bool
) -> None:
    torch.manual_seed(0)
    targets = torch.randint(0, 20000, (700,), device="cuda")
    hidden = torch.randn(700, 64, device="cuda").to(dtype).requires_grad_()
    weight = (torch.randn(20000, 64, device="cuda") / 4).to(dtype).requires_grad_(train_weight)
    exact = [x.detach().float().requires_grad_(x.requires_grad) for x in (hidden, weight)]
    found = summed_cross_entropy(hidden, weight, targets)
    wanted = F.cross_entropy(F.linear(*exact), targets, reduction="sum")
    found.backward()
    wanted.backward()
    loose = dtype == torch.bfloat16
    assert found.dtype == torch.float32
    assert abs(found - wanted) / 700 < (2e-3 if loose else 1e-5)
    for ours, theirs in zip((hidden, weight), exact, strict=True):
        if ours.requires_grad:
            assert isinstance(ours.grad, Tensor) and isinstance(theirs.grad, Tensor)
            difference = (ours.grad.float() - theirs.grad).norm() / theirs.grad.norm()
            assert difference < (1e-2 if loose else 1e-4)
    with torch.no_grad():
        total, hits = loss_and_hits(hidden, weight, targets)
    assert total == pytest.approx(found.item(), rel=1e-4)
    assert hits == (F.linear(hidden, weight).argmax(-1) == targets).sum()


def test_forward_and_backward_never_wait_for_the_gpu() -> None:
    backend = backend_of(WIDE)
    batch = documents(WIDE, count=6, length=200, trained=60)
    batch_loss(backend, batch, summed_cross_entropy).backward()  # kernels load, memory grows
    with waiting_forbidden():
        batch_loss(backend, batch, summed_cross_entropy).backward()


def test_memory_for_each_token_is_what_the_backward_pass_needs() -> None:
    """In bfloat16 and every layer: inputs and outputs of both norms, the rotated q and k, v, the
    attention's output, and four tensors of the feed-forward; plus what one layer's backward pass
    holds for a moment."""
    backend = backend_of(WIDE)
    few, many = (documents(WIDE, count, 256, trained=8) for count in (16, 32))
    peak_over_before(backend, few)
    more = peak_over_before(backend, many) - peak_over_before(backend, few)
    queries, keys = WIDE.n_heads * WIDE.head_dim, WIDE.n_kv_heads * WIDE.head_dim
    elements = 4 * WIDE.dim + 2 * queries + 2 * keys + 4 * WIDE.hidden_dim
    expected = WIDE.n_layers * 2 * elements * 16 * 256
    assert 0.8 * expected < more < 1.5 * expected


def test_memory_does_not_grow_with_vocabulary_or_document_length() -> None:
    small, large = (backend_of(replace(TINY, vocab_size=size)) for size in (4096, 131072))
    batch = documents(replace(TINY, vocab_size=4096), count=8, length=512, trained=256)
    peaks = []
    for backend in (small, large):
        peak_over_before(backend, batch)
        peaks.append(peak_over_before(backend, batch))
    # 2,048 rows: all logits of the large one would be 1.5 GiB in float32 and bfloat16.
    assert peaks[1] - peaks[0] < 2**29
    long = documents(replace(TINY, vocab_size=4096), count=1, length=4096, trained=256)
    assert peak_over_before(small, long) < 2 * peaks[0]
