"""What the documents claim is what the committed result files say."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*-cpu-*.json"))
DECODING = sorted((ROOT / "benchmarks" / "results").glob("decode_2*.json"))


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_the_document_quotes_every_comparison_as_it_was_measured(file: Path) -> None:
    line = next(line for line in DOCUMENT.read_text().splitlines() if f"`{file.name}`" in line)
    (found,) = json.loads(file.read_text())["comparisons"]
    speeds = [f"{found[f'{side}_tokens_per_second']:,.0f}" for side in ("ours", "peer")]
    peaks = [f"{found[side]['peak_bytes_over_base'] / 2**20:,.0f}" for side in ("ours", "peer")]
    shares = [f"{found[f'{side}_share_of_matmul_rate']:.2f}" for side in ("ours", "peer")]
    ratios = [f"{found['speed_ratio']:.1f}x", f"{found['memory_ratio']:.2f}x"]
    for figure in speeds + peaks + shares + ratios:
        assert figure in line, f"{figure} is not in: {line}"


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


def test_decoding_is_1_5_times_as_fast_in_every_row_on_zen_5() -> None:
    record = json.loads((ROOT / "benchmarks/results/decode_2026-11-21.json").read_text())
    assert len(record["results"]) == 12
    assert all(found["ratio"] >= 1.5 for found in record["results"])


def test_mid_size_trains_twice_as_fast_in_half_the_memory() -> None:
    (file,) = [file for file in RESULTS if file.stem.endswith("-cpu-mid")]
    (found,) = json.loads(file.read_text())["comparisons"]
    assert found["speed_ratio"] >= 2
    assert found["memory_ratio"] <= 0.5
    assert abs(found["parity"]["ours"] - found["parity"]["peer"]) <= 1e-5
