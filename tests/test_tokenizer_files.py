"""A model whose tokenizer is no tokenizer.model: every step carries what it has and names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Outcome, run_command
from native_directories import write_native
from speaking_model import TOKENIZER
from tiny_models import TINY
from tiny_runs import settings_over, train_natively

pytest.importorskip("pydantic")
from chat.conversation import Conversation, Message
from chat.tokenizers import tokenizer as chat_side
from chat.tokenizers.ranks import TiktokenTokenizer
from chat.tokenizers.tokenizer import load_tokenizer
from chat.tokenizers.written import write_hugging_face_tokenizer
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from data.inspection.statistics import open_tokenizer
from data.tokenized import TokenizedDataset
from inference.generate import Decoding, generate
from inference.loading import Source, load_chat_model
from model.config import ModelConfig
from scripts import (
    consolidate_checkpoint,
    convert_lora_weights,
    convert_to_hf_weights,
    convert_to_meta_weights,
)
from training.ending import say_what_is_next
from weights import tokenizer_file

PADDING = 30
# What Hugging Face's directories hold beside a vocabulary.
FILES = {"tokenizer.json", "tokenizer_config.json"}
Command = Callable[..., Outcome]


def conversations(count: int = 40) -> list[Conversation]:
    return [
        Conversation(
            (
                Message("user", f"Is {number} odd?"),
                Message("assistant", "Yes." if number % 2 else "No."),
            ),
            id=str(number),
            sha256=f"{number:064x}",
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A padded base with a tokenizer.json, a dataset made with it, and a LoRA run over both."""
    place = tmp_path_factory.mktemp("workspace")
    ranks = load_tokenizer(TOKENIZER)
    assert isinstance(ranks, TiktokenTokenizer)
    config = ModelConfig(**{**TINY.__dict__, "vocab_size": ranks.vocab_size + PADDING})
    base = write_native(place / "base", config)
    (base / "tokenizer.model").unlink()
    write_hugging_face_tokenizer(ranks, base)
    write_conversations(place / "rows.json", conversations())
    build_dataset(place / "rows.json", base, place / "dataset", Settings(val_ratio=0.3))
    make = settings_over(base, place / "dataset", place)
    train_natively(make(training__max_steps=2, checkpoint__every=2))
    return place


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(main: Callable[..., None], **flags: Any) -> Outcome:
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        return run_command(main, [*arguments], monkeypatch, capsys)

    return call


def tokenizer_names(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir() if file.name.startswith("tokenizer")}


def test_chat_and_weights_choose_the_same_file_of_a_directory() -> None:
    assert chat_side.TOKENIZER_FILES == tokenizer_file.TOKENIZER_FILES


def test_tokenizer_json_is_preferred_to_tokenizer_model(workspace: Path, tmp_path: Path) -> None:
    shutil.copy(TOKENIZER, tmp_path / "tokenizer.model")
    assert load_tokenizer(tmp_path).path.name == "tokenizer.model"
    shutil.copy(workspace / "base" / "tokenizer.json", tmp_path)
    assert load_tokenizer(tmp_path).path.name == "tokenizer.json"
    assert tokenizer_file.find_tokenizer(tmp_path).name == "tokenizer.json"


def test_a_dataset_carries_its_tokenizer_under_its_own_name(workspace: Path) -> None:
    dataset = TokenizedDataset.open(workspace / "dataset", "train")
    assert tokenizer_names(workspace / "dataset") == {"tokenizer.json"}
    text = open_tokenizer(dataset).decode(dataset.tokens(0).tolist())
    assert text.startswith("<|begin_of_text|><|start_header_id|>user") and " odd?" in text


def test_every_checkpoint_carries_the_tokenizer_files(workspace: Path) -> None:
    run = workspace / "checkpoints" / "run"
    for name in ("best", "final", "step-000002"):
        assert tokenizer_names(run / name) == FILES


