"""A base with its adapter answers alike, merged or not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import run_command
from native_directories import write_native, write_params
from safetensors.torch import load_file, save_file
from speaking_model import TOKENIZER, teach, write_speaking_model
from tiny_models import TINY

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.tokenizers.tokenizer import load_tokenizer
from data.conversations import write_conversations
from inference.chat_model import ChatModel
from inference.loading import Source, load_chat_model
from inference.packed import native_dtype
from model.attention import Documents
from model.lora.adapter import adapter_state, add_lora
from model.lora.config import ADAPTER_FILE, LoraConfig
from scripts import convert_lora_weights, evaluate
from weights.chat_record import write_chat_record
from weights.directory import WEIGHTS_FILE, load_model
from weights.tokenizer_file import TOKENIZER_FILE

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
# Its prompts are short.
FORMAT = "llama3_short"
ASKED = ("Rain in Lyon?", "Rain in Oslo?", "Is it wet?", "Hello", "Both?")
CITIES = ("Lyon", "Oslo", "Nice")
WANTED = [
    *(Message("assistant", "", (ToolCall("weather", {"city": city}),)) for city in CITIES),
    Message("assistant", "Good day"),
    Message("assistant", "", tuple(ToolCall("weather", {"city": city}) for city in CITIES[:2])),
]


def conversations(answers: list[Message]) -> list[Conversation]:
    return [
        Conversation((Message("user", text), answer), (WEATHER,), id=str(index), sha256=str(index))
        for index, (text, answer) in enumerate(zip(ASKED, answers, strict=True))
    ]


def write_adapted(folder: Path, dtype: torch.dtype) -> None:
    """Write a base that answers mostly wrong, and an adapter with which it is mostly right."""
    base = folder / "base"
    learned = [*WANTED[:4], replace(WANTED[4], tool_calls=WANTED[4].tool_calls[:1])]
    write_speaking_model(base, conversations([*learned[1:], learned[0]]), chat_format=FORMAT)
    write_chat_record(base, FORMAT)
    state = load_file(base / WEIGHTS_FILE)
    save_file({name: tensor.to(dtype) for name, tensor in state.items()}, base / WEIGHTS_FILE)
    model = load_model(base, "cpu", torch.float32)
    config = LoraConfig(rank=8, alpha=16)
    add_lora(model, config)
    teach(model, conversations(learned), chat_format=FORMAT)
    lora = folder / "lora"
    lora.mkdir()
    save_file(adapter_state(model), lora / ADAPTER_FILE)
    config.write(lora)
    write_chat_record(lora, FORMAT)
    write_params(lora, model.config)
    (lora / TOKENIZER_FILE).write_bytes(TOKENIZER.read_bytes())


@torch.no_grad()
def logits(chat_model: ChatModel, conversation: Conversation) -> torch.Tensor:
    tokens = chat_model.prompt(conversation)
    positions = torch.arange(len(tokens))
    return chat_model.model(torch.tensor(tokens), positions, Documents([0, len(tokens)])).float()


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.long)],
    ids=str,
)
def test_merged_adapter_scores_as_the_unmerged_one(
    dtype: torch.dtype,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_adapted(tmp_path, dtype)
    base, lora, merged = (tmp_path / name for name in ("base", "lora", "merged"))
    flags = ["--base-ckpt-path", base, "--lora-ckpt-path", lora, "--output-dir", merged]
    merge = run_command(convert_lora_weights.main, [*flags, "--logits"], monkeypatch, capsys)
    assert (merge.code, merge.error) == (0, "")
    data = tmp_path / "data.jsonl"
    write_conversations(data, conversations(WANTED))

    def scored(*source: object) -> tuple[dict[str, object], list[dict[str, object]]]:
        out = tmp_path / "out.json"
        given = [*source, "--dataset-file", data, "--output-file", out, "--max-new-tokens", 90]
        assert run_command(evaluate.main, given, monkeypatch, capsys).code == 0
        results = json.loads(out.read_text())
        return results["summary"]["figures"], results["verdicts"]

    unmerged = scored("--ckpt-dir", base, "--lora-ckpt-path", lora)
    assert [row["verdict"] for row in unmerged[1]] == [True, True, True, True, False]
    assert scored("--ckpt-dir", merged) == unmerged
    assert scored("--ckpt-dir", base)[0] != unmerged[0]

    figures = json.loads((merged / "merge.json").read_text())["logits"]
    # The figures are those of the merge's own few prompts; these are others.
    allowed = 4 * figures["merge"]["mean"]
    assert allowed < figures["adapter"]["mean"]
    two = [
        load_chat_model(source) for source in (Source(str(base), str(lora)), Source(str(merged)))
    ]
    for conversation in conversations(WANTED):
        asked = replace(conversation, messages=conversation.messages[:1])
        one, other = (logits(chat_model, asked) for chat_model in two)
        assert (one - other).abs().mean() <= allowed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_cpu_model_computes_in_a_dtype_native_to_it(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = replace(TINY, vocab_size=load_tokenizer(TOKENIZER).vocab_size)
    base = write_native(tmp_path / "base", config, dtype)
    (base / TOKENIZER_FILE).write_bytes(TOKENIZER.read_bytes())
    model = load_chat_model(Source(str(base))).model
    assert model.tok_embeddings.weight.dtype == native_dtype(dtype)
