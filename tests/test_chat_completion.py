"""The chat script: dialogs in, conversations with replies and parsed calls out."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Outcome, run_command
from meta_directories import write_tiktoken_file
from native_directories import write_adapter
from speaking_model import TOKENIZER, write_speaking_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.tokenizers.tokenizer import load_tokenizer
from chat_completion import main
from model.config import ModelConfig
from model.lora.config import LoraConfig

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
QUESTIONS = [
    Conversation((Message("user", "Rain in Lyon?"),), (WEATHER,)),
    Conversation((Message("user", "Say [bold]hi[/bold]"),)),
    Conversation((Message("user", "Break"),)),
]
ANSWERS = [
    Message("assistant", "", (ToolCall("weather", {"city": "Lyon"}),)),
    Message("assistant", "[bold]hi[/bold] to you"),
    Message("assistant", '{"tool_uses": [{"recipient_name": 7}]}'),
]
Chat = Callable[..., Outcome]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows three dialogs by heart, and the file of their questions."""
    folder = tmp_path_factory.mktemp("chat")
    write_speaking_model(
        folder / "model",
        [
            replace(question, messages=(*question.messages, answer))
            for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
        ],
    )
    questions = [question.to_record() for question in QUESTIONS]
    (folder / "dialogs.json").write_text(json.dumps(questions))
    return folder


