"""Qwen2 and Qwen2.5: biases on queries, keys and values."""

from weights.families.family import Family, Weight
from weights.families.llama import ATTENTION_NORM, FFN_NORM, W1, W2, W3, WK, WO, WQ, WV

QWEN2 = Family(
    name="qwen2",
    architecture="Qwen2ForCausalLM",
    model_type="qwen2",
    chat_format="qwen2_5",
    in_each_layer=(
        ATTENTION_NORM,
        WQ,
        Weight("attention.wq.bias", "self_attn.q_proj.bias", ("queries",), 0, "n_heads"),
        WK,
        Weight("attention.wk.bias", "self_attn.k_proj.bias", ("keys",), 0, "n_kv_heads"),
        WV,
        Weight("attention.wv.bias", "self_attn.v_proj.bias", ("keys",), 0),
        WO,
        FFN_NORM,
        W1,
        W2,
        W3,
    ),
    qkv_bias=True,
    window=True,
    window_is_switched=True,
    defaults={"sliding_window": 4096, "max_window_layers": 28},
)
