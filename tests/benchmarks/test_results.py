"""What the documents claim is what the committed result files say."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*-cpu-*.json"))
DECODING = sorted((ROOT / "benchmarks" / "results").glob("decode_2*.json"))


def table_line(found: dict[str, Any], side: dict[str, Any]) -> str:
    """Return a line of the document's table; of our own side without ratios."""
    method, dtype = found["method"], found["settings"]["dtype"]
    cells = [found["size"] if method == "lora" else f"{found['size']}:{method}", dtype]
    cells += [side["name"], f"{side['useful_tokens_per_second']:,.0f}"]
    cells += [f"{side['trained_tokens_per_second']:,.0f}", f"{side['share_of_matmul_rate']:.2f}"]
    cells += [f"{side['peak_bytes_over_base'] / 2**20:,.0f}"]
    ratios = [f"**{side[name]:.2f}x**" for name in ("speed_ratio", "memory_ratio") if name in side]
    return f"| {' | '.join([*cells, *(ratios or ('', ''))])} |"


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_the_document_quotes_every_comparison_as_it_was_measured(file: Path) -> None:
    text = DOCUMENT.read_text()
    assert f"`{file.name}`" in text
    assert file.stat().st_size < 10_000
    for found in json.loads(file.read_text())["comparisons"]:
        for side in (found["ours"], *found["peers"]):
            assert table_line(found, side) in text


@pytest.mark.parametrize("file", DECODING, ids=lambda file: file.stem)
def test_the_document_quotes_every_row_of_decoding(file: Path) -> None:
    text = DOCUMENT.read_text()
    assert f"`{file.name}`" in text
    for found in json.loads(file.read_text())["results"]:
        cells = [found["size"], found["dtype"], str(found["batch"]), found["work"]]
        cells += [
            f"{found['tokens'] / min(found[f'{side}_seconds']):,.0f}" for side in ("ours", "peer")
        ]
        assert f"| {' | '.join(cells)} | **{found['ratio']:.2f}x** |" in text


def test_the_document_quotes_cleaning_and_building_beside_the_version_before() -> None:
    record = json.loads((ROOT / "benchmarks/results/build_20000_2026-11-30.json").read_text())
    for what in ("clean", "build"):
        before, after = (
            [found for found in record[when] if found["what"] == what]
            for when in ("before", "measurements")
        )
        old, new = ([found["rows_per_cpu_second"] for found in side] for side in (before, after))
        times = " and ".join(f"{b / a:.2f}" for a, b in zip(old, new, strict=True))
        rates = [" and ".join(f"{rate:,}" for rate in side) for side in (old, new)]
        peaks = [max(found["peak_pss_bytes"] for found in side) / 2**20 for side in (before, after)]
        line = f"| {what} | {rates[0]} | {rates[1]} | {times} times | "
        assert f"{line}{peaks[0]:.0f} to {peaks[1]:.0f} MiB |" in DOCUMENT.read_text()


def test_decoding_is_1_5_times_as_fast_in_every_row_on_zen_5() -> None:
    record = json.loads((ROOT / "benchmarks/results/decode_2026-11-21.json").read_text())
    assert len(record["results"]) == 12
    assert all(found["ratio"] >= 1.5 for found in record["results"])


def test_sides_agree_and_ours_is_faster_in_less_memory_at_mid_size() -> None:
    rows = [
        found
        for file in RESULTS
        for found in json.loads(file.read_text())["comparisons"]
        if found["size"] == "mid"
    ]
    assert rows
    for found in rows:
        for parity, peer in zip(found["parity"], found["peers"], strict=True):
            assert abs(parity["losses"][0] - parity["losses"][1]) <= 1e-5
            assert all(abs(a - b) <= 1e-4 for a, b in parity["losses_after_steps"].values())
            assert peer["speed_ratio"] > 1
            assert peer["memory_ratio"] < 1
