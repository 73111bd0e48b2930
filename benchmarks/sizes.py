"""The model shapes that are compared, and how much work one optimizer step is."""

from dataclasses import dataclass

from model.config import ModelConfig
from model.shapes import SHAPES


@dataclass(frozen=True)
class Size:
    """A shape, the conversations of a step, and the most tokens this project packs at once.

    The other side takes the same conversations in the same order.
    """

    model: ModelConfig
    batch_size: int
    micro_batch_tokens: int


TINY = ModelConfig(
    dim=128, n_layers=4, n_heads=4, n_kv_heads=2, head_dim=32, hidden_dim=384, vocab_size=2304
)
MID = ModelConfig(
    dim=768, n_layers=8, n_heads=12, n_kv_heads=4, head_dim=64, hidden_dim=2048, vocab_size=128256
)
LLAMA_3_2_1B, LLAMA_3_2_3B, LLAMA_3_8B = (SHAPES[name] for name in ("1b", "3b", "8b"))

SIZES = {
    "tiny": Size(TINY, batch_size=8, micro_batch_tokens=2048),
    "mid": Size(MID, batch_size=8, micro_batch_tokens=2048),
    "1b": Size(LLAMA_3_2_1B, batch_size=32, micro_batch_tokens=16384),
    "3b": Size(LLAMA_3_2_3B, batch_size=32, micro_batch_tokens=16384),
    "8b": Size(LLAMA_3_8B, batch_size=32, micro_batch_tokens=16384),
}
# What is trained: adapters on a base in the dtype of the products or in NF4, or all weights.
METHODS = ("lora", "qlora", "full")
# How the other side is used; see benchmarks/peer_modes.py.
PEERS = ("padded", "packed", "best")
# Packing loses on CPU, where Transformers' attention takes a mask over all pairs of tokens.
DEFAULT_PEERS = {"cpu": ["padded", "best"], "cuda": ["padded", "packed", "best"]}
DEFAULT_SIZES = {"cpu": ["mid"], "cuda": ["8b"]}
