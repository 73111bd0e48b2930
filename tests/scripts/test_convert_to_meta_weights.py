import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import Outcome, run_command
from meta_directories import (
    WIDE,
    meta_state,
    read_shards,
    write_meta_directory,
    write_tiktoken_file,
)
from native_directories import write_native
from safetensors.torch import load_file, save_file
from small_tokenizers import write_tekken, write_tokenizer_json
from tiny_models import LLAMA3_SHAPES, random_model

from model.config import read_params
from scripts.convert_to_meta_weights import main
from storage.manifest import damaged_files, read_manifest
from weights.conversion import convert_from_meta
from weights.directory import open_weights
from weights.table import bitwise_equal, unshard, weights
from weights.tokenizer_file import token_count

ROOT = Path(__file__).parents[2]
Export = Callable[..., Outcome]


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """A native directory of a model that eight shards divide, in bfloat16."""
    state = {name: x.bfloat16() for name, x in random_model(WIDE).state_dict().items()}
    write_meta_directory(tmp_path / "meta", WIDE, state)
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    return tmp_path / "native"


@pytest.fixture
def export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Export:
    """Export `native` to `export` beside it; keyword arguments add or replace flags."""

    def command(**changes: object) -> Outcome:
        flags = {
            "--config-file": tmp_path / "native" / "params.json",
            "--ckpt-file": tmp_path / "native" / "consolidated.safetensors",
            "--num-shards": 1,
            "--output-dir": tmp_path / "export",
        } | {"--" + name.replace("_", "-"): value for name, value in changes.items()}
        return run_command(main, [x for flag in flags.items() for x in flag], monkeypatch, capsys)

    return command


# What is written


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_shards_join_to_the_models_bits_in_metas_layout(
    count: int, native: Path, export: Export
) -> None:
    outcome = export(num_shards=count)
    assert (outcome.code, outcome.error) == (0, "")
    shards = read_shards(native.parent / "export")
    assert len(shards) == count
    state = open_weights(native)
    for name, row in weights(WIDE).items():
        parts = [tensors[name] for tensors in shards]
        if row.axis is None:
            assert all(bitwise_equal(part, state[name]) for part in parts)
        else:
            assert bitwise_equal(unshard(parts, row.axis), state[name])
    assert all(list(tensors) == list(weights(WIDE)) for tensors in shards)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_round_trip_is_bit_identical_file_by_file(
    count: int, native: Path, export: Export
) -> None:
    export(num_shards=count)
    convert_from_meta(native.parent / "export", native.parent / "again")
    again = native.parent / "again"
    for name in ("consolidated.safetensors", "tokenizer.model"):
        assert (again / name).read_bytes() == (native / name).read_bytes()
    assert read_params(again) == read_params(native)


def test_tensors_have_the_layout_metas_readers_want(native: Path, export: Export) -> None:
    export(num_shards=2)
    for tensors in read_shards(native.parent / "export"):
        for tensor in tensors.values():
            assert type(tensor) is torch.Tensor
            assert tensor.dtype == torch.bfloat16
            assert tensor.is_contiguous()
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_the_directory_holds_exactly_the_expected_files(native: Path, export: Export) -> None:
    export(num_shards=2)
    target = native.parent / "export"
    names = ["consolidated.00.pth", "consolidated.01.pth", "manifest.json", "params.json"]
    assert sorted(file.name for file in target.iterdir()) == [*names, "tokenizer.model"]
    assert read_manifest(target)["kind"] == "meta weights"
    assert damaged_files(target) == []
    assert zipfile.ZipFile(target / "consolidated.00.pth").testzip() is None
    assert (target / "tokenizer.model").read_bytes() == (native / "tokenizer.model").read_bytes()


def test_params_equal_those_meta_wrote(native: Path, export: Export) -> None:
    export()
    written = json.loads((native.parent / "export" / "params.json").read_text())
    assert written == json.loads((native.parent / "meta" / "params.json").read_text())


