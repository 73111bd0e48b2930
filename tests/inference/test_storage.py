"""A base is spoken to as it was stored when its adapter was trained, and replies as it did then."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from native_directories import write_adapter
from safetensors.torch import load_file, save_file
from speaking_model import write_speaking_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from inference import packed
from inference.chat_model import Answer
from inference.constrain.constraint import Constraints
from inference.generate import Decoding
from inference.loading import Source, load_chat_model
from inference.packed import PackedLinear
from inference.storage import choose_storage, merge_command
from model.config import ModelConfig
from model.lora.config import LoraConfig
from model.nf4 import NF4Linear, dequantize, quantize
from storage.manifest import write_manifest
from weights.adapter import read_adapter, write_base_record
from weights.building import is_linear_weight
from weights.directory import WEIGHTS_FILE
from weights.merge_base import open_base
from weights.nf4.conversion import quantize_directory

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CONVERSATIONS = [
    Conversation((Message("user", text), answer), (WEATHER,), id=text, sha256=text)
    for text, answer in (
        ("Rain in Lyon?", Message("assistant", "", (ToolCall("weather", {"city": "Lyon"}),))),
        ("Hello", Message("assistant", "Good day")),
    )
]
DECODINGS = {
    name: Decoding((), max_new_tokens=40, max_length=1024, temperature=temperature, seed=5)
    for name, temperature in (("greedy", 0.0), ("constrained", 0.0), ("drawn", 2.0))
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, the same in NF4, the same dequantised, and an adapter trained on the one in NF4."""
    folder = tmp_path_factory.mktemp("storage")
    base = write_speaking_model(folder / "base", CONVERSATIONS, steps=40)
    config = ModelConfig.read(base)
    write_manifest(base, "native model")
    quantize_directory(base, folder / "nf4")
    shutil.copytree(base, folder / "dequantized")
    state = load_file(base / WEIGHTS_FILE)
    for name, weight in state.items():
        if is_linear_weight(name):
            state[name] = dequantize(quantize(weight), tuple(weight.shape), weight.dtype)
    save_file(state, folder / "dequantized" / WEIGHTS_FILE)
    write_manifest(folder / "dequantized", "native model")
    for name, trained_on, quantization in (
        ("lora", base, "nf4_double"),
        ("plain_lora", folder / "dequantized", None),
    ):
        write_adapter(folder / name, config, LoraConfig(rank=4, alpha=8.0))
        write_base_record(folder / name, trained_on, quantization)
    return folder


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def replies(source: Source, decoding: str) -> Sequence[Answer]:
    chat_model = load_chat_model(source, lambda line: None)
    asked = [replace(c, messages=c.messages[:1]) for c in CONVERSATIONS]
    format, tokenizer = chat_model.format, chat_model.tokenizer
    constraints = Constraints(asked, format, tokenizer) if decoding == "constrained" else None
    return [a for _, a in chat_model.answers(asked, DECODINGS[decoding], constraints)]


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("packs", [True, False], ids=["packed", "not packed"])
@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("base", ["base", "nf4"])
def test_replies_equal_those_of_the_dequantized_base(
    base: str, decoding: str, packs: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if decoding == "constrained":
        pytest.importorskip("llguidance")
    dequantized = Source(str(folder / "dequantized"), str(folder / "plain_lora"))
    wanted = replies(dequantized, decoding)
    assert decoding == "drawn" or wanted[0].reply.tool_calls
    if not packs:
        monkeypatch.setattr(packed, "native_dtype", lambda stored: torch.float64)
    assert replies(Source(str(folder / base), str(folder / "lora")), decoding) == wanted
    unquantized = Source(str(folder / "base"), str(folder / "lora"), quantization="none")
    assert decoding != "drawn" or replies(unquantized, decoding) != wanted


@pytest.mark.usefixtures("on_cpu")
def test_cpu_dequantizes_once_and_packs(folder: Path) -> None:
    source = Source(str(folder / "base"), str(folder / "lora"))
    modules = list(load_chat_model(source, lambda line: None).model.modules())
    assert not any(isinstance(module, NF4Linear) for module in modules)
    if torch.backends.mkldnn.is_available():
        assert sum(isinstance(module, PackedLinear) for module in modules) == 15


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize(
    ("source", "line"),
    [
        (("base", "lora", None), "base: linear layers in nf4_double, as when {}/lora was trained"),
        (("nf4", None, None), "nf4: linear layers in nf4_double"),
        (("base", None, "nf4"), "base: linear layers in nf4"),
        (
            ("base", "lora", "none"),
            "base: linear layers in full precision; {}/lora was trained on a base in nf4_double",
        ),
        (("base", None, None), None),
    ],
)
def test_storage_is_told_in_one_line(
    source: tuple[str, str | None, str | None], line: str | None, folder: Path
) -> None:
    base, lora, quantization = source
    told: list[object] = []
    adapter = None if lora is None else str(folder / lora)
    load_chat_model(Source(str(folder / base), adapter, quantization=quantization), told.append)
    assert told == ([] if line is None else [f"{folder}/{line.format(folder)}"])


def test_adapter_of_unquantized_weights_is_taken_on_them_quantized(folder: Path) -> None:
    write_base_record(folder / "plain_lora", folder / "base")
    assert Source(str(folder / "nf4"), str(folder / "plain_lora")).storage() == "nf4_double"
    write_base_record(folder / "plain_lora", folder / "dequantized")


@pytest.mark.parametrize(
    ("spoken", "trained", "named"),
    [("nf4", "nf4_double", "nf4"), ("base", "nf4_double", "base"), ("nf4", None, "base")],
)
def test_merge_command_names_weights_that_merge(
    spoken: str, trained: str | None, named: str, folder: Path, tmp_path: Path
) -> None:
    adapter = shutil.copytree(folder / "lora", tmp_path / "lora")
    write_base_record(adapter, folder / "base", trained)
    command = merge_command(folder / spoken, adapter)
    assert f"--base-ckpt-path {folder / named} --lora-ckpt-path {adapter} " in command
    open_base(folder / named, read_adapter(adapter))


Choice = Callable[[Path], object]


@pytest.mark.parametrize(
    ("choose", "problem"),
    [
        (
            lambda folder: choose_storage("int8", folder / "base", {}),
            "--quantization is 'int8', wanted one of nf4, nf4_double, fp8, none",
        ),
        (
            lambda folder: choose_storage("none", folder / "nf4", {}),
            "holds weights in nf4_double; leave the flag out, or name the weights they were made",
        ),
        (
            lambda folder: choose_storage(None, folder / "nf4", {"lora": "nf4"}),
            "lora was trained on a base in nf4, and {}/nf4 holds nf4_double; name the weights they "
            "were made of: {}/base, or add --quantization nf4_double",
        ),
        (
            lambda folder: choose_storage(None, folder / "base", {"a": None, "b": "nf4"}),
            "a was trained on a base in full precision, and b on one in nf4; choose one for all",
        ),
    ],
)
def test_contradictions_are_one_line(choose: Choice, problem: str, folder: Path) -> None:
    with pytest.raises(ValueError) as raised:
        choose(folder)
    assert problem.format(folder, folder) in str(raised.value)
    assert "\n" not in str(raised.value)
