"""Trained rows of chosen tokens, as PEFT has them: `trainable_token_indices` and their tensors.

Here they are of the embedding and of the head alike. PEFT names the layers, and has those of a head
that is tied to the embedding with it.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from model.config import ModelConfig
from model.lora.config import EMBEDDING, HEAD
from weights.peft.layers import EMBED_TOKENS, LM_HEAD

SETTING = "trainable_token_indices"


def peft_token_rows(config: ModelConfig, ids: tuple[int, ...]) -> dict[str, Any]:
    """Return the setting of `adapter_config.json`; none where no rows were trained."""
    if not ids:
        return {}
    return {SETTING: {module.rpartition(".")[2]: list(ids) for module in _modules(config)}}


def token_row_names(config: ModelConfig) -> dict[str, str]:
    """Return what PEFT calls each of our tensors of trained rows."""
    return {
        f"{layer}.token_rows": f"base_model.model.{module}.token_adapter.trainable_tokens_delta"
        for module, layer in _modules(config).items()
    }


def token_ids(config: ModelConfig, found: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the ids of PEFT's setting; ValueError unless they are of embedding and head alike."""
    if not found:
        return ()
    wanted = [module.rpartition(".")[2] for module in _modules(config)]
    if set(found) != set(wanted) or len(set(found.values())) > 1:
        raise ValueError(
            f"{SETTING} is {dict(found)}, which cannot be represented: wanted the same ids for "
            f"{' and '.join(wanted)}"
        )
    return next(iter(found.values()))


def token_rows(config: ModelConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trained rows of an adapter's state by PEFT's names."""
    names = token_row_names(config)
    return {names[name]: state[name] for name in names if name in state}


def _modules(config: ModelConfig) -> dict[str, str]:
    """Return by Hugging Face's module what we call a layer with a row for each token."""
    ends = {EMBED_TOKENS: EMBEDDING, LM_HEAD: HEAD}
    return {EMBED_TOKENS: EMBEDDING} if config.tied_embeddings else ends
