"""What a model that answers takes, reckoned before it is loaded: beside what it then takes."""

from dataclasses import replace

import pytest
import torch
from tiny_models import FAMILY_SHAPES, LLAMA3_SHAPES, random_model

from inference.kv_cache import KVCache
from inference.memory import Memory
from model.config import ModelConfig
from model.shapes import find_shape

SHAPES = {**LLAMA3_SHAPES, **FAMILY_SHAPES}
GB = 10**9


def of_8b(rows: int = 16, positions: int = 4096, storage: str | None = None) -> Memory:
    return Memory(find_shape("8b"), rows, positions, 2, on_gpu=True, storage=storage)


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_weights_and_caches_are_the_bytes_of_their_tensors(config: ModelConfig) -> None:
    memory = Memory(config, 3, 50, 4, on_gpu=True)
    parameters = random_model(config).parameters()
    assert memory.weights == sum(parameter.numel() * 4 for parameter in parameters)
    cache = KVCache(config, 3, 50, dtype=torch.float32)
    assert memory.caches == cache.keys.nbytes + cache.values.nbytes


def test_a_cpu_keeps_a_tied_head_beside_the_embedding() -> None:
    config = LLAMA3_SHAPES["llama3_2"]
    on_gpu = Memory(config, 1, 1, 4, on_gpu=True)
    more = replace(on_gpu, on_gpu=False).weights - on_gpu.weights
    assert more == config.vocab_size * config.dim * 4


def test_8b_takes_its_known_gigabytes() -> None:
    """8,030,261,248 weights of two bytes, 128 KiB of cache a position (inference/kv_cache.py)."""
    assert of_8b().weights == 2 * 8_030_261_248
    assert of_8b().caches == 16 * 4096 * 128 * 1024
    assert of_8b(storage="nf4_double").weights == pytest.approx(5.7 * GB, rel=0.01)


@pytest.mark.parametrize("free", [12, 17, 18, 20, 24])
def test_every_flag_that_is_named_fits_and_the_next_size_does_not(free: int) -> None:
    memory = of_8b()
    with pytest.raises(ValueError, match="what fits: ") as caught:
        memory.check(free * GB)
    told = str(caught.value).partition("what fits: ")[2].partition(";")[0]
    assert told.split(", or ") == list(memory.fitting_flags(free * GB))
    for hint in told.split(", or "):
        flags = dict(zip(hint.split()[::2], hint.split()[1::2], strict=True))
        rows, positions = (
            int(flags.get("--max-batch-size", 16)), int(flags.get("--max-seq-len", 4096))
        )  # fmt: skip
        storage = flags.get("--quantization")
        assert of_8b(rows, positions, storage).total <= free * GB
        if "--max-batch-size" in flags:
            assert of_8b(rows + 1, positions, storage).total > free * GB
        if "--max-seq-len" in flags:
            assert of_8b(rows, positions + 1, storage).total > free * GB


def test_what_fits_or_is_wanted_anyway_is_not_refused() -> None:
    of_8b().check(40 * GB)
    of_8b().check(GB, anyway=True)
    with pytest.raises(ValueError, match=r"no batch fits beside the weights; or .*--fit-anyway"):
        of_8b().check(GB)
