"""Marks with which chat formats end a turn, left behind at the end of an answer."""

# Only at the end of an answer is one removed; elsewhere it is text.
_END_MARKS = (
    *("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>"),
    "</s>",
)


def without_end_mark(text: str) -> str:
    """Return a text without the marks at its end, and the white space around them."""
    if not text.rstrip().endswith(">"):
        return text
    opened = text.find("<s>")
    end = bare = len(text)
    while True:
        while bare and text[bare - 1].isspace():
            bare -= 1
        mark = next((mark for mark in _END_MARKS if text.endswith(mark, 0, bare)), None)
        if mark is None or (mark == "</s>" and 0 <= opened < bare):
            break  # this </s> closes an <s> of HTML
        bare -= len(mark)
        end = bare
    return text[:end].rstrip() if end < len(text) else text
