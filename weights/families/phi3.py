"""Phi-3 mini (4k and 128k) and Phi-4 mini: fused projections, long RoPE, partial rotation."""

from dataclasses import replace

from weights.families.family import Family
from weights.families.llama import ATTENTION_NORM, FFN_NORM, W1, W2, W3, WK, WO, WQ, WV

_QKV, _GATE_UP = "self_attn.qkv_proj.weight", "mlp.gate_up_proj.weight"

PHI3 = Family(
    name="phi3",
    architecture="Phi3ForCausalLM",
    model_type="phi3",
    chat_format="phi3_xlam",
    in_each_layer=(
        ATTENTION_NORM,
        *(replace(row, hugging_face=_QKV) for row in (WQ, WK, WV)),
        WO,
        FFN_NORM,
        replace(W1, hugging_face=_GATE_UP),
        W2,
        replace(W3, hugging_face=_GATE_UP),
    ),
    window=True,
    partial_rotary=True,
    rope_kinds=("default", "longrope"),
    defaults={"rms_norm_eps": 1e-5, "original_max_position_embeddings": 4096},
)