def test_training_names_the_tokenizer_that_is_there(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = settings_over(workspace / "base", workspace / "dataset", workspace)
    config = make(name="whole", lora=None, training__max_steps=1, checkpoint__every=1)
    train_natively(config)
    say_what_is_next(config)
    assert "whole/best/tokenizer.json" in capsys.readouterr().out
    shutil.rmtree(config.run_dir / "best")
    say_what_is_next(config)
    assert "whole/final/tokenizer.json" in capsys.readouterr().out


def test_consolidation_and_merge_carry_the_tokenizer_files(
    workspace: Path, tmp_path: Path, command: Command
) -> None:
    run, alone = workspace / "checkpoints" / "run", tmp_path / "alone"
    outcome = command(consolidate_checkpoint.main, checkpoint_dir=run, output_dir=alone)
    assert (outcome.code, tokenizer_names(alone)) == (0, FILES)
    outcome = command(
        convert_lora_weights.main,
        base_ckpt_path=workspace / "base",
        lora_ckpt_path=alone,
        output_dir=tmp_path / "merged",
        logits=True,
    )
    assert (outcome.code, tokenizer_names(tmp_path / "merged")) == (0, FILES)
    assert "merged/tokenizer.json" in outcome.out


def test_the_padding_of_a_vocabulary_is_never_said(workspace: Path) -> None:
    adapter = str(workspace / "checkpoints" / "run" / "final")
    chat_model = load_chat_model(Source(str(workspace / "base"), adapter))
    size = chat_model.tokenizer.vocab_size
    assert chat_model.model.config.vocab_size == size + PADDING
    with torch.no_grad():
        chat_model.model.output.weight[size:] *= 20
    asked = [Conversation((Message("user", f"Is {number} odd?"),)) for number in range(4)]
    prompts = [chat_model.prompt(conversation) for conversation in asked]
    how = {"stop_ids": (), "max_new_tokens": 40, "temperature": 1.5}
    free = generate(chat_model.model, prompts, **how)
    assert any(token >= size for reply in free for token in reply)
    # Reading a padding id would raise.
    assert len(list(chat_model.answers(asked, Decoding(**how)))) == 4


def test_metas_layout_carries_the_tokenizer_files(
    workspace: Path, tmp_path: Path, command: Command
) -> None:
    base = workspace / "base"
    outcome = command(
        convert_to_meta_weights.main,
        config_file=base / "params.json",
        ckpt_file=base / "consolidated.safetensors",
        output_dir=tmp_path / "meta",
        num_shards=1,
    )
    assert (outcome.code, tokenizer_names(tmp_path / "meta")) == (0, FILES)


class TestExportToHuggingFace:
    @pytest.fixture
    def native(self, tmp_path: Path) -> Path:
        """A native directory as made from Meta's: with ranks alone."""
        config = ModelConfig(
            **{**TINY.__dict__, "vocab_size": load_tokenizer(TOKENIZER).vocab_size}
        )
        native = write_native(tmp_path / "native", config)
        shutil.copyfile(TOKENIZER, native / "tokenizer.model")
        return native

    def test_ranks_are_written_as_tokenizer_json(
        self, native: Path, tmp_path: Path, command: Command
    ) -> None:
        (native / "chat_format.json").write_text('{"name": "llama3"}')
        target = tmp_path / "hf"
        outcome = command(convert_to_hf_weights.main, ckpt_dir=native, output_dir=target)
        assert outcome.code == 0, outcome.error
        assert tokenizer_names(target) == {*FILES, "tokenizer.model"}
        settings = json.loads((target / "tokenizer_config.json").read_text())
        assert (settings["bos_token"], settings["eos_token"]) == ("<|begin_of_text|>", "<|eot_id|>")
        read, source = load_tokenizer(target), load_tokenizer(native)
        assert read.special_tokens == source.special_tokens
        assert read.encode("Is it odd?") == source.encode("Is it odd?")

    def test_ranks_beside_scaled_rope_get_llama_3_1s_names(
        self, native: Path, tmp_path: Path, command: Command
    ) -> None:
        params = json.loads((native / "params.json").read_text())
        params |= {"use_scaled_rope": True, "rope_scaling_factor": 8.0}
        (native / "params.json").write_text(json.dumps(params))
        target = tmp_path / "hf"
        assert command(convert_to_hf_weights.main, ckpt_dir=native, output_dir=target).code == 0
        assert "<|python_tag|>" in load_tokenizer(target).special_tokens

    def test_a_tokenizer_json_stays_as_it_came(
        self, workspace: Path, tmp_path: Path, command: Command
    ) -> None:
        base, target = workspace / "base", tmp_path / "hf"
        assert command(convert_to_hf_weights.main, ckpt_dir=base, output_dir=target).code == 0
        for name in FILES:
            assert (target / name).read_bytes() == (base / name).read_bytes()

    def test_pieces_that_cannot_be_written_leave_nothing_behind(
        self, shared: Path, tmp_path: Path, command: Command
    ) -> None:
        config = ModelConfig(**{**TINY.__dict__, "vocab_size": 2000})
        native = write_native(tmp_path / "native", config)
        shutil.copyfile(shared / "tokenizers/tiny_test_assets/m.model", native / "tokenizer.model")
        outcome = command(convert_to_hf_weights.main, ckpt_dir=native, output_dir=tmp_path / "hf")
        assert (outcome.code, outcome.error.count("\n")) == (1, 1)
        assert "cannot be written as tokenizer.json" in outcome.error
        assert not (tmp_path / "hf").exists()
