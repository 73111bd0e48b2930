"""Scaling laws: what is varied, what is counted, and that the script runs."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import pytest
import torch

from benchmarks import scaling
from benchmarks.scaling import exponent, main
from benchmarks.scaling_points import (
    Axis,
    EvenConversations,
    Point,
    axes,
    cache_bytes,
    replies,
    reply_operations,
    shape,
    training_step,
)
from console.flags import UsageError
from inference.kv_cache import KVCache
from model.transformer import Transformer
from scripts import plan
from training.report import StepMetrics

SMALL = Point(shape(128, 1, 512), rank=2, length=16, batch=4, pack=32, conversations=8)


def test_an_exponent_is_the_slope_of_logarithms() -> None:
    values = [3, 6, 12, 24]
    assert exponent(values, [7 * value**2 for value in values]) == pytest.approx(2)
    assert exponent(values, [5.0] * 4) == pytest.approx(0)


@pytest.mark.parametrize("axis", axes(), ids=lambda axis: axis.name)
def test_an_axis_has_four_points_of_the_same_work(axis: Axis) -> None:
    assert len(axis.values) == len(set(axis.points)) == 4
    varied = [
        field.name
        for field in fields(Point)
        if len({getattr(point, field.name) for point in axis.points}) > 1
    ]
    # Longer documents are fewer, so that a step has as many tokens.
    assert varied == (["length", "batch"] if axis.name == "document" else varied[:1])
    if axis.name in ("document", "pack"):
        assert len({point.length * point.batch for point in axis.points}) == 1


def test_conversations_are_read_from_a_file_and_partly_trained() -> None:
    data = EvenConversations(3, 10, vocab_size=7)
    assert data.lengths.tolist() == [10, 10, 10] and len(data) == 3
    assert data.trained(2).tolist() == [False] * 7 + [True] * 3
    assert max(data.tokens(index).max() for index in range(3)) < 7


def test_a_step_is_finetunes_and_trains_the_adapter_alone() -> None:
    work = training_step(SMALL)
    metrics, _ = cast("tuple[StepMetrics, bool]", work.run(0))
    assert metrics.tokens == 4 * 16 and metrics.trained_tokens == 4 * 5
    assert metrics.loss == pytest.approx(torch.tensor(512.0).log().item(), rel=0.2)
    assert work.operations > 0 and work.bytes > 0


def test_replies_count_their_operations_and_their_cache() -> None:
    point = replace(SMALL, new_tokens=3)
    said = replies(point).run(0)
    assert [len(reply) for reply in said] == [3] * 4  # type: ignore[attr-defined]
    cache = KVCache(point.model, 4, 19, dtype=torch.bfloat16)
    assert cache_bytes(point) == cache.keys.nbytes + cache.values.nbytes
    model = Transformer(point.model)
    matrices = sum(p.numel() for p in model.layers.parameters() if p.ndim == 2)
    head = model.output.weight.numel()
    wanted = 4 * (2 * matrices * 19 + 2 * 128 * 19**2 + 2 * head * 3)
    assert reply_operations(point) == wanted


@pytest.mark.long
def test_the_script_writes_times_memory_and_exponents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = tuple(replace(SMALL, batch=batch) for batch in (2, 4))
    monkeypatch.setattr(scaling, "axes", lambda: [Axis("batch", (2, 4), points, training_step)])
    main(repetitions=1, json_file=str(tmp_path / "F.json"))
    (found,) = json.loads((tmp_path / "F.json").read_text())["axes"]
    assert found["axis"] == "batch" and found["values"] == [2, 4]
    assert all(seconds > 0 for seconds in found["seconds"])
    assert found["exponents"]["operations"] == pytest.approx(1)
    assert found["peak_bytes"] is None or all(peak > 2**16 for peak in found["peak_bytes"])


def test_an_axis_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="unknown --only 'depth'; there are vocabulary, width"):
        main(only="rank,depth")


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
(RESULT,) = (ROOT / "benchmarks/results").glob("scaling_*.json")


def test_the_document_quotes_the_committed_figures() -> None:
    record = json.loads(RESULT.read_text(encoding="utf-8"))
    assert RESULT.name in PAGE and RESULT.stat().st_size < 10_000
    assert [found["axis"] for found in record["axes"]] == [axis.name for axis in axes()]
    for found in record["axes"]:
        slopes = {kind: f"{slope + 0.0:.2f}" for kind, slope in found["exponents"].items()}
        times = f"| {quoted(found['values'])} | {quoted(found['seconds'], 1000)} |"
        assert f"{times} {slopes['seconds']} | {slopes['operations']} |" in PAGE
        peaks, counted = (quoted(found[f"{kind}_bytes"], 2**-20) for kind in ("peak", "counted"))
        memory = f"| {peaks} | {slopes['peak_bytes']} | {counted} | {slopes['counted_bytes']} |"
        assert memory in PAGE


def quoted(figures: list[float], unit: float = 1) -> str:
    return " / ".join(f"{figure * unit:,.0f}" for figure in figures)


@pytest.mark.parametrize("row", re.findall(r"^\| `python scripts/plan.*", PAGE, re.MULTILINE))
def test_predictions_in_the_document_are_what_the_plan_prints(
    row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, cards, size, rate = row.strip("| ").split(" | ")
    flags = dict(re.findall(r"--([\w-]+)=([^ `]+)", command))
    file = str(ROOT / flags.pop("config-file", "configs/finetune.json"))
    count = int(flags.pop("num-gpus", 1))
    plan.main(file, num_gpus=count, conversations=100_000, **flags)
    printed = capsys.readouterr().out
    assert f"each device {size:>12}: fits" in printed
    assert f"about {rate} tokens a second on {cards}, by a roofline" in printed
