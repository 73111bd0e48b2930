import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_files import FAMILIES, GgufSource, Kind, gguf, gguf_source
from tiny_models import TINY, random_model

from model.attention import Documents
from model.config import ModelConfig
from model.transformer import Transformer
from storage.manifest import damaged_files, read_manifest
from weights.directory import load_model, open_weights
from weights.gguf.conversion import convert_from_gguf
from weights.hugging_face.names import from_hugging_face, to_hugging_face
from weights.table import bitwise_equal, expected_shapes

TOKENS = torch.randint(0, 384, (40,), generator=torch.Generator().manual_seed(3))


def logits(model: Transformer, length: int = 40) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS[:length], torch.arange(length), Documents([0, length]))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_in_with_equal_config_and_logits(family: str, tmp_path: Path) -> None:
    config = FAMILIES[family]
    original = random_model(config)
    source = gguf_source(config, original.state_dict())
    convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    model = load_model(tmp_path / "native")
    assert model.config == config
    assert torch.equal(logits(model), logits(original))


# What Transformers' own reader of GGUF understands: it takes Qwen3's size of a head for granted.
READ_BY_TRANSFORMERS = {name: FAMILIES[name] for name in ("llama", "mistral", "qwen2", "phi3")} | {
    "qwen3": replace(FAMILIES["qwen3"], head_dim=128)
}


@pytest.mark.long
@pytest.mark.parametrize("family", READ_BY_TRANSFORMERS)
def test_logits_are_those_of_transformers_own_reading(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    source = gguf_source(READ_BY_TRANSFORMERS[family])
    source.metadata["tokenizer.ggml.padding_token_id"] = 258
    convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    ours = logits(load_model(tmp_path / "native"), 8)
    with torch.no_grad():
        assert (theirs(TOKENS[None, :8]).logits[0] - ours).abs().max() < 1e-4


@pytest.mark.parametrize("family", ["llama", "qwen2", "phi4"])
@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q4_0, Kind.Q4_1])
def test_quantised_matrices_become_the_numbers_of_the_library(
    family: str, kind: int, tmp_path: Path
) -> None:
    config = FAMILIES[family]
    source = gguf_source(config)
    source.quantise(kind)
    expected = gguf_source(config)
    expected.tensors |= {name: source.stored(name) for name in source.kinds}
    found = convert_from_gguf(source.write(tmp_path / "small.gguf"), tmp_path / "native")
    convert_from_gguf(expected.write(tmp_path / "whole.gguf"), tmp_path / "expected")
    assert same_weights(tmp_path / "native", tmp_path / "expected")
    assert found.quantised == {kind.name: len(source.kinds)}
    assert found.written.dtypes == ("float32",)


def same_weights(one: Path, other: Path) -> bool:
    tensors, others = open_weights(one), open_weights(other)
    return list(tensors) == list(others) and all(
        bitwise_equal(tensors[name], others[name]) for name in others
    )


def k_quantised(rows: int, columns: int, kind: int) -> np.ndarray:
    """Return random blocks of a type that the library reads and does not write."""
    random = np.random.default_rng(0)
    size, scales = {Kind.Q4_K: (144, (0, 2)), Kind.Q6_K: (210, (208,))}[kind]
    blocks = random.integers(0, 256, (rows * columns // 256, size), dtype=np.uint8)
    for place in scales:
        blocks[:, place : place + 2] = np.float16(0.001).reshape(1).view(np.uint8)
    return blocks.reshape(rows, -1)


@pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q6_K])
def test_k_quants_become_the_numbers_of_the_library(kind: int, tmp_path: Path) -> None:
    config = replace(TINY, dim=256, head_dim=64, n_layers=1)
    source = gguf_source(config)
    name = "blk.0.ffn_gate.weight"
    source.tensors[name] = k_quantised(128, 256, kind)
    source.kinds[name] = kind
    convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    written = open_weights(tmp_path / "native")["layers.0.feed_forward.w1.weight"]
    assert torch.equal(written, torch.from_numpy(gguf.dequantize(source.tensors[name], kind)))


@pytest.mark.parametrize(("kind", "name"), [(Kind.F16, "float16"), (Kind.BF16, "bfloat16")])
def test_half_precision_is_kept_where_every_tensor_fits(
    kind: int, name: str, tmp_path: Path
) -> None:
    dtype = getattr(torch, name)
    model = random_model(FAMILIES["qwen2"]).to(dtype)
    source = gguf_source(FAMILIES["qwen2"], model.float().state_dict())
    source.quantise(kind)
    found = convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    written = open_weights(tmp_path / "native")
    expected = model.to(dtype).state_dict()
    assert all(bitwise_equal(written[name], expected[name]) for name in written)
    assert (found.written.dtypes, found.quantised) == ((name,), {})


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16])
def test_float32_is_taken_where_a_vector_would_lose_digits(kind: int, tmp_path: Path) -> None:
    source = gguf_source(TINY)
    source.quantise(kind)
    found = convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    assert found.written.dtypes == ("float32",)
    norm = open_weights(tmp_path / "native")["norm.weight"]
    assert torch.equal(norm, torch.from_numpy(source.tensors["output_norm.weight"]))


