import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from anonymous_memory import peak_bytes
from llama2c import read_llama2c, read_pieces, write_sentencepiece
from meta_directories import WIDE, params_of, read_shards, write_meta_directory
from sentencepiece import SentencePieceProcessor
from small_tokenizers import write_tokenizer_json
from tiny_models import TINY, random_model

from inference.generate import generate
from model.config import ModelConfig
from weights.conversion import (
    check_native,
    check_shard,
    convert_from_meta,
    convert_to_meta,
    require_space,
    write_checked,
)
from weights.directory import layout_of, load_model, open_weights
from weights.meta import read_meta
from weights.meta_export import open_export
from weights.table import bitwise_equal, expected_shapes

# Checking what was written


def flip_a_bit(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


@pytest.mark.usefixtures("trusted_files")
def test_a_single_wrong_bit_in_the_native_file_is_found(tmp_path: Path) -> None:
    write_meta_directory(tmp_path / "meta", TINY, random_model(TINY).state_dict(), 2)
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    file = tmp_path / "native" / "consolidated.safetensors"
    check_native(file, read_meta(tmp_path / "meta"))
    flip_a_bit(file, -1)
    with pytest.raises(OSError, match=r"output\.weight does not read back as it was written"):
        check_native(file, read_meta(tmp_path / "meta"))


@pytest.mark.usefixtures("trusted_files")
def test_a_single_wrong_bit_in_a_shard_is_found(tmp_path: Path) -> None:
    write_meta_directory(tmp_path / "meta", TINY, random_model(TINY).state_dict())
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    convert_to_meta(tmp_path / "native", tmp_path / "native", 2, tmp_path / "export")
    export = open_export(tmp_path / "native", tmp_path / "native", 2)
    file = tmp_path / "export" / "consolidated.01.pth"
    check_shard(file, export, 1)
    last = next(iter(reversed(read_shards(tmp_path / "export")[1].values())))
    flip_a_bit(file, file.read_bytes().rindex(last[-1].numpy().tobytes()))
    with pytest.raises(OSError, match=r"output\.weight does not read back as it was written"):
        check_shard(file, export, 1)


def test_a_shard_with_other_tensors_is_found(tmp_path: Path) -> None:
    write_meta_directory(tmp_path / "meta", TINY, random_model(TINY).state_dict())
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    export = open_export(tmp_path / "native", tmp_path / "native", 1)
    torch.save({"norm.weight": torch.ones(64)}, tmp_path / "other.pth")
    with pytest.raises(OSError, match="does not read back with the tensors that were written"):
        check_shard(tmp_path / "other.pth", export, 0)


def test_several_files_are_written_in_turn_and_read_back(tmp_path: Path) -> None:
    pairs = [(name, torch.rand(3)) for name in "abc"]
    layouts = {
        tmp_path / "1.safetensors": layout_of(dict(pairs[:2])),
        tmp_path / "2.safetensors": layout_of(dict(pairs[2:])),
    }
    write_checked(layouts, lambda: pairs)
    found = [pair for file in layouts for pair in open_weights(file).items()]
    assert [name for name, _ in found] == ["a", "b", "c"]
    assert all(bitwise_equal(x, y) for (_, x), (_, y) in zip(found, pairs, strict=True))


def test_a_tensor_that_differs_when_read_back_is_found(tmp_path: Path) -> None:
    pairs = [("a", torch.ones(3)), ("b", torch.zeros(3))]
    sources = iter([pairs, [("a", torch.ones(3)), ("b", -torch.zeros(3))]])
    with pytest.raises(OSError, match=r"new\.safetensors: b does not read back as it was written"):
        write_checked({tmp_path / "new.safetensors": layout_of(dict(pairs))}, lambda: next(sources))


def test_a_tensor_too_many_to_write_is_refused(tmp_path: Path) -> None:
    pairs = [("a", torch.ones(3)), ("b", torch.zeros(3))]
    layout = layout_of(dict(pairs[:1]))
    with pytest.raises(ValueError, match="found b to write, wanted nothing more"):
        write_checked({tmp_path / "new.safetensors": layout}, lambda: pairs)


def test_a_disk_without_room_is_refused_before_the_work(tmp_path: Path) -> None:
    require_space(tmp_path / "new" / "model", 1000)
    with pytest.raises(OSError, match=r"needs 1\.0 EB and its disk has .*B free"):
        require_space(tmp_path / "new" / "model", 10**18)


def test_a_foreign_tokenizer_json_beside_metas_is_refused(tmp_path: Path) -> None:
    source = write_meta_directory(tmp_path / "meta", TINY, random_model(TINY).state_dict())
    write_tokenizer_json(source / "tokenizer.json", "smollm2", TINY.vocab_size + 100)
    with pytest.raises(ValueError, match=r"meta/tokenizer\.json has 484 tokens"):
        convert_from_meta(source, tmp_path / "native")


# Llama 2


@pytest.mark.parametrize("count", [1, 2, 4])
def test_llama_2_export_cuts_the_embedding_by_columns_again(count: int, tmp_path: Path) -> None:
    state = random_model(WIDE).state_dict()
    source = write_meta_directory(tmp_path / "meta", WIDE, state, count, embedding_axis=1)
    write_sentencepiece(source / "tokenizer.model", [(f"t{n}".encode(), 0.0) for n in range(384)])
    convert_from_meta(source, tmp_path / "native")
    convert_to_meta(tmp_path / "native", tmp_path / "native", count, tmp_path / "export")
    for theirs, ours in zip(read_shards(source), read_shards(tmp_path / "export"), strict=True):
        assert all(bitwise_equal(ours[name], theirs[name]) for name in theirs)


# Memory

CONVERT = """
from weights.conversion import convert_from_meta, convert_to_meta

def convert(folder):
    convert_from_meta(folder / "meta", folder / "native")
    convert_to_meta(folder / "native", folder / "native", 2, folder / "export")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RssAnon is read from /proc")
def test_both_conversions_hold_little_more_than_one_tensor(tmp_path: Path) -> None:
    config = replace(TINY, dim=512, n_heads=8, head_dim=64, hidden_dim=1536, n_layers=6)
    for name, layers in (("small", 1), ("large", 6)):
        sized = replace(config, n_layers=layers)
        zeros = {name: torch.zeros(shape) for name, shape in expected_shapes(sized).items()}
        write_meta_directory(tmp_path / name / "meta", sized, zeros, 2)
    whole = sum(tensor.nbytes for tensor in zeros.values())
    largest = max(tensor.nbytes for tensor in zeros.values())
    peak = peak_bytes(CONVERT, tmp_path / "small", tmp_path / "large")
    assert peak < 2 * largest + 16 * 2**20 < whole / 3


# Real weights


def test_a_real_checkpoint_with_metas_keys_round_trips_bit_identically(
    shared: Path, tmp_path: Path
) -> None:
    state = torch.load(shared / "weights/tiny_meta_checkpoint/tiny_fair_checkpoint.pt")
    config = ModelConfig(
        dim=32, n_layers=2, n_heads=4, n_kv_heads=4, head_dim=8, hidden_dim=256, vocab_size=500
    )
    source = write_meta_directory(tmp_path / "meta", config, state)
    convert_from_meta(source, tmp_path / "native")
    for count in (1, 2, 4):
        convert_to_meta(tmp_path / "native", tmp_path / "native", count, tmp_path / "export")
        convert_from_meta(tmp_path / "export", tmp_path / "again")
        native = (tmp_path / "native" / "consolidated.safetensors").read_bytes()
        assert (tmp_path / "again" / "consolidated.safetensors").read_bytes() == native
    convert_to_meta(tmp_path / "native", tmp_path / "native", 1, tmp_path / "export")
    (exported,) = read_shards(tmp_path / "export")
    assert exported.keys() == state.keys()
    assert all(bitwise_equal(exported[name], state[name]) for name in state)


@pytest.mark.parametrize("count", [1, 2])
def test_stories260k_converted_as_a_meta_directory_tells_its_known_story(
    count: int, shared: Path, tmp_path: Path
) -> None:
    folder = shared / "weights" / "stories260K"
    write_stories_as_meta(folder, tmp_path / "meta", count)
    convert_from_meta(tmp_path / "meta", tmp_path / "native")
    model = load_model(tmp_path / "native")
    assert model.config.tied_embeddings
    assert model.config.rope_theta == 10000
    tokenizer = SentencePieceProcessor(model_file=str(tmp_path / "native" / "tokenizer.model"))
    tokens = generate(model, [[tokenizer.bos_id()]], stop_ids=(), max_new_tokens=200)
    story = tokenizer.decode(tokens[0])
    expected = (folder / "expected_greedy_200_steps.txt").read_text(encoding="utf-8")
    assert story == expected


def write_stories_as_meta(folder: Path, target: Path, count: int) -> None:
    """Rewrite llama2.c's files (described in the folder's SOURCE.md) as Meta would ship them."""
    config, state = read_llama2c(folder / "checkpoint_legacy.bin")
    write_meta_directory(target, config, state, count, embedding_axis=1)
    params = params_of(config)
    # Llama 2 gives neither: the converter has to know them.
    del params["rope_theta"], params["n_kv_heads"]
    params |= {"vocab_size": -1, "n_kv_heads": config.n_kv_heads}
    (target / "params.json").write_text(json.dumps(params))
    write_sentencepiece(target / "tokenizer.model", read_pieces(folder / "tokenizer.bin"))