@pytest.fixture
def chat(
    learned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Chat:
    """Run the script greedily on the three dialogs; keyword arguments add or replace flags."""

    def command(**changes: object) -> Outcome:
        flags = {
            "--ckpt-dir": learned / "model",
            "--tokenizer-path": learned / "model" / "tokenizer.model",
            "--dialogs": learned / "dialogs.json",
            "--temperature": 0,
        } | {"--" + name.replace("_", "-"): value for name, value in changes.items()}
        arguments = [x for name, value in flags.items() if value is not None for x in (name, value)]
        return run_command(main, arguments, monkeypatch, capsys)

    return command


def test_dialogs_are_printed_with_replies_calls_and_unreadable_calls(chat: Chat) -> None:
    outcome = chat()
    assert (outcome.code, outcome.error) == (0, "")
    lines = [line for line in outcome.out.splitlines() if line and "dialog" not in line]
    assert lines[:8] == [
        "Tools: weather",
        "User: Rain in Lyon?",
        "> Assistant: ",
        '  calls weather {"city": "Lyon"}',
        "User: Say [bold]hi[/bold]",
        "> Assistant: [bold]hi[/bold] to you",
        "User: Break",
        '> Assistant: {"tool_uses": [{"recipient_name": 7}]}',
    ]
    assert lines[8].startswith("  not read as a call: call 1.recipient_name")
    for line, name in zip(lines[-3:], ("serve", "convert_to_hf_weights"), strict=False):
        assert f"python scripts/{name}.py --ckpt-dir " in line
    assert "convert_to_meta_weights.py" in lines[-1]


@pytest.mark.parametrize("size", [1, 2, 16])
def test_the_batch_size_changes_no_reply(chat: Chat, size: int) -> None:
    assert chat(max_batch_size=size).out == chat().out


def test_the_tokenizer_of_the_model_is_the_default(chat: Chat) -> None:
    assert chat(tokenizer_path=None).out == chat().out


def test_the_seed_determines_the_replies(chat: Chat) -> None:
    drawn = [chat(temperature=3, max_gen_len=12, seed=seed).out for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_cut_off_reply_is_marked(chat: Chat) -> None:
    assert chat(max_gen_len=3).out.count("cut off: raise --max-gen-len") == 3


def test_constrained_calls_are_valid_and_their_cost_is_printed(chat: Chat) -> None:
    outcome = chat(constrain=True)
    assert (outcome.code, outcome.error) == (0, "")
    assert '  calls weather {"city": "Lyon"}' in outcome.out
    assert "> Assistant: [bold]hi[/bold] to you" in outcome.out
    assert "not read as a call" not in outcome.out
    assert re.search(r"constrained decoding took \d\.\d+ ms a token at the median", outcome.out)


def test_a_schema_that_cannot_be_enforced_is_refused(
    chat: Chat, learned: Path, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {"cities": {"type": "array", "uniqueItems": True}}}
    tools = (Tool("weather", "", schema),)
    dialog = replace(QUESTIONS[0], tools=tools).to_record()
    (tmp_path / "dialogs.json").write_text(json.dumps([dialog]))
    problem = refused(chat(constrain=True, dialogs=tmp_path / "dialogs.json"))
    assert "/properties/cities/uniqueItems is not enforced" in problem
    assert chat(dialogs=tmp_path / "dialogs.json").code == 0


def test_an_adapter_is_used_without_merging(chat: Chat, learned: Path, tmp_path: Path) -> None:
    config = ModelConfig.read(learned / "model")
    write_adapter(tmp_path / "nothing", config, LoraConfig(rank=2), size=0.0)
    write_adapter(tmp_path / "noise", config, LoraConfig(rank=2), size=1.0)
    replies = chat().out.split("Next:")[0]
    same = chat(lora_ckpt_path=tmp_path / "nothing")
    assert same.out.split("Next:")[0] == replies
    assert f"convert_lora_weights.py --base-ckpt-path {learned}" in same.out
    assert chat(lora_ckpt_path=tmp_path / "noise").out.split("Next:")[0] != replies


def refused(outcome: Outcome) -> str:
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.error.count("\n") == 1
    return outcome.error


def test_a_prompt_longer_than_the_limit_is_refused(chat: Chat) -> None:
    problem = refused(chat(max_seq_len=20))
    assert "dialog 1 is a prompt of" in problem
    assert "raise --max-seq-len or shorten the dialog" in problem


def test_a_foreign_tokenizer_is_refused(chat: Chat, tmp_path: Path) -> None:
    write_tiktoken_file(tmp_path / "tokenizer.model", 600)
    problem = refused(chat(tokenizer_path=tmp_path / "tokenizer.model"))
    rows = load_tokenizer(TOKENIZER).vocab_size
    assert f"has 600 tokens, and the model's embedding has {rows:,} rows" in problem


def test_the_adapter_of_another_model_is_refused(chat: Chat, learned: Path, tmp_path: Path) -> None:
    other = replace(ModelConfig.read(learned / "model"), n_layers=3)
    write_adapter(tmp_path / "lora", other, LoraConfig(rank=2))
    assert "its n_layers is 3" in refused(chat(lora_ckpt_path=tmp_path / "lora"))


def test_an_unmerged_checkpoint_is_refused_with_the_merge_command(
    chat: Chat, learned: Path, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "lora", ModelConfig.read(learned / "model"), LoraConfig(rank=2))
    assert "scripts/convert_lora_weights.py" in refused(chat(ckpt_dir=tmp_path / "lora"))


@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("ckpt_dir", "nowhere", "nowhere does not exist"),
        ("dialogs", "nowhere.json", "nowhere.json does not exist"),
        ("tokenizer_path", "nowhere.model", "nowhere.model does not exist"),
        ("chat_format", "lama3", "did you mean llama3?"),
        ("top_p", 2, "top_p is 2.0, wanted"),
    ],
)
def test_an_invalid_flag_value_is_named_in_the_error(
    chat: Chat, flag: str, value: object, problem: str
) -> None:
    assert problem in refused(chat(**{flag: value}))


def test_a_damaged_model_is_refused(chat: Chat, learned: Path, tmp_path: Path) -> None:
    shutil.copytree(learned / "model", tmp_path / "model")
    weights = tmp_path / "model" / "consolidated.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "is truncated or not a safetensors file" in refused(chat(ckpt_dir=tmp_path / "model"))
