import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import Outcome, run_command
from meta_directories import WIDE, write_meta_directory, write_tiktoken_file
from tiny_models import LLAMA3_SHAPES, TINY, random_model

from model.config import ModelConfig
from scripts.convert_from_meta_weights import main
from storage.manifest import damaged_files, read_manifest
from weights.directory import load_model, open_weights
from weights.table import bitwise_equal, expected_shapes

Convert = Callable[[Path], Outcome]


@pytest.fixture
def convert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Convert:
    """Convert a directory to `native` beside it."""

    def command(source: Path) -> Outcome:
        flags = ["--llama3-dir", source, "--output-dir", tmp_path / "native"]
        return run_command(main, flags, monkeypatch, capsys)

    return command


@pytest.fixture
def meta(tmp_path: Path) -> Path:
    """Two shards of a tiny Llama 3."""
    return write_meta_directory(tmp_path / "meta", TINY, random_model(TINY).state_dict(), 2)


# What is written


@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_a_native_directory_holds_every_bit_of_the_shards(
    shape: str, tmp_path: Path, convert: Convert
) -> None:
    config = LLAMA3_SHAPES[shape]
    state = {name: x.bfloat16() for name, x in random_model(config).state_dict().items()}
    source = write_meta_directory(tmp_path / "meta", config, state, 2)
    outcome = convert(source)
    assert outcome.code == 0, outcome.error
    assert outcome.error == ""
    native = open_weights(tmp_path / "native")
    assert list(native) == list(expected_shapes(config))
    assert all(bitwise_equal(tensor, state[name]) for name, tensor in native.items())
    assert load_model(tmp_path / "native").config == config
    copied = (tmp_path / "native" / "tokenizer.model").read_bytes()
    assert copied == (source / "tokenizer.model").read_bytes()


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_any_number_of_shards_gives_the_same_file(
    count: int, tmp_path: Path, convert: Convert
) -> None:
    state = random_model(WIDE).state_dict()
    assert convert(write_meta_directory(tmp_path / "one", WIDE, state)).code == 0
    whole = (tmp_path / "native" / "consolidated.safetensors").read_bytes()
    assert convert(write_meta_directory(tmp_path / "many", WIDE, state, count)).code == 0
    assert (tmp_path / "native" / "consolidated.safetensors").read_bytes() == whole


def test_an_embedding_cut_by_columns_is_recognised_by_its_shape(
    tmp_path: Path, convert: Convert
) -> None:
    state = random_model(WIDE).state_dict()
    convert(write_meta_directory(tmp_path / "llama2", WIDE, state, 4, embedding_axis=1))
    native = open_weights(tmp_path / "native")
    assert bitwise_equal(native["tok_embeddings.weight"], state["tok_embeddings.weight"])


@pytest.mark.parametrize("axis", [0, 1])
def test_an_output_equal_to_the_embedding_is_stored_once(
    axis: int, tmp_path: Path, convert: Convert
) -> None:
    tied = replace(WIDE, tied_embeddings=True)
    state = random_model(tied).state_dict()
    outcome = convert(write_meta_directory(tmp_path / "meta", tied, state, 2, embedding_axis=axis))
    assert (
        "output.weight equals tok_embeddings.weight bit for bit and is stored once" in outcome.out
    )
    assert "output.weight" not in open_weights(tmp_path / "native")
    assert ModelConfig.read(tmp_path / "native").tied_embeddings


def test_metas_keys_are_kept_and_the_open_ones_filled_in(tmp_path: Path, convert: Convert) -> None:
    config = LLAMA3_SHAPES["llama3_2"]
    state = random_model(config).state_dict()
    source = write_meta_directory(tmp_path / "meta", config, state, vocab_size=-1, max_seq_len=9)
    given = json.loads((source / "params.json").read_text())
    assert convert(source).code == 0
    assert json.loads((tmp_path / "native" / "params.json").read_text()) == {
        **given,
        "vocab_size": 384,
        "head_dim": 16,
        "hidden_dim": 128,
        "tied_embeddings": True,
        "rope_scaling_factor": 32.0,
    }


def test_rope_frequencies_are_left_out_by_name_and_counted(meta: Path, convert: Convert) -> None:
    for file in meta.glob("*.pth"):
        torch.save({**torch.load(file), "rope.freqs": torch.ones(8)}, file)
    outcome = convert(meta)
    assert outcome.code == 0
    assert "2 x rope.freqs left out" in outcome.out


def test_the_summary_counts_and_names_the_next_command(meta: Path, convert: Convert) -> None:
    outcome = convert(meta)
    assert "2 shards to " in outcome.out
    assert "21 tensors, 492.8 kB, float32; read back and compared" in outcome.out
    assert "python chat_completion.py --ckpt-dir" in outcome.out


