"""Mistral's own layout: `consolidated.safetensors` with Meta's names, `params.json`, a tokenizer.

It is nearly a native directory. What differs is what its `params.json` leaves to its reader.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from model.config import PARAMS_FILE, ModelConfig, read_params
from weights.directory import WEIGHTS_FILE, open_weights
from weights.table import account, expected_shapes, shapes
from weights.tokenizer_file import (
    TOKENIZER_FILE,
    TOKENIZER_FILES,
    check_tokenizer,
    tokenizer_in,
    versioned_tokenizers,
)

# Source: `TransformerArgs` of mistral-inference; its first version, for models with a window, had
# the smaller one.
_ROPE_THETA, _ROPE_THETA_WITH_WINDOW = 1000000.0, 10000.0
_KEYS = ("dim", "n_layers", "head_dim", "hidden_dim", "n_heads", "n_kv_heads", "norm_eps")


def is_mistral(path: Path) -> bool:
    """Whether a directory is Mistral's: a native one says whether embeddings are tied."""
    files = (path / WEIGHTS_FILE, path / PARAMS_FILE)
    return all(file.is_file() for file in files) and "tied_embeddings" not in read_params(path)


def read_mistral(path: Path) -> tuple[dict[str, Any], Path, Mapping[str, Tensor]]:
    """Open Mistral's directory: its native params, its tokenizer file, its mapped tensors.

    Raises FileNotFoundError or ValueError that says what is missing or wrong.
    """
    given = {name: value for name, value in read_params(path).items() if value is not None}
    if "_sliding_window" in given:
        given["sliding_window"] = given.pop("_sliding_window")
    theta = _ROPE_THETA_WITH_WINDOW if "sliding_window" in given else _ROPE_THETA
    params = {"rope_theta": theta, **given, "family": "mistral", "tied_embeddings": False}
    config = ModelConfig.from_params(params, str(path / PARAMS_FILE))
    tensors = open_weights(path / WEIGHTS_FILE)
    account(expected_shapes(config), shapes(tensors), str(path / WEIGHTS_FILE))
    tokenizer = _tokenizer(path)
    check_tokenizer(tokenizer, config.vocab_size)
    return params, tokenizer, tensors.only(expected_shapes(config))


def mistral_params(config: ModelConfig) -> Mapping[str, Any]:
    """Return the `params.json` that Mistral's own loader reads; it refuses other keys."""
    params = {name: getattr(config, name) for name in (*_KEYS, "vocab_size", "rope_theta")}
    window = config.sliding_window
    return params if window is None else {**params, "sliding_window": window}


def _tokenizer(path: Path) -> Path:
    """Return the tokenizer to use: of several SentencePiece models that of the newest version."""
    usual, versioned = tokenizer_in(path), versioned_tokenizers(path)
    if versioned and (usual is None or usual.name == TOKENIZER_FILE):
        return versioned[-1]
    if usual is None:
        raise FileNotFoundError(
            f"{path} has no tokenizer ({', '.join(TOKENIZER_FILES)}); it comes with Mistral's "
            "download: copy it there"
        )
    return usual