def test_a_dtype_that_is_asked_for_holds_every_tensor(tmp_path: Path) -> None:
    source = gguf_source(TINY)
    source.quantise(Kind.Q8_0)
    file = source.write(tmp_path / "tiny.gguf")
    convert_from_gguf(file, tmp_path / "whole")
    found = convert_from_gguf(file, tmp_path / "half", "bfloat16")
    whole, half = open_weights(tmp_path / "whole"), open_weights(tmp_path / "half")
    assert all(bitwise_equal(half[name], whole[name].bfloat16()) for name in whole)
    assert found.written.dtypes == ("bfloat16",)


def test_a_tensor_larger_than_one_chunk_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weights.gguf.reading._CHUNK", 1000)
    source = gguf_source(FAMILIES["phi3"])
    source.quantise(Kind.Q8_0)
    state = {name: torch.from_numpy(x) for name, x in hugging_face_state(source).items()}
    convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    expected = dict(from_hugging_face(FAMILIES["phi3"], state))
    written = open_weights(tmp_path / "native")
    assert all(bitwise_equal(written[name], expected[name]) for name in expected)


def hugging_face_state(source: GgufSource) -> dict[str, np.ndarray]:
    """Return the stored numbers by Hugging Face's names, which come in the file's own order."""
    config = FAMILIES["phi3"]
    names = [name for name, _ in to_hugging_face(config, random_model(config).state_dict())]
    return {name: source.stored(ours) for name, ours in zip(names, source.tensors, strict=True)}


def test_a_mistral_without_a_window_is_told_by_its_name(tmp_path: Path) -> None:
    config = replace(FAMILIES["mistral"], sliding_window=None, rope_theta=10000.0)
    source = gguf_source(config)
    source.metadata["general.name"] = "Mistral 7B Instruct v0.1"
    found = convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    assert ModelConfig.read(tmp_path / "native") == config
    assert "Mistral 7B v0.1 has one of 4,096 tokens" in found.notes[0]


def test_an_unusual_attention_factor_of_long_rope_is_kept(tmp_path: Path) -> None:
    config = FAMILIES["phi3_long"]
    changed = replace(config, rope_scaling=replace(config.rope_scaling, attention_factor=1.5))
    source = gguf_source(changed)
    convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    assert ModelConfig.read(tmp_path / "native") == changed


def test_the_directory_has_tokenizer_stops_template_and_manifest(tmp_path: Path) -> None:
    source = gguf_source(TINY)
    source.metadata |= {
        "tokenizer.ggml.eot_token_id": 259,
        "tokenizer.ggml.padding_token_id": 260,
        "tokenizer.chat_template": "{{ messages }}",
    }
    convert_from_gguf(source.write(tmp_path / "tiny.gguf"), tmp_path / "native")
    generation = json.loads((tmp_path / "native/generation_config.json").read_text())
    assert generation == {"bos_token_id": 257, "eos_token_id": [258, 259], "pad_token_id": 260}
    assert (tmp_path / "native/chat_template.jinja").read_text() == "{{ messages }}"
    manifest = read_manifest(tmp_path / "native")
    assert manifest["kind"] == "native model"
    assert "tokenizer.json" in manifest["files"]
    assert damaged_files(tmp_path / "native") == []


MEASURE = """
import sys, threading
from pathlib import Path
from weights.gguf.conversion import convert_from_gguf

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        seen.append(anonymous())

folder = Path(sys.argv[1])
seen, done = [anonymous()], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
convert_from_gguf(folder / "wide.gguf", folder / "native")
done.set()
watcher.join()
print(max(seen) - seen[0])
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is read from /proc")
def test_conversion_holds_no_more_than_two_tensors(tmp_path: Path) -> None:
    config = replace(TINY, dim=1024, head_dim=256, hidden_dim=8192, n_layers=2)
    state = {name: torch.zeros(shape) for name, shape in expected_shapes(config).items()}
    source = gguf_source(config, state)
    for name, tensor in source.tensors.items():
        if tensor.ndim == 2:
            source.kinds[name] = Kind.Q8_0
            source.tensors[name] = np.zeros((len(tensor), tensor.shape[1] // 32 * 34), np.uint8)
    source.write(tmp_path / "wide.gguf")
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True
    )
    tensor = 4 * config.dim * config.hidden_dim
    # All of them together are seven times that; what is imported meanwhile is in the spare part.
    assert int(measured.stdout) < 2 * tensor + 70_000_000
