"""The special tokens of Llama 3 and 3.1 have the ids of the original models."""

from chat.tokenizers.special_tokens import SPECIAL_TABLES


def test_two_tables_differ_where_meta_renamed_tokens() -> None:
    first, second = SPECIAL_TABLES["llama3"], SPECIAL_TABLES["llama3_1"]
    assert len(set(first)) == len(set(second)) == 256
    assert first[:11] == (
        "<|begin_of_text|>", "<|end_of_text|>",
        "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
        "<|reserved_special_token_2|>", "<|reserved_special_token_3|>",
        "<|start_header_id|>", "<|end_header_id|>",
        "<|reserved_special_token_4|>", "<|eot_id|>", "<|reserved_special_token_5|>",
    )  # fmt: skip
    assert second[:12] == (
        "<|begin_of_text|>", "<|end_of_text|>",
        "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
        "<|finetune_right_pad_id|>", "<|step_id|>",
        "<|start_header_id|>", "<|end_header_id|>",
        "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>",
    )  # fmt: skip
    assert first[255] == "<|reserved_special_token_250|>"
    assert second[255] == "<|reserved_special_token_245|>"
