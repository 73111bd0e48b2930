"""All sides do the same work, and a comparison that would compare something else is refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import comparison
from benchmarks.comparison import Row, build, compare
from benchmarks.measure import peak_of_process
from benchmarks.ours import Ours, prepared, random_base
from benchmarks.parity import Parity, check_parity
from benchmarks.peer import TransformersPeft
from benchmarks.prediction import card_named, method_of, predict
from benchmarks.report import Comparison, Figures, Settings, write_results
from benchmarks.sizes import METHODS, MID, PEERS, SIZES, TINY, Size
from model.config import RopeScaling
from training.planning.cards import find_card
from training.recomputation import _keep_products

SHAPES = {
    "llama3": dataclasses.replace(TINY, n_layers=2),
    "llama3_2": dataclasses.replace(
        TINY, n_layers=2, tied_embeddings=True, rope_scaling=RopeScaling(factor=32.0)
    ),
}
CASES = [
    ("llama3", "lora"),
    pytest.param("llama3_2", "lora", marks=pytest.mark.long),
    pytest.param("llama3", "qlora", marks=pytest.mark.long),
    pytest.param("llama3_2", "full", marks=pytest.mark.long),
]
ON_CPU = Settings("cpu", 1, PEERS, 2)

Sides = tuple[Ours, list[TransformersPeft]]


@pytest.fixture
def build_small(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Sides]:
    def build_sides(shape: str, method: str) -> Sides:
        if method == "qlora":
            pytest.importorskip("bitsandbytes")
        size = Size(SHAPES[shape], batch_size=6, micro_batch_tokens=1024)
        monkeypatch.setitem(SIZES, "small", size)
        ours, peers, _ = build(Row("small", method), ON_CPU)
        return ours, peers

    return build_sides


@pytest.mark.parametrize(("shape", "method"), CASES)
def test_all_sides_agree_in_gradients_and_six_steps(
    build_small: Callable[[str, str], Sides], shape: str, method: str
) -> None:
    ours, peers = build_small(shape, method)
    found = list(check_parity(ours, peers, ours.model.config))
    assert [parity.peer for parity in found] == [peer.name for peer in peers]
    for parity in found:
        assert parity.ours == pytest.approx(parity.theirs, abs=1e-5)
        assert parity.gradient_norm > 0.01
        assert parity.gradient_difference < 1e-5
        (before, _), (after_one, _), (after_five, _) = parity.losses
        assert before - 1e-3 > after_one > after_five + 1e-3
        assert all(ours == pytest.approx(theirs, abs=1e-5) for ours, theirs in parity.losses)


@pytest.mark.long
@pytest.mark.parametrize("mode", range(len(PEERS)), ids=PEERS)
def test_a_step_of_several_batches_is_the_same(
    build_small: Callable[[str, str], Sides], mode: int
) -> None:
    ours, peers = build_small("llama3", "lora")
    assert len(ours.batches.step(0)) > 1
    for side in (ours, peers[mode]):
        side.begin(torch.float32)
    for number in range(3):
        mine, theirs = ours.step(number), peers[mode].step(number)
        assert mine.tokens == theirs.tokens > 1000
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-5)
        assert mine.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-4)


def test_sides_that_compute_differently_are_refused(
    build_small: Callable[[str, str], Sides],
) -> None:
    ours, peers = build_small("llama3", "lora")
    ours.start.values["layers.1.attention.wk.lora_b"].add_(0.01)
    with pytest.raises(ValueError, match="do not compute the same, so their speeds say nothing"):
        list(check_parity(ours, peers, ours.model.config))


def test_sides_that_update_differently_are_refused(
    build_small: Callable[[str, str], Sides], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, peers = build_small("llama3", "lora")
    monkeypatch.setattr("benchmarks.ours.LEARNING_RATE", 2e-4)
    with pytest.raises(ValueError, match="after five steps losses"):
        list(check_parity(ours, peers, ours.model.config))


def test_our_side_computes_again_what_finetune_does() -> None:
    model = prepared(random_base(SHAPES["llama3"], torch.device("cpu")))
    for block in model.layers:
        assert block.forward.func is _keep_products  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["lora", pytest.param("full", marks=pytest.mark.long)])
def test_begin_rounds_what_is_frozen_and_keeps_masters_in_float32(
    build_small: Callable[[str, str], Sides], method: str
) -> None:
    ours, peers = build_small("llama3", method)
    losses = []
    for side, model in ((ours, ours.model), (peers[0], peers[0].shared.model)):
        side.begin(torch.float32)
        exact = side.step(0).loss
        side.begin(torch.bfloat16)
        parameters = list(model.parameters())
        assert {p.dtype for p in parameters if p.requires_grad} == {torch.float32}
        assert {p.dtype for p in parameters if not p.requires_grad} <= {torch.bfloat16}
        losses.append(side.step(0).loss)
        assert losses[-1] == pytest.approx(exact, abs=0.1)
        assert losses[-1] != exact
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_the_plan_stands_beside_a_known_card() -> None:
    batches = Ours(prepared(random_base(TINY, torch.device("cpu"))), SIZES["tiny"]).batches
    steps = batches.step(0)
    method = method_of(SIZES["8b"].model, "lora", torch.bfloat16)
    assert predict(method, "none", steps, None) is None
    found = predict(method, "none", steps, find_card("H200"))
    assert found and 15_000 < found.tokens_per_second < 27_000
    full = predict(method, "full", steps, find_card("H200"))
    assert full and full.tokens_per_second < found.tokens_per_second
    assert full.peak_bytes_over_base < found.peak_bytes_over_base


@pytest.mark.parametrize(
    ("name", "memory", "card"),
    [
        ("NVIDIA H200", 150e9, "H200"),
        ("NVIDIA H100 80GB HBM3", 85e9, "H100"),
        ("NVIDIA GeForce RTX 4090", 25e9, "RTX 4090"),
        ("NVIDIA A100-SXM4-40GB", 42e9, "A100-40"),
        ("NVIDIA A100-SXM4-80GB", 85e9, None),
        ("Tesla T4", 16e9, None),
    ],
)
def test_a_card_is_known_by_its_drivers_name(name: str, memory: float, card: str | None) -> None:
    found = card_named(name.split(), int(memory))
    assert (found and found.name) == card


def figures(*speeds: float, peak: int | None = 100) -> Figures:
    return Figures("side", list(speeds), 1.0, peak)


PARITY = Parity("side", 1.0, 1.0, 1.0, 0.0, [(1.0, 1.0)] * 3, [(1.0, 1.0)] * 3)


def result(ours: Figures, *peers: Figures) -> Comparison:
    settings = Settings("cpu", 1, ("padded",), 3)
    shares = 2.0, 0.5, 1000.0
    return Comparison("tiny", "lora", settings, "none", [PARITY], ours, list(peers), *shares)


def test_ratios_pair_the_steps_and_shares_come_from_the_median() -> None:
    ours, peer = figures(10, 90, 40), figures(10, 10, 10, peak=400)
    assert ours.ratios(peer) == [1, 9, 4]
    assert ours.memory_ratio(peer) == 0.25
    assert figures(1, peak=None).memory_ratio(figures(1)) is None
    record = result(ours, peer).to_record()
    assert record["peers"][0]["speed_ratio"] == 4
    assert record["ours"]["share_of_matmul_rate"] == pytest.approx(40 * 2 / 1000)
    assert record["ours"]["trained_tokens_per_second"] == 20


def test_results_name_versions_and_machine_but_not_the_host(tmp_path: Path) -> None:
    import platform

    file = tmp_path / "results" / "F.json"
    write_results(file, [result(figures(2.0), figures(1.0))] * 2, ["8b: too large"], "cpu")
    record = json.loads(file.read_text())
    assert [found["peers"][0]["speed_ratio"] for found in record["comparisons"]] == [2, 2]
    assert record["comparisons"][0]["ours"]["steps"] == [2]
    assert record["skipped"] == ["8b: too large"]
    assert {"date", "machine", "versions"} <= record.keys()
    assert {"torch", "transformers", "peft", "python"} <= record["versions"].keys()
    assert record["machine"]["processor"]
    assert platform.node() not in file.read_text() or len(platform.node()) < 3


def test_a_size_too_large_for_memory_is_refused_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    huge = dataclasses.replace(MID, dim=2**20, hidden_dim=2**20)
    monkeypatch.setitem(SIZES, "huge", Size(huge, 8, 2048))
    row = Row("huge", "lora")
    with pytest.raises(MemoryError, match=r"needs about .* GiB of memory on cpu"):
        compare(row, ON_CPU, 1.0, lambda line: None, lambda found: None)


@pytest.mark.long
def test_what_was_measured_is_kept_after_each_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "check_parity", lambda *_: iter([]))
    monkeypatch.setattr(comparison, "matmul_rate", lambda *_: 1e12)
    monkeypatch.setattr(comparison, "_peak_in_fresh_process", lambda *_: 7)
    kept: list[Comparison] = []
    settings = dataclasses.replace(ON_CPU, peers=("padded",), dtype="float32")
    found = compare(Row("tiny", "lora"), settings, 60.0, lambda line: None, kept.append)
    counts = [len(partial.ours.tokens_per_second) for partial in kept]
    assert counts == [1, 2]
    assert [len(partial.peers[0].tokens_per_second) for partial in kept] == [1, 2]
    assert kept[-1].ours.peak_bytes_over_base is None
    assert found.ours.peak_bytes_over_base == found.peers[0].peak_bytes_over_base == 7


def test_repeating_stops_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "check_parity", lambda *_: iter([]))
    monkeypatch.setattr(comparison, "matmul_rate", lambda *_: 1e12)
    monkeypatch.setattr(comparison, "_peak_in_fresh_process", lambda *_: None)
    settings = dataclasses.replace(ON_CPU, peers=(), repetitions=5, dtype="float32")
    found = compare(Row("tiny", "lora"), settings, 0.0, lambda line: None, lambda found: None)
    assert len(found.ours.tokens_per_second) == 1


def test_a_side_without_its_libraries_leaves_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_bitsandbytes(name: str) -> SimpleNamespace | None:
        return None if name == "bitsandbytes" else SimpleNamespace()

    monkeypatch.setattr(comparison, "find_spec", without_bitsandbytes)
    assert comparison.missing_libraries("qlora") == ["bitsandbytes"]
    assert comparison.missing_libraries("lora") == []
    ours, peers, _ = build(Row("tiny", "qlora"), ON_CPU)
    assert peers == []
    assert ours.step(0).tokens > 1000


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernels", ["plain", "triton"])
def test_a_comparison_on_a_gpu_measures_speed_and_memory(kernels: str, method: str) -> None:
    if kernels == "triton":
        pytest.importorskip("triton")
    settings = Settings("cuda", 1, PEERS, 2, kernels)
    found = compare(Row("tiny", method), settings, 60.0, lambda line: None, lambda found: None)
    for parity in found.parity:
        assert parity.gradient_difference < 1e-4
    for side in (found.ours, *found.peers):
        assert len(side.tokens_per_second) == 2 and side.median > 0
        assert side.peak_bytes_over_base and side.peak_bytes_over_base > 2**20
        assert found.ours.first_loss == pytest.approx(side.first_loss, abs=0.05)
    assert found.matmul_rate > 1e12


def test_memory_of_a_process_counts_what_is_freed_again() -> None:
    peak = peak_of_process(lambda: torch.ones(16 * 2**20).sum().item())
    if peak is None:
        pytest.skip("needs Linux's /proc")
    assert 60 * 2**20 < peak < 200 * 2**20
