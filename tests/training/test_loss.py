"""The chunked loss against its definition in three lines."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from fake_cuda.device import Watch
from torch import Tensor

from model.lora.vocabulary import Widened
from training import loss as loss_module
from training.loss import loss_and_hits, row_losses, summed_cross_entropy


def definition(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The summed cross entropy of the float32 logits."""
    return F.cross_entropy(F.linear(hidden.float(), weight.float()), targets, reduction="sum")


def case(rows: int, vocabulary: int, dtype: torch.dtype, train_weight: bool) -> list[Tensor]:
    torch.manual_seed(rows)
    hidden = torch.randn(rows, 32).to(dtype).requires_grad_()
    weight = (torch.randn(vocabulary, 32) / 4).to(dtype).requires_grad_(train_weight)
    return [hidden, weight, torch.randint(0, vocabulary, (rows,))]


@pytest.mark.parametrize("rows", [1, 7, 33])
@pytest.mark.parametrize("block", [(1, 7), (5, 64), (64, 299), (64, 1024)])
@pytest.mark.parametrize("train_weight", [False, True])
def test_loss_and_gradients_equal_the_definition_whatever_the_blocks(
    rows: int, block: tuple[int, int], train_weight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "BLOCK", {"cpu": block})
    ours, theirs = (case(rows, 300, torch.float32, train_weight) for _ in range(2))
    found, wanted = summed_cross_entropy(*ours), definition(*theirs)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-5)
    (found * 0.25).backward()
    (wanted * 0.25).backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=1e-5, atol=1e-6)
    if train_weight:
        torch.testing.assert_close(ours[1].grad, theirs[1].grad, rtol=1e-5, atol=1e-6)


def test_bfloat16_rows_give_a_float32_loss_close_to_the_definition() -> None:
    ours, theirs = (case(64, 1000, torch.bfloat16, False) for _ in range(2))
    found, wanted = summed_cross_entropy(*ours), definition(*theirs)
    assert found.dtype == torch.float32
    assert abs(found - wanted) / 64 < 2e-3
    found.backward()
    wanted.backward()
    difference = (ours[0].grad - theirs[0].grad).float().norm() / theirs[0].grad.float().norm()
    assert difference < 1e-2


