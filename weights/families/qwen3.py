"""Qwen3, the dense models: each head of queries and keys is normalised."""

from weights.families.family import Family, Weight
from weights.families.llama import ATTENTION_NORM, FFN_NORM, W1, W2, W3, WK, WO, WQ, WV

QWEN3 = Family(
    name="qwen3",
    architecture="Qwen3ForCausalLM",
    model_type="qwen3",
    chat_format="qwen3",
    in_each_layer=(
        ATTENTION_NORM,
        WQ,
        WK,
        WV,
        WO,
        # One norm serves all heads, so its weights are reordered as those of one head.
        Weight("attention.q_norm.weight", "self_attn.q_norm.weight", ("head_dim",), None, "one"),
        Weight("attention.k_norm.weight", "self_attn.k_norm.weight", ("head_dim",), None, "one"),
        FFN_NORM,
        W1,
        W2,
        W3,
    ),
    qk_norm=True,
    window=True,
    window_is_switched=True,
    defaults={"sliding_window": 4096, "max_window_layers": 28, "head_dim": 128},
)
