"""llama2.c's files, read and rewritten; the format is described beside the stories260K weights."""

import struct
from pathlib import Path

import numpy as np
import torch
from sentencepiece import sentencepiece_model_pb2
from torch import Tensor

from model.config import ModelConfig
from weights.table import EMBEDDING, expected_shapes


def read_llama2c(file: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a version 0 checkpoint: seven int32, then each kind of tensor for all layers."""
    data = file.read_bytes()
    dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, _ = struct.unpack_from("<7i", data)
    config = ModelConfig(
        dim=dim,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=dim // n_heads,
        hidden_dim=hidden_dim,
        vocab_size=vocab_size,
        tied_embeddings=True,
    )
    numbers = torch.from_numpy(np.frombuffer(data, dtype="<f4", offset=28).copy())
    state, start = {}, 0
    order = ["attention_norm", "wq", "wk", "wv", "wo", "ffn_norm", "w1", "w2", "w3"]
    names = list(expected_shapes(config))
    in_layers = [n for kind in order for n in names if n.split(".")[-2] == kind]
    for name in [EMBEDDING, *in_layers, "norm.weight"]:
        shape = expected_shapes(config)[name]
        end = start + torch.Size(shape).numel()
        state[name], start = numbers[start:end].view(shape), end
    return config, state


def read_pieces(file: Path) -> list[tuple[bytes, float]]:
    """Read a tokenizer.bin: int32, then per token float32 score, int32 length, bytes."""
    data, pieces, at = file.read_bytes(), [], 4
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        pieces.append((data[at + 8 : at + 8 + length], score))
        at += 8 + length
    return pieces


def write_sentencepiece(file: Path, pieces: list[tuple[bytes, float]]) -> None:
    """Write a SentencePiece model of these pieces; 0, 1, 2 are unknown, begin and end of text."""
    model = sentencepiece_model_pb2.ModelProto()
    types = sentencepiece_model_pb2.ModelProto.SentencePiece
    special = {0: ("<unk>", types.UNKNOWN), 1: ("<s>", types.CONTROL), 2: ("</s>", types.CONTROL)}
    for index, (piece, score) in enumerate(pieces):
        text = piece.decode().replace(" ", "\u2581")
        is_byte = text.startswith("<0x") and len(text) == 6
        name, kind = special.get(index, (text, types.BYTE if is_byte else types.NORMAL))
        model.pieces.add(piece=name, score=score, type=kind)
    model.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = any(p.type == types.BYTE for p in model.pieces)
    model.trainer_spec.vocab_size = len(pieces)
    file.write_bytes(model.SerializeToString())