def test_the_directory_carries_a_manifest_of_its_kind(
    meta: Path, tmp_path: Path, convert: Convert
) -> None:
    convert(meta)
    manifest = read_manifest(tmp_path / "native")
    assert manifest["kind"] == "native model"
    assert set(manifest["files"]) == {"consolidated.safetensors", "params.json", "tokenizer.model"}
    assert damaged_files(tmp_path / "native") == []


def test_an_earlier_conversion_is_replaced_and_anything_else_is_not(
    meta: Path, tmp_path: Path, convert: Convert
) -> None:
    assert convert(meta).code == convert(meta).code == 0
    shutil.rmtree(tmp_path / "native")
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "thesis.txt").write_text("mine")
    outcome = convert(meta)
    assert outcome.code == 1
    assert "exists and was not written by this command" in outcome.error
    assert (tmp_path / "native" / "thesis.txt").read_text() == "mine"


def test_writing_over_the_source_is_refused(
    meta: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name: file.read_bytes() for file in meta.iterdir()}
    flags = ["--llama3-dir", meta, "--output-dir", meta]
    assert run_command(main, flags, monkeypatch, capsys).code == 1
    assert {file.name: file.read_bytes() for file in meta.iterdir()} == before


# Bad input: one line, exit code 1, nothing left behind


def change_shard(directory: Path, index: int, **changes: torch.Tensor | None) -> None:
    """Replace tensors of one shard; None takes one away. Dots in names are written as two lines."""
    file = directory / f"consolidated.{index:02d}.pth"
    state = {**torch.load(file), **{name.replace("__", "."): x for name, x in changes.items()}}
    torch.save({name: x for name, x in state.items() if x is not None}, file)


def without_directory(meta: Path) -> None:
    shutil.rmtree(meta)


def without_shards(meta: Path) -> None:
    for file in meta.glob("*.pth"):
        file.unlink()


def native_already(meta: Path) -> None:
    without_shards(meta)
    (meta / "consolidated.safetensors").touch()
    params = json.loads((meta / "params.json").read_text())
    (meta / "params.json").write_text(json.dumps({**params, "tied_embeddings": False}))


def without_first_shard(meta: Path) -> None:
    (meta / "consolidated.00.pth").unlink()


def without_last_shard(meta: Path) -> None:
    (meta / "consolidated.01.pth").unlink()


def without_params(meta: Path) -> None:
    (meta / "params.json").unlink()


def without_tokenizer(meta: Path) -> None:
    (meta / "tokenizer.model").unlink()


def truncated_shard(meta: Path) -> None:
    os.truncate(meta / "consolidated.01.pth", 100_000)


def empty_shard(meta: Path) -> None:
    (meta / "consolidated.01.pth").write_bytes(b"")


def shard_of_another_fine_tune(meta: Path) -> None:
    other = random_model(TINY, seed=1).state_dict()
    source = write_meta_directory(meta.parent / "other", TINY, other, 2)
    shutil.copy(source / "consolidated.01.pth", meta)


def shard_of_another_size(meta: Path) -> None:
    wide = random_model(WIDE).state_dict()
    source = write_meta_directory(meta.parent / "other", WIDE, wide, 2)
    shutil.copy(source / "consolidated.01.pth", meta)


def shard_of_another_dtype(meta: Path) -> None:
    file = meta / "consolidated.01.pth"
    torch.save({name: x.bfloat16() for name, x in torch.load(file).items()}, file)


def tensor_in_one_shard_only(meta: Path) -> None:
    change_shard(meta, 0, layers__0__attention__wq__weight=None)


def tensor_missing_everywhere(meta: Path) -> None:
    for index in (0, 1):
        change_shard(meta, index, layers__1__ffn_norm__weight=None)


def tensor_left_over(meta: Path) -> None:
    for index in (0, 1):
        change_shard(meta, index, layers__0__attention__wq__bias=torch.zeros(32))


def tensor_of_the_wrong_shape(meta: Path) -> None:
    for index in (0, 1):
        change_shard(meta, index, layers__0__attention__wo__weight=torch.zeros(64, 31))


def params_of_another_model(meta: Path) -> None:
    params = json.loads((meta / "params.json").read_text())
    (meta / "params.json").write_text(json.dumps({**params, "n_layers": 3}))


def params_that_are_not_json(meta: Path) -> None:
    (meta / "params.json").write_text("{'dim': 64}")


def params_that_are_impossible(meta: Path) -> None:
    params = json.loads((meta / "params.json").read_text())
    (meta / "params.json").write_text(json.dumps({**params, "n_heads": 0}))


def foreign_tokenizer(meta: Path) -> None:
    write_tiktoken_file(meta / "tokenizer.model", 400)


def tokenizer_that_is_none(meta: Path) -> None:
    (meta / "tokenizer.model").write_text('{"version": "1.0", "truncation": null}')


