"""What a run is refused for before training, and the one-line error."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import run_command
from small_datasets import write_dataset

import finetune
from data.split_files import Encoding, Origin, Sample
from data.tokenized import TokenizedDataset
from storage.manifest import sha256_of_file
from training.config import Config
from training.setup import build_model, find_device, open_checkpoints, open_splits

Settings = Callable[..., Config]
ErrorLine = Callable[..., str]


@pytest.fixture
def error_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> ErrorLine:
    """Return a function from settings and flags to the one line in which finetune.py refuses."""

    def line(config: Config, *flags: str) -> str:
        file = tmp_path / "run.json"
        file.write_text(config.model_dump_json())
        ended = run_command(finetune.main, ["--config-file", file, *flags], monkeypatch, capsys)
        assert (ended.code, ended.error.count("\n")) == (1, 1)
        return ended.error

    return line


def test_a_dataset_of_another_tokenizer_is_a_one_line_error(
    settings: Settings, error_line: ErrorLine
) -> None:
    config = settings()
    (Path(config.model.checkpoint_dir) / "tokenizer.model").write_bytes(b"of another model")
    error = error_line(config)
    assert "was built with another tokenizer" in error
    assert "rebuild it: python scripts/build_dataset.py" in error
    assert not config.run_dir.exists() and not config.log_dir.exists()


def test_a_missing_base_is_told_with_what_named_it(
    settings: Settings, error_line: ErrorLine, tmp_path: Path
) -> None:
    config = settings()
    shutil.rmtree(config.model.checkpoint_dir)
    start = f"error: model.checkpoint_dir is {config.model.checkpoint_dir} (from "
    rest = "), which does not exist; name yours with --model.checkpoint_dir=D "
    assert f"{start}{tmp_path / 'run.json'}{rest}" in error_line(config)
    error = error_line(config, "--model.checkpoint_dir=./absent")
    assert f"model.checkpoint_dir is ./absent (from the flag{rest}" in error


def test_tokens_added_since_the_dataset_was_built_are_refused(
    settings: Settings, shared: Path
) -> None:
    config = settings()
    base = Path(config.model.checkpoint_dir)
    pieces = shared / "tokenizers" / "mistral_sentencepiece" / "tokenizer.model.v1"
    shutil.copyfile(pieces, base / "tokenizer.model")
    samples = [
        Sample([1, 2, last], [False, True, True], split)
        for split, last in (("train", 3), ("validation", 4))
    ]
    encoding = Encoding("llama3", sha256_of_file(pieces), 384, {})
    write_dataset(config.data.dataset_dir, samples, encoding)
    assert len(open_splits(config).train) == 1
    (base / "added_tokens.json").write_text('{"<tool>": 32000}')
    with pytest.raises(ValueError, match="was built with another tokenizer"):
        open_splits(config)


def test_a_model_without_its_tokenizer_is_refused(settings: Settings) -> None:
    config = settings()
    (Path(config.model.checkpoint_dir) / "tokenizer.model").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer .*; copy the model's"):
        open_splits(config)


def test_validating_on_the_training_data_is_refused(settings: Settings) -> None:
    config = settings()
    base = Path(config.model.checkpoint_dir)
    same = [Sample([1, 2, 3], [False, True, True], split) for split in ("train", "validation")]
    encoding = Encoding("llama3", sha256_of_file(base / "tokenizer.model"), 384, {})
    write_dataset(config.data.dataset_dir, same, encoding)
    with pytest.raises(ValueError, match="train and validation hold the same conversations"):
        open_splits(config)


def test_token_ids_beyond_the_models_embedding_are_refused(settings: Settings) -> None:
    config = settings()
    rows = TokenizedDataset.open(config.data.dataset_dir, "validation")
    samples = [
        Sample(rows.tokens(i), rows.trained(i), split)
        for split, i in (("train", 0), ("validation", 1))
    ]
    larger = Encoding("llama3", rows.tokenizer_sha256, 385, {})
    write_dataset(config.data.dataset_dir, samples, larger)
    with pytest.raises(ValueError, match="has tokens up to 384, and the model's embedding 384"):
        open_splits(config)


def test_a_turn_without_a_trained_stop_token_is_refused(settings: Settings) -> None:
    config = settings()
    rows = TokenizedDataset.open(config.data.dataset_dir, "validation")
    samples = [
        Sample([1, 2, 9, 4], [False, True, True, False], "train"),
        Sample([1, 2, 3, 4], [False, True, True, False], "validation", Origin("endless")),
    ]
    encoding = Encoding("llama3", rows.tokenizer_sha256, 384, {"<|eot_id|>": 9})
    write_dataset(config.data.dataset_dir, samples, encoding)
    with pytest.raises(ValueError, match=r"validation conversation 0 \(endless\) has a train"):
        open_splits(config)


def test_a_dataset_of_pairs_is_refused_with_the_next_command(settings: Settings) -> None:
    config = settings()
    rows = TokenizedDataset.open(config.data.dataset_dir, "validation")
    samples = [
        Sample(rows.tokens(i), rows.trained(i), split)
        for split in ("train", "validation")
        for i in range(2)
    ]
    encoding = Encoding("llama3", rows.tokenizer_sha256, 384, {})
    write_dataset(config.data.dataset_dir, samples, encoding, lambda: {"group_size": 2})
    with pytest.raises(ValueError, match=r"is a dataset of pairs.*add --preference\.beta=0\.1"):
        open_splits(config)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_refused() -> None:
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="torch sees no CUDA device; use 'auto' or 'cpu'"):
        find_device("cuda")


def test_an_unwritable_checkpoint_directory_is_refused_before_training(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("mine")
    config = settings(checkpoint__output_dir=str(tmp_path / "notes"))
    with pytest.raises(PermissionError, match=r"notes/run cannot be written: .*notes is read-only"):
        open_checkpoints(config, "llama3", resume=False)


def test_triton_kernels_on_the_cpu_are_a_one_line_error(
    settings: Settings, error_line: ErrorLine
) -> None:
    error = error_line(settings(), "--training.kernels=triton")
    assert "add --training.kernels=plain" in error


def test_products_of_a_run_sum_in_float32_on_cuda(settings: Settings) -> None:
    flags = torch.backends.cuda.matmul
    flags.allow_bf16_reduced_precision_reduction = True
    flags.allow_fp16_reduced_precision_reduction = True
    build_model(settings(), torch.device("cpu"), torch.float32)
    assert flags.allow_bf16_reduced_precision_reduction is False
    assert flags.allow_fp16_reduced_precision_reduction is False
