"""The count of operations against torch's own counter."""

import pytest
import torch
from tiny_models import TINY, random_model
from torch.utils.flop_counter import FlopCounterMode

from data.batches import Batch
from model.attention import Documents
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from training.flops import matmul_rate, step_flops
from training.loss import summed_cross_entropy


def batch_of(lengths: list[int], trained: int) -> Batch:
    total = sum(lengths)
    return Batch(
        tokens=torch.randint(0, TINY.vocab_size, (total,)),
        positions=torch.cat([torch.arange(length) for length in lengths]),
        offsets=tuple(sum(lengths[:i]) for i in range(len(lengths) + 1)),
        rows=torch.arange(trained),
        targets=torch.randint(0, TINY.vocab_size, (trained,)),
    )


def added_in_place(total: torch.Size, a: torch.Size, b: torch.Size, **_: object) -> int:
    """Operations of a product that is added in place, which torch's counter leaves out."""
    return 2 * a[0] * a[1] * b[1]


def counted(model: torch.nn.Module, batch: Batch) -> float:
    own = {torch.ops.aten.addmm_: added_in_place}
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        model(
            batch.tokens,
            batch.positions,
            Documents(batch.offsets),
            output_positions=batch.rows,
            head=lambda hidden, weight: summed_cross_entropy(hidden, weight, batch.targets),
        ).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("trained", [10, 300])
def test_an_adapters_step_costs_what_torch_counts(trained: int) -> None:
    """Documents of one token leave next to no attention; the first layer's inputs need no gradient,
    which the formula leaves out of account."""
    model = random_model(TINY)
    add_lora(model, LoraConfig(rank=8))
    batch = batch_of([1] * 300, trained)
    found, wanted = step_flops(model, [batch]), counted(model, batch)
    skipped = (
        300
        * 2
        * sum(
            parameter.numel()
            for name, parameter in model.named_parameters()
            if name.startswith("layers.0.attention") and ".wo." not in name and "lora_b" not in name
        )
    )
    assert found - skipped == pytest.approx(wanted, rel=0.01)


def test_causal_attention_costs_half_of_what_every_pair_would() -> None:
    model = random_model(TINY)
    add_lora(model, LoraConfig(rank=8))
    # A hundredth of the pairs, in a tenth of the documents that one token each would take.
    apart, together = batch_of([10] * 100, 5), batch_of([1000], 5)
    found = step_flops(model, [together]) - step_flops(model, [apart])
    # The formula is flash attention's, whose backward pass computes the scores again: 7 products
    # to our 6. Our blocks of queries compute the upper halves of the diagonal blocks too.
    needed = found * 6 / 7
    assert needed < counted(model, together) - counted(model, apart) < 1.2 * needed


def test_the_matmul_rate_leaves_the_runs_random_stream_alone() -> None:
    state = torch.get_rng_state()
    assert matmul_rate(torch.device("cpu"), torch.float32, seconds=0.01) > 1e8
    assert torch.equal(torch.get_rng_state(), state)
