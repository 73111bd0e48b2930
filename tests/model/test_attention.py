import math

import pytest
import torch
from torch import Tensor

from model import attention
from model.attention import Documents, attend, has_flash


def by_definition(
    q: Tensor, k: Tensor, v: Tensor, lengths: list[int], window: int | None = None
) -> Tensor:
    """Softmax attention with one mask over the whole sequence: same document, no later token."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    index = torch.arange(len(q))
    visible = (document[:, None] == document) & (index[:, None] >= index)
    if window is not None:
        visible &= index[:, None] - index < window
    scores = torch.einsum("qhe,khe->hqk", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("hqk,khe->qhe", scores.masked_fill(~visible, -math.inf).softmax(-1), v)


def random_heads(length: int, heads: int, kv_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    q = torch.randn(length, heads, 16, generator=generator)
    k, v = torch.randn(2, length, kv_heads, 16, generator=generator)
    return q, k, v


@pytest.mark.parametrize("lengths", [[1], [9], [5, 1, 12, 3]])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (6, 1)])
def test_token_attends_only_to_earlier_tokens_of_its_document(
    lengths: list[int], heads: int, kv_heads: int
) -> None:
    q, k, v = random_heads(sum(lengths), heads, kv_heads)
    offsets = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    torch.testing.assert_close(
        Documents(offsets).attend(q, k, v), by_definition(q, k, v, lengths), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kept", [1024, 100])
def test_blocks_and_recomputation_change_no_output_nor_gradient(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "LONG_DOCUMENT", kept)
    lengths = [attention.BLOCK, 1, 2 * attention.BLOCK + 1, 40]
    offsets = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    heads = [x.double().requires_grad_() for x in random_heads(sum(lengths), 4, 2)]
    found, wanted = attend(*heads, Documents(offsets)), by_definition(*heads, lengths)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(found.shape, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(found, heads, weights), torch.autograd.grad(wanted, heads, weights)
    )


def test_all_layers_share_the_same_documents() -> None:
    documents = Documents([0, 3, 10])
    assert documents.layer(0) is documents.layer(31) is documents
    assert (documents.lengths, documents.longest) == ((3, 7), 7)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_variable_length_flash_attention_agrees_with_the_loop() -> None:
    lengths = [70, 1, 300, 129]
    offsets = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(sum(lengths), 8, 64, generator=generator)
    k, v = torch.randn(2, sum(lengths), 2, 64, generator=generator)
    halves = [x.cuda().bfloat16().requires_grad_() for x in (q, k, v)]
    exact = [x.detach().float().cpu().requires_grad_() for x in halves]
    fast = attend(*halves, Documents(offsets, "cuda"))
    plain = attend(*exact, Documents(offsets))
    fast.sum().backward()
    plain.sum().backward()
    torch.testing.assert_close(fast.float().cpu(), plain, atol=2e-2, rtol=2e-2)
    for half, full in zip(halves, exact, strict=True):
        torch.testing.assert_close(half.grad.float().cpu(), full.grad, atol=5e-2, rtol=5e-2)


@pytest.mark.parametrize("window", [1, 5, 100, attention.BLOCK, 300, 1000])
def test_window_hides_tokens_further_back(window: int) -> None:
    lengths = [2 * attention.BLOCK + 37, 1, 90]
    offsets = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    q, k, v = random_heads(sum(lengths), 4, 2)
    found = Documents(offsets).attend(q, k, v, window)
    wanted = by_definition(q, k, v, lengths, window)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("capability", "head_dim", "wanted"),
    [
        ((7, 5), 128, False),
        ((8, 0), 128, True),
        ((8, 9), 64, True),
        ((9, 0), 192, True),
        ((9, 0), 256, False),
        ((10, 0), 100, False),
    ],
)
def test_flash_runs_where_card_and_head_allow(
    capability: tuple[int, int], head_dim: int, wanted: bool
) -> None:
    assert has_flash(capability, head_dim) == wanted
