"""A model's tokenizer files: which they are, copied as they came, and how many tokens they have.

Reading and using them is the business of the package `chat`; here only the size is wanted, to tell
whether they belong to a model.
"""

import re
from pathlib import Path

from storage.json_file import read_json_object
from storage.verified import copy_verified, read_verified

TOKENIZER_FILE = "tokenizer.model"
# Each of these holds a whole vocabulary; where several lie together, the first is the one in use:
# tokenizer.json has the tokens that were added to the others.
TOKENIZER_FILES = ("tokenizer.json", TOKENIZER_FILE, "tekken.json")
# In bytes, as in chat/: Llama 3's has 2.2 MB, a tokenizer.json up to 20 MB.
LARGEST_FILE = 100_000_000
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
# Qwen's rank file is recognised by its size, and has special tokens of its own.
QWEN_RANKS = 151_643
QWEN_SPECIAL_TOKENS = 208
# Where the tokens are named that were added to a SentencePiece model.
ADDED_FILE = "added_tokens.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
_ADDED = "added_tokens_decoder"
# Mistral's own readers take the version of the chat template from the name of a SentencePiece
# model (`tokenizer.model.v3`), and the first for a name without (`get_spm_version` in
# mistral_common).
_VERSIONED = re.compile(re.escape(TOKENIZER_FILE) + r"\.v\d+(m\d+)?")


def find_tokenizer(directory: Path) -> Path:
    """Return the tokenizer file of a model's directory; FileNotFoundError without one."""
    file = tokenizer_in(directory)
    if file is None:
        raise FileNotFoundError(
            f"{directory} has no tokenizer ({', '.join(TOKENIZER_FILES)}); copy the model's "
            "tokenizer there"
        )
    return file


def tokenizer_in(directory: Path) -> Path | None:
    """Return the tokenizer file of a model's directory, None without one."""
    files = (directory / name for name in TOKENIZER_FILES)
    return next((file for file in files if file.is_file()), None)


def tokenizer_files(directory: Path) -> list[Path]:
    """Return the tokenizer files of a directory, and what other readers want beside."""
    names = (*TOKENIZER_FILES, *FILES_BESIDE)
    files = [directory / name for name in names if (directory / name).is_file()]
    return [*files, *versioned_tokenizers(directory)]


def versioned_tokenizers(directory: Path) -> list[Path]:
    """Return Mistral's tokenizer files with a version in their names, the newest last."""
    files = directory.glob(f"{TOKENIZER_FILE}.v*")
    versioned = [file for file in files if _VERSIONED.fullmatch(file.name) and file.is_file()]
    return sorted(versioned, key=lambda file: [int(n) for n in re.findall(r"\d+", file.name)])


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy a directory's tokenizer files, and what lies beside them, as they are."""
    for file in tokenizer_files(source):
        copy_verified(file, target / file.name)


def check_tokenizer(file: Path, vocab_size: int) -> None:
    """Raise ValueError unless the tokenizer's tokens are as many as the rows of the model.

    There may be fewer where vocabularies are padded: in a tokenizer.json or tekken.json, in Qwen's
    ranks, and where tokens were added to a SentencePiece model.
    """
    count = token_count(file)
    padded = file.suffix == ".json" or (
        count > _pieces(file) if is_sentencepiece(file) else _is_qwens(count)
    )
    if not vocab_size - (MOST_PADDING if padded else 0) <= count <= vocab_size:
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
        return max(_pieces(file), _largest_added(file.parent) + 1)
    lines = read_verified(file).split(b"\n")
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if parts and (len(parts) != 2 or not parts[1].isdigit()):
            raise ValueError(
                f"{file}, line {number} is {line[:40]!r}, wanted a base64 token and its rank as in "
                "Llama 3's tokenizer.model (a SentencePiece model is recognised by its first byte)"
            )
    ranks = sum(1 for line in lines if line.strip())
    return ranks + (QWEN_SPECIAL_TOKENS if ranks == QWEN_RANKS else SPECIAL_TOKENS)


def _is_qwens(count: int) -> bool:
    return count == QWEN_RANKS + QWEN_SPECIAL_TOKENS


def is_sentencepiece(file: Path) -> bool:
    """Whether a tokenizer file is a SentencePiece model, or made from one, and no byte-level BPE.

    A tokenizer.json made from one writes what it has no token for as tokens of single bytes.
    """
    if file.suffix == ".json":
        model = read_json_object(file, LARGEST_FILE).get("model", {})
        if not isinstance(model, dict):
            raise ValueError(
                f"{file} is no tokenizer.json nor tekken.json: its model is {model!r:.60}"
            )
        return bool(model.get("byte_fallback"))
    with file.open("rb") as stream:
        # A SentencePiece model is a protobuf message whose first field is a piece.
        return stream.read(1) == b"\x0a"


def _json_tokens(file: Path) -> int:
    content = read_json_object(file, LARGEST_FILE)
    try:
        if "config" in content:
            return int(content["config"]["default_vocab_size"])
        ids = [token["id"] for token in content.get("added_tokens", ())]
        vocabulary = content["model"]["vocab"]
        pairs = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        return 1 + max([*pairs, *ids])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no tokenizer.json nor tekken.json: {error!r}") from None


def _largest_added(directory: Path) -> int:
    """Return the largest id of the tokens that were added to a SentencePiece model, 0 for none."""
    ids = [0]
    for name in (ADDED_FILE, TOKENIZER_CONFIG_FILE):
        if (directory / name).is_file():
            content = read_json_object(directory / name)
            named = content.values() if name == ADDED_FILE else content.get(_ADDED) or ()
            try:
                ids += [int(id) for id in named]
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{directory / name} does not name added tokens as it should: {error!r}"
                ) from None
    return max(ids)


def _pieces(file: Path) -> int:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(file)).get_piece_size()
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{file} is not a whole SentencePiece model: {error}") from None
