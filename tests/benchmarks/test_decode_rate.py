"""The measurement of decoding alone: what it counts, and that it runs."""

import json
import sys
from pathlib import Path

import pytest
from tiny_models import TINY

from benchmarks import decode_rate
from model.transformer import Transformer


def test_bytes_of_a_pass_are_the_weights_and_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_rate, "NEW_TOKENS", 4)
    model = Transformer(TINY)
    weights = sum(parameter.numel() for parameter in model.parameters())
    weights -= model.tok_embeddings.weight.numel() + model.norm.weight.numel()
    position = 2 * TINY.n_layers * TINY.n_kv_heads * TINY.head_dim
    # Behind the prompt and two passes more, the four timed ones attend to so many positions.
    positions = sum(range(303, 307)) / 4
    found = decode_rate.bytes_of_a_pass(TINY, batch=3)
    assert found == pytest.approx(2 * (weights + 3 * position * positions))


def test_both_kinds_of_passes_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_rate, "NEW_TOKENS", 3)
    monkeypatch.setattr(decode_rate, "PROMPT", 20)
    monkeypatch.setattr(decode_rate, "copy_rate", lambda device: 1e9)
    file = tmp_path / "out.json"
    flags = ["--size", "tiny", "--batches", "1,3", "--device", "cpu", "--repetitions", "1"]
    monkeypatch.setattr(sys, "argv", ["decode_rate.py", *flags, "--json-file", str(file)])
    decode_rate.main()
    found = json.loads(file.read_text())["results"]
    assert [(one["batch"], one["passes"]) for one in found] == [
        (batch, passes) for batch in (1, 3) for passes in ("as they come", "recorded")
    ]
    assert all(one["tokens_per_second"] > 0 and one["share_of_bandwidth"] > 0 for one in found)
