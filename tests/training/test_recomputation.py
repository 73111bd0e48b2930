"""What is computed again gives the same gradients, bit for bit."""

from functools import partial

import pytest
import torch
from tiny_models import TINY, random_model

from model.attention import Documents
from model.lora.adapter import add_lora
from model.lora.config import LoraConfig
from training.backends import trained_parameters
from training.loss import summed_cross_entropy
from training.planning.memory import POLICIES
from training.recomputation import apply_policy

LENGTHS = (40, 25, 60)
METHODS = {
    "all": LoraConfig(rank=4),
    "qv": LoraConfig(rank=4, targets=("wq", "wv")),
    "dropout": LoraConfig(rank=4, dropout=0.2),
    "full": None,
}


def gradients(method: str, policy: str | None, autocast: bool) -> dict[str, torch.Tensor]:
    """Return the gradients of one batch; a `policy` of None leaves the blocks as they are."""
    model = random_model(TINY)
    torch.manual_seed(5)
    lora = METHODS[method]
    if lora:
        add_lora(model, lora)
        for name, parameter in model.named_parameters():
            if "lora_b" in name:
                torch.nn.init.normal_(parameter, std=0.02)
    model.train()
    if policy:
        apply_policy(model, policy)
    total = sum(LENGTHS)
    tokens, targets = (torch.randint(0, TINY.vocab_size, (total,)) for _ in range(2))
    offsets = (0, 40, 65, 125)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = model(
            tokens,
            torch.cat([torch.arange(length) for length in LENGTHS]),
            Documents(offsets),
            output_positions=torch.arange(0, total, 3),
            head=partial(summed_cross_entropy, targets=targets[::3]),
        )
    loss.backward()
    found = {name: p.grad for name, p in trained_parameters(model).items() if p.grad is not None}
    return found


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_every_policy_are_equal_bit_for_bit(method: str, autocast: bool) -> None:
    wanted = gradients(method, None, autocast)
    assert wanted
    for policy in POLICIES:
        found = gradients(method, policy, autocast)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted), policy
