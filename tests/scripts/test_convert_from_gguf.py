import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Outcome, run_command
from gguf_files import FAMILIES, GgufSource, Kind, byte_tokenizer, gguf_source
from tiny_models import TINY

from scripts.convert_from_gguf import main

Convert = Callable[..., Outcome]


@pytest.fixture
def convert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Convert:
    """Convert a file to `native` beside it."""

    def command(file: Path, *flags: str) -> Outcome:
        given = ["--gguf-file", file, "--output-dir", tmp_path / "native", *flags]
        return run_command(main, given, monkeypatch, capsys)

    return command


def test_the_summary_says_what_was_dequantised_and_the_next_command(
    tmp_path: Path, convert: Convert
) -> None:
    source = gguf_source(TINY)
    source.quantise(Kind.Q4_1)
    outcome = convert(source.write(tmp_path / "tiny.gguf"))
    assert (outcome.code, outcome.error) == (0, "")
    assert "llama model to " in outcome.out
    assert "21 tensors, 492.8 kB, float32; read back and compared bit for bit" in outcome.out
    assert "dequantised: 16 x Q4_1; what the quantisation lost stays lost" in outcome.out
    assert "(--dtype bfloat16 halves the size)" in outcome.out
    assert "python chat_completion.py --ckpt-dir" in outcome.out


def test_whole_numbers_are_not_said_to_be_dequantised(tmp_path: Path, convert: Convert) -> None:
    file = gguf_source(TINY).write(tmp_path / "tiny.gguf")
    outcome = convert(file, "--dtype", "bfloat16")
    assert "21 tensors, 246.4 kB, bfloat16" in outcome.out
    assert "dequantised" not in outcome.out


def test_an_earlier_conversion_is_replaced_and_anything_else_is_not(
    tmp_path: Path, convert: Convert
) -> None:
    file = gguf_source(TINY).write(tmp_path / "tiny.gguf")
    assert convert(file).code == convert(file).code == 0
    (tmp_path / "native/manifest.json").unlink()
    outcome = convert(file)
    assert outcome.code == 1
    assert "exists and was not written by this command" in outcome.error


# Bad input: one line, exit code 1, nothing left behind


def set_key(**changes: object) -> Callable[[GgufSource], None]:
    """Change metadata; two underscores in a name stand for a dot, None takes a key away."""

    def spoil(source: GgufSource) -> None:
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        source.metadata |= changed
        source.metadata = {k: value for k, value in source.metadata.items() if value is not None}

    return spoil


def other_architecture(source: GgufSource) -> None:
    source.architecture = "gemma2"


def drop(name: str) -> Callable[[GgufSource], object]:
    return lambda source: source.tensors.pop(name)


def add(name: str, *shape: int) -> Callable[[GgufSource], object]:
    return lambda source: source.tensors.update({name: np.ones(shape, np.float32)})


def a_type_that_is_not_read(source: GgufSource) -> None:
    source.quantise(Kind.Q5_1)


def no_bfloat16(source: GgufSource) -> None:
    source.tensors["output_norm.weight"] = np.full(64, 1e20, np.float32)


def other_stretch(source: GgufSource) -> None:
    source.tensors["rope_freqs.weight"] = np.linspace(1, 8, 8, dtype=np.float32)


def stretch_of_llama(source: GgufSource) -> None:
    name = "rope_freqs.weight"
    source.tensors[name] = gguf_source(FAMILIES["llama3_1"]).tensors[name]


