"""Hugging Face conversions of fused layers hold little more than the tensor at hand."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from anonymous_memory import peak_bytes
from safetensors.torch import save_file
from tiny_models import TINY

from model.config import ModelConfig
from weights.hugging_face.config_writing import config_from_params
from weights.hugging_face.names import hugging_face_shapes

CONVERT = """
from weights.hugging_face.conversion import convert_from_hugging_face, convert_to_hugging_face

def convert(folder):
    convert_from_hugging_face(folder / "hf", folder / "native")
    convert_to_hugging_face(folder / "native", folder / "export")
"""
PHI = replace(TINY, family="phi3", dim=512, n_heads=8, head_dim=64, hidden_dim=1536)


def write_zeros(path: Path, config: ModelConfig) -> int:
    """Write a Hugging Face model of zeros; return the bytes of its weights."""
    path.mkdir(parents=True)
    zeros = {name: torch.zeros(shape) for name, shape in hugging_face_shapes(config).items()}
    save_file(zeros, path / "model.safetensors")
    names = ("dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim", "vocab_size")
    params = {name: getattr(config, name) for name in (*names, "family")}
    (path / "config.json").write_text(json.dumps(config_from_params(params, "float32", {})))
    vocabulary = {str(index): index for index in range(config.vocab_size)}
    content = {"added_tokens": [], "model": {"vocab": vocabulary}}
    (path / "tokenizer.json").write_text(json.dumps(content))
    return sum(tensor.nbytes for tensor in zeros.values())


@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is read from /proc")
def test_conversions_of_fused_layers_hold_two_tensors_at_most(tmp_path: Path) -> None:
    write_zeros(tmp_path / "small" / "hf", replace(PHI, n_layers=1))
    whole = write_zeros(tmp_path / "large" / "hf", replace(PHI, n_layers=6))
    largest = 4 * 2 * PHI.hidden_dim * PHI.dim
    peak = peak_bytes(CONVERT, tmp_path / "small", tmp_path / "large")
    assert peak < 2 * largest + 16 * 2**20 < whole / 2