def no_output_and_open_vocabulary(meta: Path) -> None:
    params = json.loads((meta / "params.json").read_text())
    (meta / "params.json").write_text(json.dumps({**params, "vocab_size": -1}))
    for index in (0, 1):
        change_shard(meta, index, output__weight=None)


def lora_shards(meta: Path) -> None:
    for index in (0, 1):
        change_shard(meta, index, layers__0__attention__wq__lora_a=torch.zeros(4, 64))


def within_original(meta: Path) -> None:
    (inner := meta / "original").mkdir()
    for file in [*meta.glob("*.pth"), meta / "params.json", meta / "tokenizer.model"]:
        file.rename(inner / file.name)


def empty_original(meta: Path) -> None:
    without_shards(meta)
    (meta / "original").mkdir()


def nine_shards(meta: Path) -> None:
    for index in range(2, 9):
        shutil.copy(meta / "consolidated.00.pth", meta / f"consolidated.{index:02d}.pth")


def wrapped_state(meta: Path) -> None:
    file = meta / "consolidated.00.pth"
    torch.save({"model": torch.load(file)}, file)


BAD_INPUT: list[tuple[Callable[[Path], None], list[str]]] = [
    (without_directory, ["/meta is not a directory; wanted Meta's download of a model"]),
    (without_shards, ["/meta has no consolidated.00.pth; found params.json, tokenizer.model"]),
    (within_original, ["its directory `original` has; take --llama3-dir ", "/meta/original"]),
    (empty_original, ["/meta has no consolidated.00.pth in `original`; ", "is not whole; fetch"]),
    (native_already, ["/meta is a native directory already"]),
    (without_first_shard, ["/meta has consolidated.01.pth and not consolidated.00.pth; fetch"]),
    (without_last_shard, ["/meta holds 1 of 2 shards; fetch consolidated.01.pth"]),
    (without_params, ["/meta/params.json is missing; it comes with Meta's download"]),
    (without_tokenizer, ["/meta/tokenizer.model is missing; it comes with Meta's download"]),
    (truncated_shard, ["/consolidated.01.pth (100,000 bytes) is truncated", "fetch or write it"]),
    (empty_shard, ["/consolidated.01.pth (0 bytes) is truncated"]),
    (
        shard_of_another_fine_tune,
        [
            "/consolidated.00.pth and consolidated.01.pth are not shards of one model: they "
            "disagree on layers.0.attention_norm.weight, which every shard holds whole; fetch all"
        ],
    ),
    (
        shard_of_another_size,
        ["are not shards of one model: tok_embeddings.weight is [192, 64] float32 and [192, 128]"],
    ),
    (
        shard_of_another_dtype,
        ["tok_embeddings.weight is [192, 64] float32 and [192, 64] bfloat16; fetch all shards"],
    ),
    (
        tensor_in_one_shard_only,
        ["only consolidated.01.pth holds layers.0.attention.wq.weight; fetch all shards"],
    ),
    (tensor_missing_everywhere, ["params.json describes: 1 missing (layers.1.ffn_norm.weight)"]),
    (tensor_left_over, ["1 left over (layers.0.attention.wq.bias)"]),
    (
        tensor_of_the_wrong_shape,
        ["1 of the wrong shape (layers.0.attention.wo.weight is [64, 62], wanted [64, 64])"],
    ),
    (params_of_another_model, ["9 missing (layers.2.attention_norm.weight", "and 6 more"]),
    (params_that_are_impossible, ["/meta/params.json: n_heads is 0, wanted a positive whole"]),
    (params_that_are_not_json, ["/meta/params.json is not JSON"]),
    (
        foreign_tokenizer,
        ["/tokenizer.model has 400 tokens, and the model's embedding has 384 rows; put the"],
    ),
    (tokenizer_that_is_none, ["/tokenizer.model, line 1 is b'{", "wanted a base64 token"]),
    (no_output_and_open_vocabulary, ["has no output.weight, and params.json leaves vocab_size"]),
    (lora_shards, ["holds a LoRA adapter", "python scripts/convert_lora_weights.py"]),
    (nine_shards, ["/meta has 9 shards, wanted 8 or fewer"]),
    (wrapped_state, ["/consolidated.00.pth: 'model' is of type dict, wanted a flat dictionary"]),
]


@pytest.mark.parametrize(
    ("spoil", "parts"), BAD_INPUT, ids=[spoil.__name__ for spoil, _ in BAD_INPUT]
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    spoil: Callable[[Path], None], parts: list[str], meta: Path, convert: Convert
) -> None:
    spoil(meta)
    beside = sorted(meta.parent.iterdir())
    outcome = convert(meta)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.error.startswith("error: ")
    assert outcome.error.count("\n") == 1
    for part in parts:
        assert part in outcome.error
    assert sorted(meta.parent.iterdir()) == beside
