"""Both sides do the same work, and a comparison that would compare something else is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from benchmarks import comparison
from benchmarks.comparison import build, check_parity, compare
from benchmarks.measure import peak_of_process
from benchmarks.ours import LEARNING_RATE, Ours
from benchmarks.peer import TransformersPeft
from benchmarks.report import Comparison, Figures, Parity, Settings, write_results
from benchmarks.sizes import MID, PEERS, SIZES, TINY, Size
from model.config import RopeScaling

SHAPES = {
    "llama3": dataclasses.replace(TINY, n_layers=2),
    "llama3_2": dataclasses.replace(
        TINY, n_layers=2, tied_embeddings=True, rope_scaling=RopeScaling(factor=32.0)
    ),
}


@pytest.fixture
def sides(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple:
    shape, peer = request.param
    size = Size(SHAPES[shape], batch_size=6, micro_batch_tokens=1024)
    monkeypatch.setitem(SIZES, "small", size)
    return build("small", Settings("cpu", 1, peer, 1))


@pytest.mark.parametrize(
    "sides", [(shape, peer) for shape in SHAPES for peer in PEERS], indirect=True, ids="-".join
)
def test_both_sides_agree_in_loss_gradients_and_first_update(
    sides: tuple[Ours, TransformersPeft],
) -> None:
    ours, peer = sides
    parity = check_parity(ours, peer, ours.model.config)
    assert parity.ours == pytest.approx(parity.peer, abs=1e-5)
    assert parity.gradient_norm > 0.01
    assert parity.gradient_difference < 1e-5
    first, theirs = ours.step(0), peer.step(0)
    assert first.tokens == theirs.tokens > 1000
    assert first.loss == pytest.approx(theirs.loss, abs=1e-5)
    assert first.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-4)
    assert ours.step(0).loss == pytest.approx(peer.step(0).loss, abs=10 * LEARNING_RATE)


@pytest.mark.parametrize("sides", [("llama3", "padded")], indirect=True, ids=["padded"])
def test_sides_that_compute_differently_are_refused(sides: tuple[Ours, TransformersPeft]) -> None:
    ours, peer = sides
    with torch.no_grad():
        ours.model.get_parameter("layers.1.attention.wk.lora_b").add_(0.01)
    with pytest.raises(ValueError, match="do not compute the same, so their speeds say nothing"):
        check_parity(ours, peer, ours.model.config)


@pytest.mark.parametrize("sides", [("llama3", "padded")], indirect=True, ids=["padded"])
def test_round_base_rounds_bases_and_keeps_adapters_in_float32(
    sides: tuple[Ours, TransformersPeft],
) -> None:
    losses = []
    for side in sides:
        exact = side.step(0).loss
        side.round_base()
        parameters = list(side.model.named_parameters())
        assert {p.dtype for _, p in parameters if p.requires_grad} == {torch.float32}
        assert {p.dtype for _, p in parameters if not p.requires_grad} == {torch.bfloat16}
        losses.append(side.step(1).loss)
        assert losses[-1] == pytest.approx(exact, abs=0.1)
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def figures(*speeds: float, peak: int | None = 100) -> Figures:
    return Figures("side", list(speeds), 1.0, peak)


def result(ours: Figures, peer: Figures) -> Comparison:
    parity = Parity(1.0, 1.0, 1.0, 0.0)
    return Comparison("tiny", Settings("cpu", 1, "padded", 3), parity, ours, peer, 2.0, 1000.0)


def test_ratios_pair_the_steps_and_shares_come_from_the_median() -> None:
    found = result(figures(10, 90, 40), figures(10, 10, 10, peak=400))
    assert found.ratios == [1, 9, 4]
    assert found.to_record()["speed_ratio"] == 4
    assert found.memory_ratio == 0.25
    assert found.share_of_matmul_rate(found.ours) == pytest.approx(40 * 2 / 1000)
    assert result(figures(1, peak=None), figures(1)).memory_ratio is None


def test_results_name_versions_and_machine_but_not_the_host(tmp_path: Path) -> None:
    import platform

    file = tmp_path / "results" / "F.json"
    write_results(file, [result(figures(2.0), figures(1.0))], ["8b: too large"], "cpu")
    record = json.loads(file.read_text())
    assert record["comparisons"][0]["speed_ratio"] == 2
    assert record["comparisons"][0]["ours"]["tokens_per_second"] == [2.0]
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
    with pytest.raises(MemoryError, match=r"huge needs about .* GiB of memory on cpu"):
        compare("huge", Settings("cpu", 1, "padded", 1), 1.0, lambda line: None)


def test_repeating_stops_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    class Side:
        name = "side"

        def step(self, number: int) -> object:
            taken.append(number)
            return comparison.Step(1.0, 1.0, 100)

    settings = Settings("cpu", 1, "padded", repetitions=5)
    ours, peer = comparison._repeat(Side(), Side(), settings, 0.0, lambda line: None)  # type: ignore[arg-type]
    assert len(ours) == len(peer) == 1
    assert taken == [1, 1]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernels", ["plain", "triton"])
def test_a_comparison_on_a_gpu_measures_speed_and_memory(kernels: str) -> None:
    if kernels == "triton":
        pytest.importorskip("triton")
    found = compare("tiny", Settings("cuda", 1, "padded", 2, kernels), 60.0, lambda line: None)
    assert found.parity.gradient_difference < 1e-4
    for side in (found.ours, found.peer):
        assert len(side.tokens_per_second) == 2 and side.median > 0
        assert side.peak_bytes_over_base and side.peak_bytes_over_base > 2**20
    assert found.ours.bfloat16_loss == pytest.approx(found.peer.bfloat16_loss, abs=0.05)
    assert found.matmul_rate > 1e12


def test_memory_of_a_process_counts_what_is_freed_again() -> None:
    peak = peak_of_process(lambda: torch.ones(16 * 2**20).sum().item())
    if peak is None:
        pytest.skip("needs Linux's /proc")
    assert 60 * 2**20 < peak < 200 * 2**20
