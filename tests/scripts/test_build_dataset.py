"""scripts/build_dataset.py as a user types it, on real rows and with the real tokenizer."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from data.cleaning.clean_file import clean_file
from data.tokenized import TokenizedDataset, read_description
from scripts.build_dataset import left_out, share_missed
from training.dataset_command import training_commands
from weights.chat_record import write_chat_record

ROOT = Path(__file__).parents[2]
EN = "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json"


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "scripts" / "build_dataset.py"), *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True, cwd=ROOT, timeout=60)


@pytest.fixture
def cleaned(shared: Path, tmp_path: Path) -> Path:
    clean_file(shared / EN, tmp_path / "cleaned.json")
    return tmp_path / "cleaned.json"


def test_real_rows_become_a_dataset_to_train_on(
    shared: Path, cleaned: Path, tmp_path: Path
) -> None:
    flags = ("--source-file", cleaned, "--save-dir", tmp_path / "dataset")
    done = command(*flags, "--tokenizer-file", shared / "tokenizers/llama3/tokenizer.model")
    assert (done.returncode, done.stderr) == (0, "")
    train = TokenizedDataset.open(tmp_path / "dataset", "train")
    validation = TokenizedDataset.open(tmp_path / "dataset", "validation")
    assert len(train) + len(validation) == 140 and 10 <= len(validation) <= 35
    assert train.vocab_size == 128256 and train.fingerprint != validation.fingerprint
    assert train.tokens(0)[0] == train.special_tokens["<|begin_of_text|>"] == 128000
    for index in range(len(train)):
        assert train.tokens(index)[-1] == 128009 and train.trained(index)[-1]
    assert "Chat format: llama3, by default; --chat-format names another\n" in done.stdout
    assert "warning" not in done.stdout
    for text in (f"{train.total_tokens:,}", f"{len(validation)}", "trained", "finetune.py"):
        assert text in done.stdout


def test_the_next_command_names_the_tokenizers_model_shell_quoted(
    shared: Path, cleaned: Path, tmp_path: Path
) -> None:
    model = tmp_path / "my model"
    model.mkdir()
    shutil.copy(shared / "tokenizers/llama3/tokenizer.model", model)
    (model / "params.json").write_text("{}")
    dataset = tmp_path / "my dataset"
    done = command(
        "--source-file",
        cleaned,
        "--save-dir",
        dataset,
        "--tokenizer-file",
        model / "tokenizer.model",
    )
    wanted = [
        "python",
        "finetune.py",
        f"--data.dataset_dir={dataset}",
        f"--model.checkpoint_dir={model}",
    ]
    assert shlex.split(done.stdout.splitlines()[-1]) == wanted
    # Looking at the dataset ends in the same command; one that older versions wrote names no model.
    script = [sys.executable, "scripts/inspect_dataset.py", f"--dataset-dir={dataset}", "--index=0"]
    looked = subprocess.run(script, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert shlex.split(looked.stdout.splitlines()[-1]) == wanted
    description = read_description(dataset)
    del description["tokenizer_file"]
    (typed,) = training_commands(dataset, description)
    assert shlex.split(typed) == wanted[:-1]


def test_a_dataset_built_beside_shards_of_meta_is_followed_by_their_conversion(
    tmp_path: Path,
) -> None:
    model = tmp_path / "original"
    model.mkdir()
    (model / "consolidated.00.pth").touch()
    description = {"tokenizer_file": str(model / "tokenizer.model"), "chat_format": "llama3"}
    convert, train = training_commands("mine", description)
    assert convert.endswith(f"--llama3-dir {model} --output-dir {model}-native")
    assert (
        train == f"python finetune.py --data.dataset_dir=mine --model.checkpoint_dir={model}-native"
    )
    (tmp_path / "original-native").mkdir()
    (tmp_path / "original-native/params.json").write_text("{}")
    assert training_commands("mine", description) == [train]


def test_tokens_that_the_model_does_not_know_are_named_with_their_flag(
    shared: Path, cleaned: Path, tmp_path: Path
) -> None:
    shutil.copy(shared / "tokenizers/llama3/tokenizer.model", tmp_path)
    embedding = torch.randn(128256, 8, generator=torch.Generator().manual_seed(0))
    embedding[[128006, 128009]] = 0
    save_file({"tok_embeddings.weight": embedding}, tmp_path / "consolidated.safetensors")
    flags = ("--source-file", cleaned, "--save-dir", tmp_path / "dataset")
    done = command(*flags, "--tokenizer-file", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "look untrained: <|start_header_id|> (128006), <|eot_id|> (128009);" in done.stdout
    assert "add '--lora.token_rows=[128006,128009]' to" in done.stdout


def test_an_overlong_conversation_is_refused_and_nothing_is_written(
    shared: Path, cleaned: Path, tmp_path: Path
) -> None:
    flags = ("--source-file", cleaned, "--save-dir", tmp_path / "dataset", "--max-seq-len=900")
    done = command(*flags, "--tokenizer-file", shared / "tokenizers/llama3/tokenizer.model")
    assert done.returncode == 1 and done.stdout == ""
    assert "conversations are longer than --max-seq-len 900, the longest, sharegpt-" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "dataset").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_missing_tokenizer_is_one_line(cleaned: Path, tmp_path: Path) -> None:
    flags = ("--source-file", cleaned, "--save-dir", tmp_path / "dataset")
    done = command(*flags, "--tokenizer-file", tmp_path / "nowhere.model")
    assert done.returncode == 1
    assert "nowhere.model" in done.stderr and done.stderr.count("\n") == 1


def test_every_flag_has_a_sentence_of_help() -> None:
    done = command("--help")
    assert done.returncode == 0
    for words in ("--val-ratio", "--skip-overlong", "a conversation may have"):
        assert words in done.stdout + done.stderr


def test_reasons_for_what_cannot_be_written_are_counted_together(
    shared: Path, cleaned: Path, tmp_path: Path
) -> None:
    flags = ("--source-file", cleaned, "--save-dir", tmp_path / "dataset")
    tokenizer = shared / "tokenizers/mistral_sentencepiece/tokenizer.model.v1"
    done = command(*flags, "--tokenizer-file", tokenizer, "--chat-format", "mistral_v1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Chat format:" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if "that mistral_v1 cannot write" in line]
    assert lines and len(lines) == len({line.partition(": ")[2] for line in lines})
    assert not any("messages[" in line for line in lines)
    assert any(": tools are offered, and mistral_v1 has no calls; " in line for line in lines)


@pytest.mark.parametrize(
    ("train", "validation", "ratio", "told"),
    [
        (4, 8, 0.4, "4 conversations train and 8 validate, 67% where --val-ratio asks for 40%: "),
        (29, 1, 0.15, "29 conversations train and 1 validate, 3% where --val-ratio asks for 15%: "),
        (6, 6, 0.4, ""),
        (850, 150, 0.15, ""),
    ],
)
def test_a_share_that_few_rows_miss_is_told(
    train: int, validation: int, ratio: float, told: str
) -> None:
    found = share_missed({"train": train, "validation": validation}, ratio)
    assert found.startswith(told) if told else found == ""


def test_few_rows_warn_and_the_models_chat_format_is_named(
    shared: Path, cleaned: Path, tmp_path: Path
) -> None:
    rows = cleaned.read_text(encoding="utf-8").splitlines(keepends=True)[:12]
    (tmp_path / "few.json").write_text("".join(rows), encoding="utf-8")
    shutil.copy(shared / "tokenizers/llama3/tokenizer.model", tmp_path)
    write_chat_record(tmp_path, "llama3")
    flags = ("--source-file", tmp_path / "few.json", "--save-dir", tmp_path / "dataset")
    done = command(*flags, "--tokenizer-file", tmp_path, "--val-ratio", "0.15")
    assert (done.returncode, done.stderr) == (0, "")
    told = "warning: 6 conversations train and 6 validate, 50% where --val-ratio asks for 15%: "
    assert told in done.stdout
    assert f"Chat format: llama3, as {tmp_path / 'chat_format.json'} says\n" in done.stdout


def test_what_is_left_out_is_counted_beyond_what_is_named() -> None:
    rejected = {"overlong": [{}, {}], "untrained": ["a"], "unwritable": []}
    description = {
        "rejected": rejected,
        "repaired": {"tools_dropped": [{}]},
        "not_named": {"overlong": 3, "untrained": 0, "unwritable": 0, "tools_dropped": 4},
    }
    assert list(left_out(description, "llama3")) == [
        "Left out as overlong: 5, the first 2 listed in dataset.json",
        "Left out as untrained: 1, listed in dataset.json",
        "Lost tools that are never called, to fit: 5 conversations",
    ]
