"""A model's tokenizer files: which they are, copied as they came, and how many tokens they have.

Reading and using them is the business of the package `chat`; here only the size is wanted, to tell
whether they belong to a model.
"""

import json
import shutil
from pathlib import Path

TOKENIZER_FILE = "tokenizer.model"
# Each of these holds a whole vocabulary; where several lie together, the first is the one in use:
# tokenizer.json has the tokens that were added to the others.
TOKENIZER_FILES = ("tokenizer.json", TOKENIZER_FILE, "tekken.json")
# What Hugging Face's readers want beside it.
FILES_BESIDE = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)
# Vocabularies of Qwen and Phi are padded, by 399 rows at most (Qwen2.5 7B).
MOST_PADDING = 512
# Meta's tokenizers add this many special tokens to the ranks of a tiktoken file.
SPECIAL_TOKENS = 256


def find_tokenizer(directory: Path) -> Path:
    """Return the tokenizer file of a model's directory; FileNotFoundError without one."""
    for name in TOKENIZER_FILES:
        if (directory / name).is_file():
            return directory / name
    raise FileNotFoundError(
        f"{directory} has no tokenizer ({', '.join(TOKENIZER_FILES)}); copy the one that came with "
        "these weights there"
    )


def tokenizer_files(directory: Path) -> list[Path]:
    """Return the tokenizer files of a directory, and what Hugging Face's readers want beside."""
    names = (*TOKENIZER_FILES, *FILES_BESIDE)
    return [directory / name for name in names if (directory / name).is_file()]


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy a directory's tokenizer files, and what lies beside them, as they are."""
    for file in tokenizer_files(source):
        shutil.copyfile(file, target / file.name)


def check_tokenizer(file: Path, vocab_size: int) -> None:
    """Raise ValueError unless the tokenizer's tokens are as many as the rows of the model.

    Of a tokenizer.json or tekken.json there may be fewer: some vocabularies are padded.
    """
    count = token_count(file)
    padding = MOST_PADDING if file.suffix == ".json" else 0
    if not vocab_size - padding <= count <= vocab_size:
        raise ValueError(
            f"{file} has {count:,} tokens, and the model's embedding has {vocab_size:,} rows; "
            f"put the {file.name} that came with these weights there"
        )


def token_count(file: Path) -> int:
    """Return the tokens of a tokenizer file, its special ones included.

    Raises ValueError when the file is no tokenizer.json, tekken.json, table of tiktoken ranks or
    SentencePiece model.
    """
    if file.suffix == ".json":
        return _json_tokens(file)
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


def _json_tokens(file: Path) -> int:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if "config" in content:
            return int(content["config"]["default_vocab_size"])
        ids = [token["id"] for token in content["added_tokens"]]
        vocabulary = content["model"]["vocab"]
        pairs = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        return 1 + max(*pairs, *ids)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no tokenizer.json nor tekken.json: {error!r}") from None


def _pieces(file: Path) -> int:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(file)).get_piece_size()
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{file} is not a whole SentencePiece model: {error}") from None