def test_a_tied_model_is_exported_with_its_output(
    tmp_path: Path, export: Export, native: Path
) -> None:
    tied = replace(WIDE, tied_embeddings=True)
    state = random_model(tied).state_dict()
    write_meta_directory(tmp_path / "tied", tied, state, 2)
    convert_from_meta(tmp_path / "tied", tmp_path / "native")
    assert export(num_shards=2).code == 0
    first, second = read_shards(tmp_path / "export"), read_shards(tmp_path / "tied")
    for ours, theirs in zip(first, second, strict=True):
        assert set(ours) == set(theirs) == set(meta_state(tied, state))
        assert all(bitwise_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_the_dtype_changes_when_asked(name: str, native: Path, export: Export) -> None:
    outcome = export(dtype=name, num_shards=2)
    assert outcome.code == 0
    assert f" {name}; read back" in outcome.out
    (first, _), state = read_shards(native.parent / "export"), open_weights(native)
    wanted = state["norm.weight"].to(getattr(torch, name))
    assert bitwise_equal(first["norm.weight"], wanted)


@pytest.mark.parametrize("name", ["consolidated.pth", "", "consolidated.safetensors"])
def test_the_checkpoint_may_be_named_in_every_known_way(
    name: str, native: Path, export: Export
) -> None:
    assert export(ckpt_file=native / name, config_file=native).code == 0


def test_the_summary_counts_and_names_the_next_command(native: Path, export: Export) -> None:
    outcome = export(num_shards=4)
    assert "4 shards in " in outcome.out
    assert "21 tensors each, 1.3 MB, bfloat16; read back and compared" in outcome.out
    assert "python convert_checkpoint.py --meta_ckpt_dir" in outcome.out


@pytest.mark.parametrize("tokenizer", ["tekken.json", "tokenizer.model.v3", "tokenizer.json"])
def test_mistrals_export_names_what_mistrals_loader_wants(
    tokenizer: str, tmp_path: Path, export: Export
) -> None:
    file = tmp_path / tokenizer
    if tokenizer == "tokenizer.model.v3":
        write_tiktoken_file(file, WIDE.vocab_size)
    elif tokenizer == "tekken.json":
        write_tekken(file)
    else:
        write_tokenizer_json(file, "smollm2")
    config = replace(WIDE, family="mistral", vocab_size=token_count(file))
    native = write_native(tmp_path / "native", config)
    if tokenizer != "tokenizer.model.v3":
        (native / "tokenizer.model").unlink()
    shutil.copy(file, native)
    outcome = export()
    assert (outcome.code, outcome.error) == (0, "")
    assert "mistral-chat " in outcome.out and "tensorrt_llm" not in outcome.out
    assert ("Mistral's own loader wants" in outcome.out) == (tokenizer == "tokenizer.json")


def test_the_script_runs_as_a_user_types_it(native: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "scripts/convert_to_meta_weights.py",
            f"--config-file={native}/params.json",
            f"--ckpt-file={native}/consolidated.pth",
            "--num-shards=2",
            f"--output-dir={native.parent}/export",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert len(read_shards(native.parent / "export")) == 2


# Bad input: one line, exit code 1, nothing left behind


def assert_refused(outcome: Outcome, native: Path, *parts: str) -> None:
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.error.startswith("error: ")
    assert outcome.error.count("\n") == 1
    for part in parts:
        assert part in outcome.error
    assert sorted(file.name for file in native.parent.iterdir()) == ["meta", "native"]


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (3, "3, wanted one of 1, 2, 4, 8 for this model; it does not divide n_kv_heads 8, n_heads"),
        (16, "16, wanted one of 1, 2, 4, 8 for this model; it does not divide n_kv_heads 8, n_"),
        (0, "0, wanted one of 1, 2, 4, 8"),
        (-2, "-2, wanted one of 1, 2, 4, 8"),
    ],
)
def test_an_indivisible_shard_count_is_refused_with_the_reason(
    count: int, reason: str, native: Path, export: Export
) -> None:
    assert_refused(export(num_shards=count), native, f"--num-shards is {reason}")


def test_another_count_is_taken_when_everything_divides(tmp_path: Path, export: Export) -> None:
    threes = replace(WIDE, dim=96, n_heads=6, n_kv_heads=3, hidden_dim=384)
    write_meta_directory(tmp_path / "meta", threes, random_model(threes).state_dict())
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    assert export(num_shards=3).code == 0
    assert len(read_shards(tmp_path / "export")) == 3


def test_missing_weights_are_named(native: Path, export: Export) -> None:
    (native / "consolidated.safetensors").unlink()
    assert_refused(export(), native, "has no consolidated.safetensors; found manifest.json")


