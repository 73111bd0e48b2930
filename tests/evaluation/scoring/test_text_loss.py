"""The loss of a model on plain text, against its definition, for every family."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from native_directories import write_adapter, write_native
from tiny_models import FAMILY_SHAPES, LLAMA3_SHAPES, LONG_ROPE, random_model

from chat.formats.known import find_format
from data.plain_text import Text, start_token
from evaluation.scoring.text_loss import score_text
from inference.loading import Source, load_chat_model
from model.attention import Documents
from model.config import ModelConfig
from model.lora.config import LoraConfig

SHAPES = {**LLAMA3_SHAPES, **FAMILY_SHAPES, "long": LONG_ROPE}
LINES = "".join(f"Line {n} of a text, with the number {n * n}.\n" for n in range(30))


@pytest.fixture
def text(tmp_path: Path) -> Text:
    (tmp_path / "text.txt").write_text(LINES)
    return Text.read(tmp_path / "text.txt", 300)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_that_of_each_window_alone(tmp_path: Path, text: Text, shape: str) -> None:
    config = replace(SHAPES[shape], vocab_size=600)
    source = Source(str(write_native(tmp_path / "model", config)), chat_format="llama3")
    chat_model = load_chat_model(source, print)
    score = score_text(chat_model, text)
    model = random_model(config).eval()
    for window, part in zip(score.windows, text.windows, strict=True):
        begin = chat_model.tokenizer.special_tokens["<|begin_of_text|>"]
        ids = torch.tensor([begin, *chat_model.tokenizer.encode(part)])
        with torch.no_grad():
            logits = model(ids, torch.arange(len(ids)), Documents((0, len(ids))))
        chances = logits.double().log_softmax(-1)[:-1].gather(1, ids[1:, None])
        assert window.loss == pytest.approx(-chances.sum().item(), rel=1e-5)
        assert window[:2] == (len(part), len(ids) - 1)
    assert score.total.bytes == len(LINES)


def test_an_adapter_changes_the_loss_and_one_of_zero_does_not(tmp_path: Path, text: Text) -> None:
    config = replace(SHAPES["llama3"], vocab_size=600)
    base = write_native(tmp_path / "model", config)
    losses = {}
    for size in (0.0, 0.5):
        adapter = tmp_path / str(size)
        write_adapter(adapter, config, LoraConfig(rank=2), size=size)
        losses[size] = score_text(load_chat_model(Source(str(base), str(adapter))), text).total.loss
    plain = score_text(load_chat_model(Source(str(base))), text).total.loss
    assert losses[0.0] == pytest.approx(plain, rel=1e-6)
    assert abs(losses[0.5] - plain) > 0.1


def test_a_model_that_knows_nothing_has_the_loss_of_guessing(tmp_path: Path, text: Text) -> None:
    config = replace(SHAPES["llama3"], vocab_size=600)
    chat_model = load_chat_model(Source(str(write_native(tmp_path / "model", config))))
    with torch.no_grad():
        chat_model.model.norm.weight.zero_()
    score = score_text(chat_model, text)
    assert score.figures["nats_per_token"].value == pytest.approx(math.log(600))
    assert score.figures["perplexity"].value == pytest.approx(600, rel=1e-5)


def test_a_window_longer_than_the_limit_is_refused(tmp_path: Path, text: Text) -> None:
    config = replace(SHAPES["llama3"], vocab_size=600)
    chat_model = load_chat_model(Source(str(write_native(tmp_path / "model", config))))
    with pytest.raises(ValueError, match=r"window 1 has .* --max-seq-len is 16; lower --text-wind"):
        score_text(chat_model, text, 16)


def test_a_text_begins_alike_whatever_format_is_spoken(tmp_path: Path) -> None:
    config = ModelConfig(**{**SHAPES["llama3"].__dict__, "vocab_size": 600})
    directory = write_native(tmp_path / "model", config)
    tokenizer = find_format("llama3").load_tokenizer(directory)
    begins = {start_token(find_format(name), tokenizer) for name in ("llama3", "qwen2_5")}
    assert begins == {"<|begin_of_text|>"}
