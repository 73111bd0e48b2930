"""Hugging Face directories that are not converted: one clear line, nothing written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Outcome, run_command
from hugging_face_models import change_config, write_hugging_face
from safetensors.torch import load_file, save_file

from model.config import ModelConfig
from scripts.convert_from_hf_weights import main

INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    write_hugging_face(path, "mistral_window", shard_size="60KB")
    return path


@pytest.fixture
def source(whole: Path, tmp_path: Path) -> Path:
    """A Mistral model in several files, to be spoiled."""
    path = tmp_path / "source"
    path.mkdir()
    for file in whole.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


@pytest.fixture
def convert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Path], Outcome]:
    def command(path: Path) -> Outcome:
        flags = ["--hf-dir", path, "--output-dir", tmp_path / "native"]
        return run_command(main, flags, monkeypatch, capsys)

    return command


def assert_refused(outcome: Outcome, target: Path, *parts: str) -> None:
    assert outcome.code == 1
    assert outcome.error.count("\n") == 1, outcome.error
    for part in parts:
        assert part in outcome.error
    assert not target.exists()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
            ("'gpt2' (GPT2LMHeadModel)", "MistralForCausalLM"),
        ),
        ({"architectures": ["MistralForSequenceClassification"]}, ("SequenceClassification",)),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, ("'yarn'", "default")),
        ({"quantization_config": {"quant_method": "gptq"}}, ("quantised (gptq)", "bfloat16")),
        ({"attention_bias": True}, ("attention_bias is True", "changes the mathematics")),
        ({"num_local_experts": 8}, ("num_local_experts is 8",)),
        ({"logits_scaling": 8.0}, ("logits_scaling is 8.0",)),
        ({"hidden_act": "gelu"}, ("hidden_act is 'gelu', wanted 'silu'",)),
        ({"hidden_size": "64"}, ("hidden_size is '64', wanted a positive whole number",)),
        ({"hidden_size": 64.0}, ("hidden_size is 64.0, wanted a positive whole number",)),
        ({"num_key_value_heads": [2]}, ("num_key_value_heads is [2], wanted",)),
        ({"rms_norm_eps": None}, ("rms_norm_eps is None, wanted a positive number",)),
        ({"tie_word_embeddings": "no"}, ("tie_word_embeddings is 'no', wanted true or false",)),
        ({"sliding_window": "8"}, ("sliding_window is '8', wanted a positive whole number",)),
        ({"partial_rotary_factor": 0.5}, ("rotary_dim is 8 of 16", "rotate whole heads")),
        ({"rope_parameters": [1]}, ("rope_scaling is [1], wanted an object",)),
        ({"rope_parameters": {"rope_theta": None}}, ("rope_theta is None, wanted",)),
        (
            {"layer_types": ["full_attention", "sliding_attention"]},
            ("layer_types has full_attention, sliding_attention",),
        ),
        (
            {"layer_types": ["full_attention"]},
            ("layer_types is ['full_attention'], wanted one kind",),
        ),
        (
            {
                "rope_parameters": {"rope_type": "default"},
                "rope_scaling": {"rope_type": "linear", "factor": 2.0},
            },
            ("rope_parameters and rope_scaling differ",),
        ),
        ({"layer_types": ["full_attention"] * 2}, ("the layers have no window, and the other",)),
        ({"layer_types": ["chunked_attention"] * 2}, ("layer_types has chunked_attention",)),
        ({"hidden_size": 128}, ("of the wrong shape", "model.embed_tokens.weight")),
        ({"num_hidden_layers": 3}, ("missing", "model.layers.2.")),
        ({"head_dim": 15}, ("head_dim is 15; rotary pairs need an even number",)),
    ],
)
def test_config_that_cannot_be_computed_is_refused(
    changes: dict[str, Any], parts: tuple[str, ...], source: Path, tmp_path: Path, convert
) -> None:
    change_config(source, **changes)
    assert_refused(convert(source), tmp_path / "native", str(source), *parts)


def test_window_in_some_layers_only_is_refused(tmp_path: Path, convert) -> None:
    write_hugging_face(tmp_path / "qwen", "qwen2_window")
    change_config(tmp_path / "qwen", max_window_layers=1, layer_types=None)
    assert_refused(convert(tmp_path / "qwen"), tmp_path / "native", "max_window_layers is 1 of 2")


def test_layer_types_decide_about_the_window(tmp_path: Path, convert) -> None:
    write_hugging_face(tmp_path / "qwen", "qwen2_window")
    mixed = ["full_attention", "sliding_attention"]
    change_config(tmp_path / "qwen", layer_types=mixed)
    assert_refused(
        convert(tmp_path / "qwen"), tmp_path / "native", "wanted full_attention in all layers"
    )
    for kind, window in (("full_attention", None), ("sliding_attention", 9)):
        change_config(tmp_path / "qwen", layer_types=[kind] * 2, max_window_layers=2)
        assert convert(tmp_path / "qwen").code == 0
        assert ModelConfig.read(tmp_path / "native").sliding_window == window


def test_long_rope_that_is_not_whole_is_refused(tmp_path: Path, convert) -> None:
    write_hugging_face(tmp_path / "phi", "phi3_128k")
    file = tmp_path / "phi" / "config.json"
    given = json.loads(file.read_text())["rope_parameters"]
    for changes, part in (
        ({"long_factor": [1.0]}, "rope_long_factor has 1 numbers, wanted 8"),
        ({"long_factor": [None] * 8}, "long_factor is None, wanted a positive number"),
        ({"short_factor": "1"}, "short_factor is '1', wanted a list of numbers"),
        ({"attention_factor": 0}, "attention_factor is 0, wanted a positive number"),
    ):
        change_config(tmp_path / "phi", rope_parameters={**given, **changes})
        assert_refused(convert(tmp_path / "phi"), tmp_path / "native", part)


def test_missing_shard_is_named(source: Path, tmp_path: Path, convert) -> None:
    shard = sorted(source.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert_refused(convert(source), tmp_path / "native", shard.name, "is missing")


def test_index_naming_a_missing_file_is_refused(source: Path, tmp_path: Path, convert) -> None:
    index = json.loads((source / INDEX).read_text())
    name = next(iter(index["weight_map"]))
    index["weight_map"][name] = "model-00009-of-00009.safetensors"
    (source / INDEX).write_text(json.dumps(index))
    assert_refused(convert(source), tmp_path / "native", "model-00009-of-00009.safetensors")


def test_index_naming_a_pickle_is_refused(source: Path, tmp_path: Path, convert) -> None:
    index = json.loads((source / INDEX).read_text())
    index["weight_map"][next(iter(index["weight_map"]))] = "pytorch_model.bin"
    (source / INDEX).write_text(json.dumps(index))
    assert_refused(convert(source), tmp_path / "native", "pytorch_model.bin", "safetensors only")


@pytest.mark.parametrize("ids", ["</s>", [1, "a"], 320, -7, True, 5.0])
def test_ids_that_are_no_tokens_are_refused(ids: object, source: Path, tmp_path, convert) -> None:
    change_config(source, eos_token_id=ids)
    assert_refused(convert(source), tmp_path / "native", "eos_token_id is", "wanted ids below 320")


@pytest.mark.parametrize("content", ["x", "[5]", '{"eos_token_id": "</s>"}'])
def test_generation_config_that_is_none_is_refused(
    content: str, source: Path, tmp_path: Path, convert
) -> None:
    (source / "generation_config.json").write_text(content)
    assert_refused(convert(source), tmp_path / "native", "generation_config.json")


def test_output_that_differs_from_a_tied_embedding_is_refused(tmp_path: Path, convert) -> None:
    write_hugging_face(tmp_path / "hf", "llama")
    change_config(tmp_path / "hf", tie_word_embeddings=True)
    outcome = convert(tmp_path / "hf")
    assert_refused(outcome, tmp_path / "native", "lm_head.weight differs", "tie_word_embeddings")


def test_tokenizer_that_cannot_be_used_is_refused(source: Path, tmp_path: Path, convert) -> None:
    file = source / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["\u0100"] = -5
    file.write_text(json.dumps(content))
    assert_refused(convert(source), tmp_path / "native", str(file))


def test_control_characters_of_a_file_do_not_reach_the_terminal(source, tmp_path, convert) -> None:
    change_config(source, architectures=["\u001b[2J"])
    outcome = convert(source)
    assert_refused(outcome, tmp_path / "native", "MistralForCausalLM")
    assert "\x1b" not in outcome.error


def test_source_inside_an_earlier_target_is_not_removed(source, tmp_path, convert) -> None:
    assert convert(source).code == 0
    inside = tmp_path / "native" / "original"
    source.rename(inside)
    outcome = convert(inside)
    assert outcome.code == 1 and "would be replaced, and original/" in outcome.error
    assert (inside / "config.json").is_file()


def test_index_that_leaves_the_directory_is_refused(source: Path, tmp_path: Path, convert) -> None:
    index = json.loads((source / INDEX).read_text())
    index["weight_map"][next(iter(index["weight_map"]))] = "../model.safetensors"
    (source / INDEX).write_text(json.dumps(index))
    assert_refused(convert(source), tmp_path / "native", "wanted a file's name without path")


def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path, convert) -> None:
    write_hugging_face(tmp_path / "hf", "llama")
    state = load_file(tmp_path / "hf" / "model.safetensors")
    (tmp_path / "hf" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "hf" / "pytorch_model.bin")
    refused = convert(tmp_path / "hf")
    assert_refused(refused, tmp_path / "native", "pytorch_model.bin", "a pickle, which can run")


def test_tokenizer_of_another_model_is_refused(source: Path, tmp_path: Path, convert) -> None:
    file = source / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["one too many"] = 320
    file.write_text(json.dumps(content))
    assert_refused(convert(source), tmp_path / "native", "has 321 tokens", "320 rows")


def test_directory_without_tokenizer_is_refused(source: Path, tmp_path: Path, convert) -> None:
    (source / "tokenizer.json").unlink()
    assert_refused(convert(source), tmp_path / "native", "has no tokenizer")


def test_quantised_tensors_are_refused(tmp_path: Path, convert) -> None:
    write_hugging_face(tmp_path / "hf", "llama")
    file = tmp_path / "hf" / "model.safetensors"
    state = load_file(file)
    save_file({**state, "model.norm.weight": state["model.norm.weight"].to(torch.int8)}, file)
    assert_refused(convert(tmp_path / "hf"), tmp_path / "native", "model.norm.weight is int8")


def test_meta_download_is_sent_to_its_own_converter(tmp_path: Path, convert) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "params.json").write_text("{}")
    assert_refused(convert(tmp_path / "meta"), tmp_path / "native", "convert_from_meta_weights.py")


def test_conversion_reports_what_it_wrote_and_what_is_next(source, tmp_path, convert) -> None:
    outcome = convert(source)
    assert (outcome.code, outcome.error) == (0, "")
    assert "mistral model to" in outcome.out and "bit for bit" in outcome.out
    assert "python chat_completion.py --ckpt-dir" in outcome.out
    assert str(tmp_path / "native" / "tokenizer.json") in outcome.out


def test_a_directory_without_weights_is_told(source: Path, tmp_path: Path, convert) -> None:
    for file in source.glob("*.safetensors*"):
        file.unlink()
    assert_refused(convert(source), tmp_path / "native", "has no model.safetensors, nor an index")
