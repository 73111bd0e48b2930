from pathlib import Path

import pytest
import torch

from model.config import ModelConfig
from weights.meta import read_meta
from weights.random_meta import SIZES, random_tensors, write_random_meta

TOKENIZER = Path(__file__).parents[2] / "demo/base/tokenizer.model"


def test_it_is_written_as_meta_ships_a_model(tmp_path: Path):
    config = write_random_meta(tmp_path / "base", "tiny", 2, TOKENIZER)
    names = sorted(file.name for file in (tmp_path / "base").iterdir())
    assert names == [
        "consolidated.00.pth",
        "consolidated.01.pth",
        "manifest.json",
        "params.json",
        "tokenizer.model",
    ]
    model = read_meta(tmp_path / "base")
    assert model.config == config
    for name, tensor in random_tensors(config, seed=0):
        assert torch.equal(model.whole(name), tensor.bfloat16()), name


def test_the_seed_and_nothing_else_decides_the_weights(tmp_path: Path):
    def weights(name: str, seed: int) -> bytes:
        write_random_meta(tmp_path / name, "tiny", 1, TOKENIZER, "float32", seed)
        return (tmp_path / name / "consolidated.00.pth").read_bytes()

    assert weights("a", 1) == weights("b", 1) != weights("c", 2)


def test_the_large_sizes_are_those_of_the_real_models():
    vocabulary = {"vocab_size": 128256}
    eight, one = (ModelConfig.from_params({**SIZES[size], **vocabulary}) for size in ("8b", "1b"))
    assert (eight.hidden_dim, eight.head_dim) == (14336, 128)
    assert (one.hidden_dim, one.head_dim) == (8192, 64)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": "huge"}, "--size is 'huge', wanted one of tiny, 1b, 8b"),
        ({"dtype": "int8"}, "--dtype is 'int8', wanted one of bfloat16"),
        ({"num_shards": 8}, "--num-shards is 8, wanted one of 1, 2 for this model"),
        ({"tokenizer": Path("nowhere")}, "nowhere is missing; name a tokenizer.model"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_left(tmp_path: Path, changed, message):
    asked = {"size": "tiny", "num_shards": 2, "tokenizer": TOKENIZER, "dtype": "bfloat16"}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        write_random_meta(tmp_path / "base", **{**asked, **changed})
    assert not list(tmp_path.iterdir())


def test_shards_of_two_random_models_are_told_apart(tmp_path: Path):
    for seed in (0, 1):
        write_random_meta(tmp_path / str(seed), "tiny", 2, TOKENIZER, seed=seed)
    second = tmp_path / "0" / "consolidated.01.pth"
    second.write_bytes((tmp_path / "1" / "consolidated.01.pth").read_bytes())
    with pytest.raises(ValueError, match=r"consolidated.01.pth are not shards of one model"):
        read_meta(tmp_path / "0")
