"""The special tokens of tiktoken vocabularies, whose files hold only the ordinary ones."""

from collections.abc import Mapping

SPECIAL_COUNT = 256


def _llama_specials(named: Mapping[int, str]) -> tuple[str, ...]:
    """Return the 256 special tokens: the named ones at their places, numbered ones between."""
    free = iter(f"<|reserved_special_token_{i}|>" for i in range(SPECIAL_COUNT))
    return tuple(
        f"<|{named[place]}|>" if place in named else next(free) for place in range(SPECIAL_COUNT)
    )


# Named places of the two tables, as Meta's reference code has them. Of 3.1's, Hugging Face's files
# call step_id and image reserved tokens and number the reserved ones after them otherwise.
_LLAMA3 = {
    0: "begin_of_text",
    1: "end_of_text",
    6: "start_header_id",
    7: "end_header_id",
    9: "eot_id",
}
_LLAMA3_1 = {
    **_LLAMA3,
    4: "finetune_right_pad_id",
    5: "step_id",
    8: "eom_id",
    10: "python_tag",
    11: "image",
}
# An id is the place in the table plus the number of ranks (128,000 in Llama 3's own file).
SPECIAL_TABLES: dict[str, tuple[str, ...]] = {
    "llama3": _llama_specials(_LLAMA3),
    "llama3_1": _llama_specials(_LLAMA3_1),
}

# Qwen's rank file is recognised by its size. Its special tokens follow the ranks, as Qwen's first
# models number them (tokenization_qwen.py beside Qwen-7B's weights: SPECIAL_START_ID, EXTRAS).
# Later models call the extras otherwise and bring a tokenizer.json that says how.
QWEN_RANKS = 151_643
QWEN_SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *(f"<|extra_{i}|>" for i in range(205)),
)

# Mistral's first tekken files, of versions 3 and 7, do not list their special tokens: these are
# they, in order (mistral_common 1.13: Tekkenizer.DEPRECATED_SPECIAL_TOKENS).
TEKKEN_SPECIALS = (
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
)
