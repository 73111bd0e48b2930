import json
from collections import Counter
from pathlib import Path

import pytest

from demo.making.assets import MOST_PER_SHAPE, choose, main, shape_of

DEMO = Path(__file__).parents[3] / "demo"
ASSETS = ("glaive-sample.json", "LICENSE-APACHE-2.0")


@pytest.fixture(scope="module")
def sample() -> list[dict[str, str]]:
    return json.loads((DEMO / "glaive-sample.json").read_text(encoding="utf-8"))


def test_the_script_makes_the_bundled_files_byte_for_byte(shared: Path, tmp_path: Path):
    main(str(shared / "glaive_v2_raw"), str(tmp_path))
    for name in ASSETS:
        assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes(), name


def test_the_sample_is_small_and_shows_every_shape(sample):
    assert 60 <= len(sample) <= 100
    assert (DEMO / "glaive-sample.json").stat().st_size < 250_000
    shapes = Counter(shape_of(row) for row in sample)
    assert max(shapes.values()) <= MOST_PER_SHAPE
    assert {functions for functions, _, _ in shapes} == {0, 1, 2}, "none, one, several functions"
    assert {calls for _, calls, _ in shapes} == {0, 1, 2}, "none, one, several calls"
    assert {asks for _, _, asks in shapes} == {False, True}, "a question before the call or not"


def test_the_notice_counts_the_rows_that_are_there(sample):
    assert f"| {len(sample)} rows of the data set" in (DEMO / "NOTICE.md").read_text()


def test_rows_are_chosen_by_shape_and_length_and_never_edited():
    def row(chat: str, functions: int = 1) -> dict[str, str]:
        return {"system": '"parameters": {' * functions, "chat": chat}

    long, asking = row("x" * 3000), row("USER: a\n\n\nASSISTANT: b? <functioncall> {}")
    rows = [row(f"USER: {i}\n\n\nASSISTANT: ok") for i in range(MOST_PER_SHAPE + 2)]
    assert list(choose([long, *rows, asking])) == [*rows[:MOST_PER_SHAPE], asking]
    assert shape_of(asking) == (1, 1, True)
    assert shape_of(row("USER: a\n\n\nASSISTANT: <functioncall> {}", 3)) == (2, 1, False)