def weighed(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """A weight for each row: some negative, one 0, in no order."""
    weights = torch.linspace(-1.5, 2.0, len(targets)).sin().roll(3)
    weights[len(targets) // 2] = 0
    return weights


@pytest.mark.parametrize("rows", [1, 33])
@pytest.mark.parametrize("block", [(5, 64), (64, 1024)])
@pytest.mark.parametrize("train_weight", [False, True])
def test_gradients_of_weighed_rows_equal_autograds(
    rows: int, block: tuple[int, int], train_weight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "BLOCK", {"cpu": block})
    ours, theirs = (case(rows, 300, torch.float32, train_weight) for _ in range(2))
    found = row_losses(*ours)
    wanted = F.cross_entropy(F.linear(*theirs[:2]), theirs[2], reduction="none")
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    (found * weighed(*ours)).sum().backward()
    (wanted * weighed(*ours)).sum().backward()
    for own, other in list(zip(ours, theirs, strict=True))[: 1 + train_weight]:
        error = (own.grad - other.grad).norm() / other.grad.norm().clamp_min(1e-30)
        assert error < 1e-6


def test_gradient_of_an_adapters_columns_is_weighed_by_row() -> None:
    grads = []
    for definition in (False, True):
        hidden, weight, targets = case(33, 300, torch.float32, False)
        torch.manual_seed(1)
        columns = torch.randn(300, 4, requires_grad=True)
        wide = torch.cat([hidden, hidden[:, :4]], 1)
        if definition:
            logits = F.linear(wide, torch.cat([weight, columns], 1))
            losses = F.cross_entropy(logits, targets, reduction="none")
        else:
            losses = row_losses(wide, Widened(weight, columns), targets)
        (losses * weighed(hidden, weight, targets)).sum().backward()
        grads.append([hidden.grad, columns.grad])
    for own, other in zip(*grads, strict=True):
        assert (own - other).norm() / other.norm() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_weights_give_the_very_gradient_of_the_sum(dtype: torch.dtype) -> None:
    """A weight on each row changes no bit where all are the same."""
    summed, rows = (case(600, 300, dtype, True) for _ in range(2))
    (summed_cross_entropy(*summed) * 0.3).backward()
    (row_losses(*rows) * torch.full((600,), 0.3)).sum().backward()
    assert torch.equal(summed[0].grad, rows[0].grad) and torch.equal(summed[1].grad, rows[1].grad)


def test_bfloat16_gradients_of_weighed_rows_stay_within_their_rounding() -> None:
    ours, theirs = (case(64, 1000, torch.bfloat16, True) for _ in range(2))
    wide = [tensor.detach().float().requires_grad_() for tensor in theirs[:2]]
    (row_losses(*ours) * weighed(*ours)).sum().backward()
    wanted = F.cross_entropy(F.linear(*wide), theirs[2], reduction="none")
    (wanted * weighed(*ours)).sum().backward()
    for own, other in zip(ours[:2], wide, strict=True):
        assert (own.grad.float() - other.grad).norm() / other.grad.norm() < 2**-7


def test_logits_far_apart_neither_overflow_nor_lose_the_likeliest() -> None:
    """The maximum rises from part to part by more than a float32 exponential can hold."""
    hidden = torch.ones(1, 1, requires_grad=True)
    weight = torch.linspace(-2000, 2000, 5000)[:, None]
    total = summed_cross_entropy(hidden, weight, torch.tensor([4999]))
    total.backward()
    expected = definition(hidden.detach(), weight, torch.tensor([4999]))
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)
    assert hidden.grad is not None and hidden.grad.isfinite().all()


def test_a_row_that_is_certain_has_no_loss_in_bfloat16() -> None:
    hidden = torch.full((4, 32), 3.0).bfloat16()
    weight = torch.randn(500, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    weight[7] = 1.37
    total = summed_cross_entropy(hidden, weight, torch.full((4,), 7))
    assert total.item() == pytest.approx(0, abs=1e-6)


def test_a_batch_without_targets_has_zero_loss_and_gradient() -> None:
    hidden, weight, _ = case(3, 50, torch.float32, False)
    none = torch.empty(0, dtype=torch.int64)
    total = summed_cross_entropy(hidden[:0], weight, none)
    total.backward()
    assert total.item() == 0
    assert hidden.grad is not None and not hidden.grad.any()


def test_hits_count_the_positions_whose_likeliest_token_is_right() -> None:
    hidden, weight, _ = case(40, 60, torch.float32, False)
    likeliest = F.linear(hidden, weight).argmax(-1)
    targets = torch.where(torch.arange(40) < 25, likeliest, (likeliest + 1) % 60)
    with torch.no_grad():
        total, hits = loss_and_hits(hidden, weight, targets)
    assert hits == 25
    torch.testing.assert_close(total, definition(hidden, weight, targets), rtol=1e-5, atol=1e-4)


def test_memory_does_not_hold_all_logits() -> None:
    """Peak live bytes of the loss grow with the chunk, not with rows x vocabulary."""
    from torch.distributed._tools.mem_tracker import MemTracker

    def peak(rows: int) -> int:
        hidden, weight, targets = case(rows, 32_000, torch.float32, False)
        tracker = MemTracker()
        with tracker:
            partial(summed_cross_entropy, targets=targets)(hidden, weight).backward()
        snapshot = tracker.get_tracker_snapshot("peak")
        return max(device["Total"] for device in snapshot.values())

    few, many = peak(512), peak(2048)
    all_logits = 1536 * 32_000 * 4
    assert many - few < all_logits / 50


def test_gradient_of_a_trained_head_is_its_only_large_tensor() -> None:
    """Not once more in float32, neither before nor in the backward pass."""
    torch.manual_seed(0)
    hidden, weight = torch.randn(64, 256).bfloat16(), torch.randn(32_000, 256).bfloat16()
    hidden.requires_grad_()
    weight.requires_grad_()
    targets = torch.randint(0, 32_000, (64,))
    with Watch("cpu") as watch:
        watch.add(weight)
        loss = summed_cross_entropy(hidden, weight, targets)
        assert watch.peak < 1.25 * weight.nbytes
        loss.backward()
    assert watch.peak < 2.4 * weight.nbytes


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_gradient_of_a_trained_head_is_the_rounded_one(autocast: bool) -> None:
    dtype = torch.float32 if autocast else torch.bfloat16
    ours, theirs = (case(64, 1000, dtype, True) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = summed_cross_entropy(*ours)
    (found * 0.25).backward()
    (definition(*theirs) * 0.25).backward()
    assert ours[1].grad.dtype == dtype
    error = (ours[1].grad - theirs[1].grad).norm() / theirs[1].grad.norm()
    assert error < 2**-7
