"""The figures that --logits prints: those of the ordinary models, and what they are made of."""

from pathlib import Path

import pytest
import torch
from native_directories import write_adapter, write_native
from tiny_models import LLAMA3_SHAPES

from model.lora.config import LoraConfig
from weights.adapter import read_adapter
from weights.directory import load_model
from weights.merge import merge_checkpoint
from weights.merge_base import open_base
from weights.merge_logits import compare_logits, difference, random_probes


@pytest.mark.parametrize("shape", LLAMA3_SHAPES)
def test_the_logits_of_a_merge_differ_by_rounding_alone(shape: str, tmp_path: Path) -> None:
    config = LLAMA3_SHAPES[shape]
    write_native(tmp_path / "base", config, torch.float32)
    lora = LoraConfig(rank=4, alpha=8.0, targets=("layers.0.*.wq", "layers.0.*.wv"))
    write_adapter(tmp_path / "lora", config, lora, size=0.3)
    adapter = read_adapter(tmp_path / "lora")
    base, probes = open_base(tmp_path / "base", adapter), random_probes(config.vocab_size)
    logits = merge_checkpoint(base, adapter, tmp_path / "merged", None, probes).logits
    assert logits is not None and logits.probe_tokens == sum(map(len, probes))
    assert logits.merge.max < 1e-5
    assert logits.adapter.max > 0.1
    assert logits.merge.agreement == 1


def test_a_wrong_model_shows_in_the_logits(tmp_path: Path) -> None:
    config = next(iter(LLAMA3_SHAPES.values()))
    base = write_native(tmp_path / "base", config, torch.float32)
    write_adapter(tmp_path / "lora", config, LoraConfig(rank=4), size=0.3)
    adapter = read_adapter(tmp_path / "lora")
    found = compare_logits(
        lambda: load_model(base),
        adapter,
        lambda: load_model(base),
        random_probes(config.vocab_size),
    )
    assert found.merge.mean == pytest.approx(found.adapter.mean)
    assert found.merge.mean > 0.1


def test_difference_of_known_logits() -> None:
    first = torch.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])
    second = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.5, 0.0]])
    found = difference(first, second)
    assert found.max == 2.0
    assert found.mean == pytest.approx(2.5 / 6)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=first[1].double()),
        torch.distributions.Categorical(logits=second[1].double()),
    )
    assert found.divergence == pytest.approx(float(expected) / 2)
    assert found.agreement == 0.5
