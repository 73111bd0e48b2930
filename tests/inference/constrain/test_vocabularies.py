"""Calls are constrained over every kind of tokenizer that can write single characters."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from small_tokenizers import write_tekken, write_tokenizer_json
from speaking_model import TOKENIZER
from tiny_models import TINY, random_model

from chat.conversation import Conversation, Tool, ToolCall
from chat.formats.call_syntax import write_reply
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply, reply_text, silent_ids, stop_ids
from chat.schemas.validation import validate_arguments
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.special_tokens import SPECIAL_TABLES
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from chat.tokenizers.written import write_hugging_face_tokenizer
from inference.chat_model import token_limits
from inference.constrain.constraint import Constraints, constraint_for
from inference.generate import Decoding, complete
from model.config import ModelConfig

LLAMA3 = FORMATS["llama3"]
LLAMA3_NAMES = SPECIAL_TABLES["llama3"][:10]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "", CITY)


def add_llamas_names(file: Path) -> Path:
    """Add Llama 3's named tokens to a tokenizer.json, after a gap of five ids."""
    content = json.loads(file.read_text(encoding="utf-8"))
    added = [*content["model"]["vocab"].values(), *(t["id"] for t in content["added_tokens"])]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content["added_tokens"] += [
        {"id": max(added) + 6 + place, "content": name, **flags, "special": True}
        for place, name in enumerate(LLAMA3_NAMES)
    ]
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=["smollm2", "qwen", "phi4", "phi3", "tekken", "mistral v1"])
def tokenizer(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Tokenizer:
    """A tokenizer of each kind that has the special tokens of format `llama3` too."""
    kind, directory = request.param, tmp_path_factory.mktemp("tokenizer")
    file = directory / "tokenizer.json"
    if kind == "phi3":
        shutil.copyfile(shared / "tokenizers/phi3/tokenizer.json", file)
        return load_tokenizer(add_llamas_names(file))
    if kind == "mistral v1":
        pieces = shared / "tokenizers/mistral_sentencepiece/tokenizer.model.v1"
        shutil.copyfile(pieces, directory / "tokenizer.model")
        names = {name: 32_000 + place for place, name in enumerate(LLAMA3_NAMES)}
        (directory / "added_tokens.json").write_text(json.dumps(names))
        return load_tokenizer(directory)
    if kind == "tekken":
        file = write_tekken(directory / "tekken.json")
        content = json.loads(file.read_text())
        content["special_tokens"] = [
            {"rank": rank, "token_str": name} for rank, name in enumerate(LLAMA3_NAMES)
        ]
        file.write_text(json.dumps(content))
        return load_tokenizer(file)
    return load_tokenizer(add_llamas_names(write_tokenizer_json(file, kind)))


def test_a_random_model_only_makes_valid_calls(tokenizer: Tokenizer) -> None:
    rows = tokenizer.vocab_size + 7
    model = random_model(ModelConfig(**{**TINY.__dict__, "vocab_size": rows}))
    conversations = [Conversation((), (WEATHER,))] * 6
    limits = token_limits(LLAMA3, tokenizer)
    decoding = Decoding(**limits, max_new_tokens=80, temperature=1.0)
    constraint = Constraints(conversations, LLAMA3, tokenizer, forced=True)
    replies = dict(complete(model, [[5, n] for n in range(6)], decoding, constraint=constraint))
    for reply in replies.values():
        assert reply.stop is not None
        read = parse_reply(
            reply_text(reply.tokens, tokenizer, silent_ids(LLAMA3, tokenizer)), LLAMA3
        )
        assert (read.content, read.problem) == ("", None)
        assert read.tool_calls
        for call in read.tool_calls:
            assert call.name == "weather" and validate_arguments(WEATHER, call.arguments) == []


def test_the_tokens_of_a_valid_reply_are_allowed(tokenizer: Tokenizer) -> None:
    text = write_reply("I look.", [ToolCall("weather", {"city": 'L"yon\n名前 😀'})], LLAMA3.calls)
    constraint = constraint_for([WEATHER], LLAMA3, tokenizer)
    for token in [*tokenizer.encode(text), stop_ids(LLAMA3, tokenizer)[0]]:
        logits = torch.zeros(tokenizer.vocab_size)
        constraint.restrict(logits, 1000)
        assert logits[token] == 0, tokenizer.token_texts()[token]
        for unused in tokenizer.unused_ids:
            assert logits[unused] == float("-inf")
        assert constraint.accept(token, 1000)


def test_a_vocabulary_without_single_characters_is_refused(shared: Path, tmp_path: Path) -> None:
    pieces = shared / "tokenizers" / "tiny_test_assets" / "m.model"
    shutil.copyfile(pieces, tmp_path / "tokenizer.model")
    names = {name: 2_000 + place for place, name in enumerate(LLAMA3_NAMES)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(names))
    with pytest.raises(
        ValueError, match=r"has no token for .* alone, .* generate without --constrain"
    ):
        constraint_for([WEATHER], LLAMA3, load_tokenizer(tmp_path))


def test_ranks_and_their_tokenizer_json_allow_the_same_tokens(tmp_path: Path) -> None:
    ranks = load_tokenizer(TOKENIZER)
    assert isinstance(ranks, TiktokenTokenizer)
    write_hugging_face_tokenizer(ranks, tmp_path)
    both = [ranks, load_tokenizer(tmp_path / "tokenizer.json")]
    constraints = [constraint_for([WEATHER], LLAMA3, tokenizer, forced=True) for tokenizer in both]
    text = write_reply("", [ToolCall("weather", {"city": "Lyon"})], LLAMA3.calls)
    for token in [*ranks.encode(text), stop_ids(LLAMA3, ranks)[0]]:
        masks = [torch.zeros(ranks.vocab_size) for _ in both]
        for constraint, mask in zip(constraints, masks, strict=True):
            constraint.restrict(mask, 1000)
            assert constraint.accept(token, 1000)
        assert torch.equal(*masks)
