"""A plain text in windows, and the figures of the losses on them."""

import math
from pathlib import Path

import pytest

from data.plain_text import Text
from evaluation.plain_text import TextScore, Window

TEXTS = {
    "lines": "First line of it.\nAnother, a little longer than that.\n" * 40,
    "one line": "words and words without an end " * 60,
    "no spaces": "abcdefghij" * 100,
    "four bytes each": "🙂" * 500,
    "carriage returns": "a\r\nb\r\n" * 300,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [64, 101, 2048, 100_000])
def test_windows_join_to_the_text_within_their_size(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / "t.txt").write_bytes(TEXTS[name].encode())
    windows = Text.read(tmp_path / "t.txt", size).windows
    assert "".join(windows) == TEXTS[name]
    assert max(len(window.encode()) for window in windows) <= size
    assert min(len(window.encode()) for window in windows[:-1] or windows) >= size // 2 - 3 or (
        len(windows) == 1
    )


def test_windows_end_at_lines_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXTS["lines"])
    assert all(window.endswith("\n") for window in Text.read(tmp_path / "t.txt", 200).windows)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        ("Ärger".encode("latin-1"), "no UTF-8 text: .* at byte 0; save it as UTF-8"),
        ("text".encode("utf-16"), "no UTF-8 text"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        Text.read(tmp_path / "t.txt")


def test_a_mark_of_byte_order_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("text", encoding="utf-8-sig")
    assert Text.read(tmp_path / "t.txt").windows == ["text"]


def test_figures_are_of_the_summed_loss(tmp_path: Path) -> None:
    score = TextScore("t", "", "<s>", [Window(30, 10, 20.0), Window(10, 6, 4.0)])
    values = {name: rate.value for name, rate in score.figures.items()}
    assert values == pytest.approx(
        {
            "perplexity": math.exp(1.5),
            "nats_per_token": 1.5,
            "nats_per_byte": 0.6,
            "bits_per_byte": 0.6 / math.log(2),
        }
    )
    assert score.to_record()["negative_log_likelihood"] == 24.0
    rate = score.figures["nats_per_byte"]
    assert rate.low == pytest.approx(0.4) and rate.high == pytest.approx(20 / 30)


def test_one_window_has_no_interval() -> None:
    score = TextScore("t", "", "<s>", [Window(30, 10, 20.0)])
    assert score.figures["perplexity"][1:] == (None, None)
    assert "one window, no interval" in score.line
