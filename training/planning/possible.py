"""Whether a run can be trained at all, by the checks that training makes before its first step."""

from typing import TYPE_CHECKING

import torch

from model.config import ModelConfig
from model.lora.adapter import add_lora
from model.transformer import Transformer

if TYPE_CHECKING:
    from training.config import Config


def check_trainable(config: "Config", model: ModelConfig) -> None:
    """Raise ValueError for what training refuses: with DeepSpeed, or of the adapter.

    The model is built without memory.
    """
    from training.zero.settings import check_together

    if config.deepspeed_config is not None:
        check_together(config)
    if config.lora is not None:
        with torch.device("meta"):
            add_lora(Transformer(model), config.lora)
