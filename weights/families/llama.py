"""Llama 2 and 3, and every other model that is a plain `LlamaForCausalLM`, such as SmolLM2."""

from weights.families.family import Family, Weight

ATTENTION_NORM = Weight("attention_norm.weight", "input_layernorm.weight", ("dim",))
WQ = Weight("attention.wq.weight", "self_attn.q_proj.weight", ("queries", "dim"), 0, "n_heads")
WK = Weight("attention.wk.weight", "self_attn.k_proj.weight", ("keys", "dim"), 0, "n_kv_heads")
WV = Weight("attention.wv.weight", "self_attn.v_proj.weight", ("keys", "dim"), 0)
WO = Weight("attention.wo.weight", "self_attn.o_proj.weight", ("dim", "queries"), 1)
FFN_NORM = Weight("ffn_norm.weight", "post_attention_layernorm.weight", ("dim",))
W1 = Weight("feed_forward.w1.weight", "mlp.gate_proj.weight", ("hidden_dim", "dim"), 0)
W2 = Weight("feed_forward.w2.weight", "mlp.down_proj.weight", ("dim", "hidden_dim"), 1)
W3 = Weight("feed_forward.w3.weight", "mlp.up_proj.weight", ("hidden_dim", "dim"), 0)

LLAMA = Family(
    name="llama",
    architecture="LlamaForCausalLM",
    model_type="llama",
    chat_format="llama3",
    in_each_layer=(ATTENTION_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3),
    rope_kinds=("default", "llama3"),
    in_meta_format=True,
)
