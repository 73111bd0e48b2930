"""What the kinds of tokenizers share: the text and the ids that each of them refuses."""

from collections.abc import Collection, Sequence
from pathlib import Path

# What stands for a blank in the tokens of SentencePiece.
BLANK = "\u2581"


def check_surrogates(text: str) -> None:
    """Raise ValueError when text holds half of a surrogate pair, which no encoding can keep."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text holds a lone surrogate U+{ord(text[error.start]):04X} at character "
            f"{error.start}, which is no Unicode text; remove or replace it"
        ) from None


def check_ids(
    file: Path, tokens: Sequence[int], vocab_size: int, unused: Collection[int] = ()
) -> None:
    """Raise ValueError when an id is beyond the vocabulary or one of the `unused` ids in it."""
    for token in tokens:
        if not 0 <= token < vocab_size:
            raise ValueError(
                f"token id {token} is not in {file}, whose ids are 0 to {vocab_size - 1}"
            )
        if unused and token in unused:
            raise ValueError(
                f"token id {token} has no token in {file}, which leaves {len(unused)} ids out; "
                "a model never means it"
            )
