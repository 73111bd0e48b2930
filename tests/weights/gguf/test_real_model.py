import json
from pathlib import Path

import pytest
import torch
from real_model import ask
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from varied_text import varied_strings

from inference.generate import generate
from model.attention import Documents
from model.transformer import Transformer
from weights.directory import load_model
from weights.gguf.reading import open_gguf
from weights.gguf.tokenizer import tokenizer_files
from weights.hugging_face.conversion import convert_to_hugging_face

pytestmark = pytest.mark.long
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def model(real_model: Path) -> Transformer:
    return load_model(real_model)


@pytest.fixture(scope="module")
def tokenizer(real_model: Path) -> Tokenizer:
    return Tokenizer.from_file(str(real_model / "tokenizer.json"))


@pytest.fixture(scope="module")
def exported(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "hugging_face"
    convert_to_hugging_face(real_model, target)
    return target


def answer(model: Transformer, tokenizer: Tokenizer, question: str, length: int = 32) -> list[int]:
    prompt = tokenizer.encode(ask(question)).ids
    return generate(model, [prompt], stop_ids=(2,), max_new_tokens=length)[0]


def test_the_capital_of_france_is_paris(model: Transformer, tokenizer: Tokenizer) -> None:
    assert "Paris" in tokenizer.decode(answer(model, tokenizer, QUESTION))


@pytest.mark.parametrize("question", [QUESTION, "Write a Python function that adds two numbers."])
def test_transformers_answers_the_same_from_the_exported_directory(
    question: str, model: Transformer, tokenizer: Tokenizer, exported: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(exported)
    words = AutoTokenizer.from_pretrained(exported)
    messages = [{"role": "user", "content": question}]
    inputs = words.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert inputs["input_ids"][0].tolist() == tokenizer.encode(ask(question)).ids
    produced = theirs.generate(**inputs, max_new_tokens=32, do_sample=False)
    text = words.decode(produced[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert text == tokenizer.decode(answer(model, tokenizer, question))


def test_logits_are_those_of_transformers(
    model: Transformer, tokenizer: Tokenizer, exported: Path
) -> None:
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(exported)
    tokens = tokenizer.encode(ask(QUESTION) + "The capital of France is Paris.").ids
    assert distance(model, theirs, tokens) < 1e-4


def test_logits_are_those_of_transformers_own_reading_of_the_file(
    model: Transformer, tokenizer: Tokenizer, real_gguf: Path
) -> None:
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(real_gguf.parent, gguf_file=real_gguf.name)
    tokens = tokenizer.encode(ask(QUESTION) + "The capital of France is Paris.").ids
    assert distance(model, theirs, tokens) < 1e-4


def distance(model: Transformer, theirs: torch.nn.Module, tokens: list[int]) -> float:
    """Return the largest difference of the logits of one sequence."""
    length = len(tokens)
    with torch.no_grad():
        ours = model(torch.tensor(tokens), torch.arange(length), Documents([0, length]))
        expected = theirs(torch.tensor([tokens])).logits[0]
    return (ours - expected).abs().max().item()


def test_ids_are_those_of_smollms_published_tokenizer(real_gguf: Path, tmp_path: Path) -> None:
    file = open_gguf(real_gguf)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_files(file)["tokenizer.json"]))
    ours = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs = published(file.metadata)
    # Its special tokens are ordinary text here, as they are in a user's message.
    ours.encode_special_tokens = True
    for text in varied_strings(10_000):
        assert ours.encode(text).ids == theirs.encode(text).ids, text
        assert ours.decode(ours.encode(text).ids) == text


def published(metadata: dict[str, list[str]]) -> Tokenizer:
    """Return the tokenizer of SmolLM2's repository, put together with the library."""
    vocabulary = {token: id for id, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    pairs = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
