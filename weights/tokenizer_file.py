"""How many tokens a tokenizer file has, to tell whether it belongs to a model.

Reading and using it is the business of the package `chat`; here only its size is wanted.
"""

from pathlib import Path

# Meta's tokenizers add this many special tokens to the ranks of a tiktoken file.
SPECIAL_TOKENS = 256


def check_tokenizer(file: Path, vocab_size: int) -> None:
    """Raise ValueError unless the tokenizer has exactly as many tokens as the model has rows."""
    count = token_count(file)
    if count != vocab_size:
        raise ValueError(
            f"{file} has {count:,} tokens, and the model's embedding has {vocab_size:,} rows; "
            "put the tokenizer.model that came with these weights there"
        )


def token_count(file: Path) -> int:
    """Return the tokens of a tokenizer file, Llama 3's special tokens included.

    Raises ValueError when the file is neither tiktoken's ranks nor a SentencePiece model.
    """
    if is_sentencepiece(file):
        return _pieces(file)
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if parts and (len(parts) != 2 or not parts[1].isdigit()):
            raise ValueError(
                f"{file}, line {number} is {line[:40]!r}, wanted a base64 token and its rank as in "
                "Llama 3's tokenizer.model (a SentencePiece model is recognised by its first byte)"
            )
    return sum(1 for line in lines if line.strip()) + SPECIAL_TOKENS


def is_sentencepiece(file: Path) -> bool:
    """Whether a tokenizer file is a SentencePiece model and not a table of tiktoken ranks."""
    with file.open("rb") as stream:
        # A SentencePiece model is a protobuf message whose first field is a piece.
        return stream.read(1) == b"\x0a"


def _pieces(file: Path) -> int:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(file)).get_piece_size()
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{file} is not a whole SentencePiece model: {error}") from None
