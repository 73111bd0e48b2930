"""Write trl_preference.json: the losses of pairs, and their gradients, as TRL 1.16.0 computes them.

TRL needs an environment of its own, without a GPU: torch 2.13.0+cpu, transformers 5.24.0, trl
1.16.0. Its trainer's own method is called, on log-probabilities that a model would have given.

    python tests/oracles/record_trl_preference.py
"""

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl import DPOTrainer, __version__

LENGTHS = [(3, 5), (6, 2), (1, 7), (4, 4)]  # tokens of the chosen and the rejected reply
PROMPT = 2  # tokens before them
# TRL's own settings. Its "aot" sorts over the batch: of one pair it is the loss with smoothed
# labels, which its "sigmoid" no longer has.
FORMS: dict[str, dict[str, Any]] = {
    "plain": {"loss_types": ["sigmoid"], "beta": 0.3},
    "smoothed": {"loss_types": ["aot"], "beta": 0.3, "label_smoothing": 0.2},
    "length_normalised": {"loss_types": ["sigmoid_norm"], "beta": 2.5},
    "reference_free": {"loss_types": ["sigmoid"], "beta": 0.3, "no_reference": True},
    "supervised": {"loss_types": ["sigmoid", "sft"], "beta": 0.3, "loss_weights": [1.0, 0.7]},
    "simpo": {"loss_types": ["sigmoid_norm"], "beta": 2.5, "no_reference": True},
}


def pair(number: int) -> dict[str, list[list[float]]]:
    """Return the log-probabilities of both replies' tokens, by the model and by the reference."""
    draw = torch.Generator().manual_seed(number)
    sides = [-3 * torch.rand(length, generator=draw) for length in LENGTHS[number]]
    moved = [side + 0.8 * torch.randn(len(side), generator=draw) - 0.4 for side in sides]
    rounded = [[[round(x, 3) for x in side.tolist()] for side in both] for both in (sides, moved)]
    return {"own": rounded[0], "reference": rounded[1]}


def computed(sides: dict[str, list[list[float]]], form: dict[str, Any]) -> dict[str, Any]:
    """Return TRL's loss of a batch of one pair, and its gradient at each token of both replies."""
    width = PROMPT + max(map(len, sides["own"]))
    own = padded(sides["own"], width).requires_grad_()
    mask = torch.tensor(mask_of(sides, width))
    reference = [0.0 if form.get("no_reference") else sum(side) for side in sides["reference"]]
    inputs = {
        "input_ids": torch.ones(2, width, dtype=torch.int64),
        "attention_mask": torch.ones(2, width, dtype=torch.int64),
        "completion_mask": mask,
        "ref_chosen_logps": torch.tensor(reference[:1]),
        "ref_rejected_logps": torch.tensor(reference[1:]),
    }
    loss = DPOTrainer._compute_loss(trainer(form), model_giving(own, mask), inputs, False)
    loss.backward()
    assert own.grad is not None
    first, lengths = PROMPT - 1, map(len, sides["own"])
    rows = zip(own.grad, lengths, strict=True)
    gradients = [row[first : first + length].tolist() for row, length in rows]
    return {"loss": loss.item(), "gradients": gradients}


def padded(sides: list[list[float]], width: int) -> Tensor:
    """Return log-probabilities [2, width - 1] where TRL has them: of each token after the first."""
    rows = torch.zeros(len(sides), width - 1)
    for row, side in zip(rows, sides, strict=True):
        row[PROMPT - 1 : PROMPT - 1 + len(side)] = torch.tensor(side)
    return rows


def mask_of(sides: dict[str, list[list[float]]], width: int) -> list[list[int]]:
    """Return 1 at the tokens of the replies."""
    return [[0] * PROMPT + [1] * n + [0] * (width - PROMPT - n) for n in map(len, sides["own"])]


def model_giving(own: Tensor, mask: Tensor) -> Any:
    """Return a model that gives these log-probabilities, and nothing of interest beside them."""
    nothing = torch.zeros_like(own)
    given = own * mask[:, 1:]
    return lambda **inputs: SimpleNamespace(
        log_probs=given, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool()
    )


def trainer(form: dict[str, Any]) -> Any:
    """Return as much of a DPOTrainer as its loss reads."""
    accelerator = SimpleNamespace(
        device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x
    )
    settings = {"loss_weights": [1.0] * len(form["loss_types"]), "label_smoothing": 0.0, **form}
    return SimpleNamespace(
        model=torch.nn.Identity(),
        accelerator=accelerator,
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        use_weighting=False,
        _metrics={mode: defaultdict(list) for mode in ("train", "eval")},
        _total_train_tokens=0,
        _tp_size=1,
        **settings,
    )


def main() -> None:
    """Write the pairs, and of each form what TRL makes of them."""
    assert __version__ == "1.16.0", __version__
    pairs = [pair(number) for number in range(len(LENGTHS))]
    forms = {name: [computed(sides, form) for sides in pairs] for name, form in FORMS.items()}
    record = {"trl": __version__, "pairs": pairs, "forms": forms}
    file = Path(__file__).with_name("trl_preference.json")
    file.write_text(json.dumps(record, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
