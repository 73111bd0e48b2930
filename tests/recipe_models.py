"""Downloads as the recipes begin with them: tiny random models in Hugging Face's layout.

The environment may name a folder of real ones, which are taken instead.
"""

import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from hugging_face_models import hugging_face_model
from sentencepiece import SentencePieceTrainer
from small_tokenizers import training_texts, write_tokenizer_json
from speaking_model import TOKENIZER

from chat.tokenizers.tokenizer import TOKENIZER_FILE, load_tokenizer
from chat.tokenizers.written import write_hugging_face_tokenizer

REAL_MODELS = "FC_RECIPE_MODELS"


def _llama3(path: Path) -> None:
    write_hugging_face_tokenizer(load_tokenizer(TOKENIZER), path)


def _qwen(path: Path) -> None:
    write_tokenizer_json(path / "tokenizer.json", "qwen")


def _sentencepiece(path: Path) -> None:
    """A SentencePiece model as Llama 2's and Mistral's, and the tokenizer.json beside it."""
    written = BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter("\n".join(training_texts()).splitlines()),
        model_writer=written,
        model_type="bpe",
        vocab_size=600,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    (path / TOKENIZER_FILE).write_bytes(written.getvalue())
    write_hugging_face_tokenizer(load_tokenizer(path / TOKENIZER_FILE), path)


def _phi3(path: Path) -> None:
    """The same with tokens added, of which Phi-3's download has the tokenizer.json alone."""
    names = ("<|endoftext|>", "<|assistant|>", "<|end|>", "<|system|>", "<|user|>")
    added = {name: 600 + place for place, name in enumerate(names)}
    (path / "added_tokens.json").write_text(json.dumps(added))
    _sentencepiece(path)
    (path / TOKENIZER_FILE).unlink()


_LONG = {"max_position_embeddings": 8192}
_MISTRAL = ("mistral_window", {**_LONG, "sliding_window": 4096}, _sentencepiece)
# By the folder of the download: the model of hugging_face_models.py, its sizes, its tokenizer.
DOWNLOADS: dict[str, tuple[str, dict[str, Any], Callable[[Path], None]]] = {
    "Meta-Llama-3-8B": ("llama", _LONG, _llama3),
    "Qwen2-7B": ("qwen2", _LONG, _qwen),
    "Phi-3-mini-128k-instruct": (
        "phi3_128k",
        {**_LONG, "original_max_position_embeddings": 1024},
        _phi3,
    ),
    "Mistral-7B-v0.1": _MISTRAL,
    "Llama-2-7b-hf": ("llama", {**_LONG, "rope_theta": 10000.0}, _sentencepiece),
}


def place_download(models: Path, name: str) -> bool:
    """Put a download under its name into a folder of models; return whether it is a real one."""
    models.mkdir(parents=True, exist_ok=True)
    if folder := os.environ.get(REAL_MODELS):
        (models / name).symlink_to(Path(folder).expanduser() / name)
        return True
    kind, sizes, write_tokenizer = DOWNLOADS[name]
    (models / name).mkdir()
    write_tokenizer(models / name)
    tokenizer = load_tokenizer(models / name)
    vocabulary = -(-tokenizer.vocab_size // 64) * 64
    hugging_face_model(kind, vocab_size=vocabulary, **sizes).save_pretrained(models / name)
    return False
