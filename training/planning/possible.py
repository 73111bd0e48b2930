"""Whether a run can be trained at all, by the checks that training makes before its first step."""

from typing import TYPE_CHECKING

import torch

from model.config import ModelConfig
from model.fp8 import check_fp8_on
from model.lora.adapter import add_lora
from model.transformer import Transformer
from training.planning.cards import Card

if TYPE_CHECKING:
    from training.config import Config


def check_trainable(config: "Config", model: ModelConfig, card: Card) -> None:
    """Raise ValueError for what training refuses: with DeepSpeed, of the adapter, or on the card.

    The model is built without memory.
    """
    from training.zero.settings import check_together

    if config.deepspeed_config is not None:
        check_together(config)
    if config.model.quantization == "fp8":
        check_fp8_on(card.name, card.capability, getattr(torch, config.model.dtype))
    if config.lora is not None:
        with torch.device("meta"):
            add_lora(Transformer(model), config.lora)
