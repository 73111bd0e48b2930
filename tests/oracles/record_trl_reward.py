"""Write trl_reward.json: the losses of drawn replies, and their gradients, as TRL 1.16.0 has them.

TRL needs an environment of its own, without a GPU: torch 2.13.0+cpu, transformers 5.24.0, trl
1.16.0. Its trainer's own method is called, on log-probabilities that a model would have given.

    python tests/oracles/record_trl_reward.py
"""

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer, __version__

LENGTHS = [5, 3, 7, 4]
REWARDS = [1.0, 0.0, 0.25, 0.25]
FORMS: dict[str, dict[str, float]] = {
    "plain": {"epsilon_low": 0.2, "epsilon_high": 0.2, "beta": 0.0},
    "higher": {"epsilon_low": 0.2, "epsilon_high": 0.28, "beta": 0.0},
    "near_the_base": {"epsilon_low": 0.2, "epsilon_high": 0.2, "beta": 0.04},
}


def group() -> dict[str, list[list[float]]]:
    """Return the log-probabilities of replies: the model's, those of the draw, and the base's."""
    draw = torch.Generator().manual_seed(5)
    own = [-3 * torch.rand(length, generator=draw) for length in LENGTHS]
    old = [row + 0.4 * torch.randn(len(row), generator=draw) for row in own]
    reference = [row + 0.5 * torch.randn(len(row), generator=draw) for row in own]
    named = {"own": own, "old": old, "reference": reference}
    return {
        name: [[round(x, 3) for x in row.tolist()] for row in rows] for name, rows in named.items()
    }


def advantages() -> Tensor:
    """Return the rewards as TRL compares them in a group, scaled by their standard deviation."""
    rewards = torch.tensor(REWARDS)
    return (rewards - rewards.mean()) / (rewards.std() + 1e-4)


def computed(rows: dict[str, list[list[float]]], form: dict[str, float]) -> dict[str, Any]:
    """Return TRL's loss of the group over all its tokens, and its gradient at each of them."""
    own, old, reference = (padded(rows[name]) for name in ("own", "old", "reference"))
    mask = padded([[1.0] * length for length in LENGTHS])
    inputs = {
        "prompt_ids": torch.ones(len(LENGTHS), 1, dtype=torch.int64),
        "prompt_mask": torch.ones(len(LENGTHS), 1, dtype=torch.int64),
        "completion_ids": torch.ones_like(own, dtype=torch.int64),
        "completion_mask": mask,
        "advantages": advantages(),
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }
    own.requires_grad_()
    loss = GRPOTrainer._compute_loss(trainer(own, form), torch.nn.Identity(), inputs)
    loss.backward()
    assert own.grad is not None
    gradients = [row[:n].tolist() for row, n in zip(own.grad, LENGTHS, strict=True)]
    return {"loss": loss.item(), "gradients": gradients}


def padded(rows: list[list[float]]) -> Tensor:
    """Return rows of numbers as a tensor, zeros behind the shorter ones."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def trainer(own: Tensor, form: dict[str, float]) -> Any:
    """Return as much of a GRPOTrainer as its loss reads; "bnpo" is the mean over all tokens."""
    accelerator = SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x)
    return SimpleNamespace(
        model=torch.nn.Identity(),
        accelerator=accelerator,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        loss_type="bnpo",
        importance_sampling_level="token",
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        _metrics={mode: defaultdict(list) for mode in ("train", "eval")},
        _get_per_token_logps_and_entropies=lambda *a, **k: (own, torch.zeros_like(own), None),
        **form,
    )


def main() -> None:
    """Write the group, and of each form what TRL makes of it."""
    assert __version__ == "1.16.0", __version__
    rows = group()
    forms = {name: computed(rows, form) for name, form in FORMS.items()}
    record = {
        "trl": __version__,
        "rewards": REWARDS,
        "advantages": advantages().tolist(),
        **rows,
        "settings": FORMS,
        "forms": forms,
    }
    file = Path(__file__).with_name("trl_reward.json")
    file.write_text(json.dumps(record, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