@pytest.mark.usefixtures("trusted_files")
def test_truncated_weights_are_named(native: Path, export: Export) -> None:
    whole = (native / "consolidated.safetensors").read_bytes()
    (native / "consolidated.safetensors").write_bytes(whole[:-10])
    assert_refused(export(), native, "consolidated.safetensors", "is truncated")


def test_missing_params_are_named(native: Path, export: Export) -> None:
    (native / "params.json").unlink()
    assert_refused(export(), native, "native/params.json is missing")


def test_a_missing_tokenizer_is_named(native: Path, export: Export) -> None:
    (native / "tokenizer.model").unlink()
    assert_refused(
        export(),
        native,
        "native has no tokenizer (tokenizer.json, tokenizer.model, tekken.json); copy the model's",
    )


@pytest.mark.usefixtures("trusted_files")
def test_params_of_another_model_are_refused(native: Path, export: Export) -> None:
    params = json.loads((native / "params.json").read_text())
    (native / "params.json").write_text(json.dumps({**params, "hidden_dim": 256}))
    assert_refused(export(), native, "6 of the wrong shape (layers.0.feed_forward.w1.weight is")


@pytest.mark.usefixtures("trusted_files")
def test_a_foreign_tokenizer_is_refused(native: Path, export: Export) -> None:
    with (native / "tokenizer.model").open("a") as stream:
        stream.write("AAAA 128\n")
    assert_refused(export(), native, "tokenizer.model has 385 tokens, and the model's embedding")


def test_a_lora_checkpoint_names_the_merge(native: Path, export: Export) -> None:
    adapter = native / "adapter.safetensors"
    save_file({"layers.0.attention.wq.lora_a": torch.zeros(4, 128)}, adapter)
    for ckpt_file in (adapter, native):
        (native / "consolidated.safetensors").unlink(missing_ok=True)
        outcome = export(ckpt_file=ckpt_file)
        assert_refused(outcome, native, "holds a LoRA adapter", "scripts/convert_lora_weights.py")


def test_metas_shards_name_the_command_that_reads_them(native: Path, export: Export) -> None:
    outcome = export(ckpt_file=native.parent / "meta")
    assert_refused(outcome, native, "holds Meta's shards", "convert_from_meta_weights.py")


def test_an_unknown_dtype_is_refused(native: Path, export: Export) -> None:
    assert_refused(export(dtype="int4"), native, "--dtype is 'int4', wanted one of bfloat16,")


@pytest.mark.usefixtures("trusted_files")
def test_numbers_too_large_for_the_dtype_are_refused(native: Path, export: Export) -> None:
    state = load_file(native / "consolidated.safetensors")
    state["layers.1.feed_forward.w2.weight"][3, 5] = 1e6
    save_file(state, native / "consolidated.safetensors")
    outcome = export(dtype="float16")
    assert_refused(
        outcome, native, "layers.1.feed_forward.w2.weight has values that float16 cannot"
    )


@pytest.mark.usefixtures("trusted_files")
def test_a_model_that_metas_format_cannot_hold_is_refused(native: Path, export: Export) -> None:
    params = json.loads((native / "params.json").read_text())
    changed = {**params, "use_scaled_rope": True, "rope_scaling_factor": 16}
    (native / "params.json").write_text(json.dumps(changed))
    assert_refused(export(), native, "rope_scaling is ", "cannot be written as Meta weights")


def test_a_directory_of_another_kind_is_not_replaced(native: Path, export: Export) -> None:
    outcome = export(output_dir=native)
    assert_refused(outcome, native, "holds 'native model', and this command writes 'meta weights'")


def test_every_llama_3_shape_goes_out_and_comes_back(tmp_path: Path, export: Export) -> None:
    for name, config in LLAMA3_SHAPES.items():
        shutil.rmtree(tmp_path, ignore_errors=True)
        write_meta_directory(tmp_path / "meta", config, random_model(config).state_dict(), 2)
        convert_from_meta(tmp_path / "meta", tmp_path / "native")
        assert export(num_shards=2).code == 0, name
        first, second = read_shards(tmp_path / "meta"), read_shards(tmp_path / "export")
        for ours, theirs in zip(first, second, strict=True):
            assert all(bitwise_equal(ours[key], theirs[key]) for key in theirs)