BAD_INPUT: list[tuple[str, Callable[[GgufSource], object], str]] = [
    ("llama", other_architecture, "general.architecture is 'gemma2'; known are llama, qwen2"),
    ("llama", set_key(general__type="adapter"), "holds a GGUF of type 'adapter', wanted a whole"),
    ("llama", set_key(split__count=3), "is one of 3 parts; join them first"),
    ("llama", set_key(llama__expert_count=8), "llama.expert_count is 8, which may change the math"),
    ("llama", set_key(llama__logit_scale=0.5), "llama.logit_scale is 0.5, which may change"),
    ("llama", set_key(llama__attention__causal=False), "llama.attention.causal is False"),
    ("llama", set_key(llama__attention__head_count=3), "is not a multiple of head_count 3"),
    ("llama", set_key(llama__block_count=None), "block_count is None, wanted a number"),
    ("llama", set_key(llama__block_count=3), "its metadata describes: 9 missing (blk.2.attn_norm"),
    (
        "llama",
        set_key(llama__rope__scaling__type="linear"),
        "the rope scaling is 'linear'; known for LlamaForCausalLM are default, llama3",
    ),
    ("llama", set_key(llama__rope__scaling__factor=4.0), "the rope scaling is 'linear'"),
    ("qwen2", set_key(qwen2__rope__scaling__type="yarn"), "the rope scaling is 'yarn'"),
    (
        "llama",
        set_key(llama__rope__dimension_count=8),
        "llama.rope.dimension_count is 8, wanted the head's 16",
    ),
    ("llama", set_key(llama__attention__value_length=8), "value_length is 8, and keys have 16"),
    ("llama3_1", other_stretch, "rope_freqs.weight does not hold the factors of Llama 3.1 nor 3.2"),
    ("qwen2", stretch_of_llama, "the rope scaling is 'llama3'; known for Qwen2ForCausalLM"),
    (
        "qwen2",
        set_key(qwen2__attention__sliding_window=16),
        "sliding_window is 16, and the file does not say in which layers",
    ),
    ("phi4", drop("rope_factors_long.weight"), "long RoPE wants rope_factors_short.weight"),
    ("phi4", set_key(phi3__rope__scaling__factor=2.0), "rope.scaling.factor is not 1 beside"),
    (
        "llama",
        set_key(llama__rope__scaling__attn_factor=1.2),
        "rope.scaling.attn_factor is 1.2, and",
    ),
    ("llama", drop("token_embd.weight"), "has no token_embd.weight; is it a vocabulary alone?"),
    ("llama", drop("blk.1.ffn_up.weight"), "1 missing (blk.1.ffn_up.weight); fetch the file again"),
    ("llama", add("blk.0.attn_q.bias", 64), "1 left over (blk.0.attn_q.bias)"),
    ("llama", add("output_norm.weight", 65), "output_norm.weight is [65], wanted [64]"),
    ("llama", a_type_that_is_not_read, "token_embd.weight is of type Q5_1; read are F32, F16"),
    ("llama", no_bfloat16, "output_norm.weight has values that float16 cannot hold"),
    ("llama", set_key(tokenizer__ggml__model="bert"), "tokenizer.ggml.model is 'bert'; known are"),
    ("llama", set_key(tokenizer__ggml__pre="falcon"), "tokenizer.ggml.pre is 'falcon'; known are"),
    ("llama", set_key(tokenizer__ggml__tokens=None), "the file carries no tokenizer"),
    ("llama", set_key(tokenizer__ggml__token_type=[1, 2]), "384 tokens and 2 types of them"),
    ("llama", set_key(tokenizer__ggml__merges=None), "tokenizer.ggml.merges is missing"),
    ("llama", set_key(tokenizer__ggml__merges=["ab"]), "the merge 'ab' is not two tokens"),
    ("llama", set_key(tokenizer__ggml__merges=["a c"]), "wants 'ac', no token"),
    ("llama", set_key(tokenizer__ggml__bos_token_id=400), "bos_token_id is 400, and there are 384"),
    (
        "llama",
        set_key(tokenizer__ggml__tokens=["a"] * 384),
        "the token 'a' has two ids, 0 and 1",
    ),
]


@pytest.mark.parametrize(("family", "spoil", "part"), BAD_INPUT, ids=[x[2] for x in BAD_INPUT])
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    family: str,
    spoil: Callable[[GgufSource], object],
    part: str,
    tmp_path: Path,
    convert: Convert,
) -> None:
    source = gguf_source(FAMILIES[family])
    spoil(source)
    file = source.write(tmp_path / "tiny.gguf")
    refused(convert(file, *(["--dtype", "float16"] if spoil is no_bfloat16 else [])), part)
    assert list(tmp_path.iterdir()) == [file]


def refused(outcome: Outcome, part: str) -> None:
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.error.startswith("error: ")
    assert outcome.error.count("\n") == 1
    assert part in outcome.error


def test_a_tokenizer_of_another_size_is_refused(tmp_path: Path, convert: Convert) -> None:
    wide = replace(TINY, vocab_size=1024)
    source = gguf_source(wide, tokenizer=byte_tokenizer(384))
    file = source.write(tmp_path / "tiny.gguf")
    refused(convert(file), "has 384 tokens, and the model's embedding has 1,024 rows")


def test_counts_beyond_the_file_take_no_memory(tmp_path: Path, convert: Convert) -> None:
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    endless = struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 4, 2**40)
    file = tmp_path / "endless.gguf"
    file.write_bytes(header + endless)
    refused(convert(file), "is truncated or no GGUF file: it ends inside a value")


@pytest.mark.parametrize("size", [0, 10, 5_000, 100_000, -100])
def test_a_truncated_file_is_named_with_its_size(
    size: int, tmp_path: Path, convert: Convert
) -> None:
    file = gguf_source(TINY).write(tmp_path / "tiny.gguf")
    os.truncate(file, size if size >= 0 else file.stat().st_size + size)
    refused(convert(file), f"tiny.gguf ({file.stat().st_size:,} bytes) is truncated or no GGUF")


def test_a_file_for_processors_of_the_other_order_is_told(tmp_path: Path, convert: Convert) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))
    refused(convert(file), "tiny.gguf is big-endian, wanted little-endian")


def test_a_missing_file_and_a_wrong_dtype_are_named(tmp_path: Path, convert: Convert) -> None:
    refused(convert(tmp_path / "none.gguf"), "none.gguf is no file; wanted a model's .gguf file")
    file = gguf_source(TINY).write(tmp_path / "tiny.gguf")
    refused(convert(file, "--dtype", "int8"), "--dtype is 'int8', wanted one of bfloat16")
