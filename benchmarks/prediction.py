"""What scripts/plan.py's formulas say of a row before it is measured, on a card that they know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from benchmarks.ours import ADAPTER, QUANTIZATION
from data.batches import Batch
from model.config import ModelConfig
from training.planning.cards import CARDS, Card
from training.planning.memory import FLOAT32, Method, base_parameters
from training.planning.plan import Settings, memory_use, with_policy
from training.planning.roofline import tokens_a_second


@dataclass(frozen=True)
class Prediction:
    """Useful tokens a second at best, and the peak of a step over the loaded model in bytes."""

    tokens_per_second: float
    peak_bytes_over_base: int


def method_of(model: ModelConfig, method: str, dtype: torch.dtype) -> Method:
    """Return what the plan calls one of METHODS."""
    full = method == "full"
    return Method(
        model,
        lora=None if full else ADAPTER,
        bytes_per_number=dtype.itemsize,
        autocast=full and dtype != torch.float32,
        quantization=QUANTIZATION if method == "qlora" else None,
    )


def find_policy(method: Method, tokens: int, device: torch.device) -> str:
    """Return what finetune.py computes again by default where the other side is loaded too."""
    if device.type != "cuda":
        return "none"
    others = method.weight_bytes * base_parameters(method.model)
    free = max(0, torch.cuda.mem_get_info()[0] - others)
    return with_policy(method, Settings("auto", tokens), free).policy


def predict(
    method: Method, policy: str, batches: Sequence[Batch], card: Card | None
) -> Prediction | None:
    """Return the plan's figures for some micro-batches; None without a card."""
    if card is None:
        return None
    tokens = [len(batch.tokens) for batch in batches]
    share = sum(len(batch.targets) for batch in batches) / sum(tokens)
    settings = Settings(policy, max(tokens))
    lengths = [b - a for batch in batches for a, b in pairwise(batch.offsets)]
    # Attention of a token grows with its conversation: the mean over tokens counts.
    mean = sum(length**2 for length in lengths) / sum(lengths)
    typical = replace(settings, micro_batch_tokens=sum(tokens) // len(tokens))
    speed = tokens_a_second(method, typical, card, share, mean)
    use = memory_use(method, settings, share).device
    over_base = sum(use.values()) - use["weights"] - use["masters"]
    return Prediction(speed, over_base)


def this_card(device: torch.device) -> Card | None:
    """Return the card that computes, if the plan has it."""
    if device.type != "cuda":
        return None
    words, memory = torch.cuda.get_device_name(device).split(), torch.cuda.mem_get_info(device)[1]
    return card_named(words, memory)


def card_named(words: Sequence[str], memory: int) -> Card | None:
    """Return the card that a driver names by these words, with about so many bytes."""
    names = {word.partition("-")[0] for word in words}
    for card in CARDS:
        if card.name.split()[-1].partition("-")[0] in names and 0.8 < memory / card.memory < 1.2:
            return card
    return None


def least_bytes(method: Method) -> int:
    """Return what a side takes at least in the float32 check: weights, and what trains them."""
    copies = 4 if method.lora is None else 1
    return FLOAT32 * copies * base_parameters(method.model)
