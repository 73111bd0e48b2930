"""Mixtures: how often a conversation is taken follows from seed, weight and content alone."""

import json
from pathlib import Path

import pytest

from data.building import mixture
from data.building.mixture import Part, copies, read_parts, works


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.jsonl", tmp_path / "b.json"
    paths[0].write_text("".join(json.dumps({"n": n}) + "\n" for n in range(700)))
    paths[1].write_text(json.dumps([{"n": n} for n in range(3)]))
    return paths


def test_files_and_weights_are_read_in_their_order(files: tuple[Path, Path]) -> None:
    named = ",".join(map(str, files))
    assert read_parts(named) == (Part(files[0], 1.0), Part(files[1], 1.0))
    assert read_parts(named, "1,0.5") == (Part(files[0], 1.0), Part(files[1], 0.5))
    assert read_parts(files[0]) == (Part(files[0], 1.0),)


def test_a_file_may_have_a_comma_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a,b.json").write_text("[]")
    assert read_parts(tmp_path / "a,b.json") == (Part(tmp_path / "a,b.json", 1.0),)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("1", "--weights 1 are 1, and --source-file names 2 files"),
        ("1,2,3", "are 3, and --source-file names 2 files"),
        ("1,zero", "--weights holds 'zero', wanted numbers above 0"),
        ("1,0", "--weights holds '0', wanted numbers above 0"),
        ("nan,1", "--weights holds 'nan', wanted"),
        ("1,inf", "--weights holds 'inf', wanted"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    files: tuple[Path, Path], weights: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_parts(",".join(map(str, files)), weights)


def test_repeated_or_missing_files_are_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"names .*a\.jsonl twice; name it once"):
        read_parts(f"{files[0]},{files[0]}")
    with pytest.raises(FileNotFoundError, match=r"c\.json does not exist"):
        read_parts(f"{files[0]},c.json")
    with pytest.raises(ValueError, match="is a directory; name a file"):
        read_parts(f"{files[0]},{files[0].parent}")


def test_weight_is_the_share_of_conversations_taken() -> None:
    taken = [copies(0.3, f"content {n}", seed=3) for n in range(5000)]
    assert set(taken) == {0, 1} and 1400 < sum(taken) < 1600
    assert taken == [copies(0.3, f"content {n}", seed=3) for n in range(5000)]
    assert taken != [copies(0.3, f"content {n}", seed=4) for n in range(5000)]
    assert {copies(2, f"{n}", 3) for n in range(50)} == {2}
    assert {copies(1.5, f"{n}", 3) for n in range(50)} == {1, 2}


def test_greater_weight_takes_a_superset_of_a_smaller_one() -> None:
    taken = [{n for n in range(500) if copies(w, f"{n}", 3)} for w in (0.2, 0.5, 0.9)]
    assert taken[0] < taken[1] < taken[2]


def test_rows_are_cut_into_blocks_by_number_and_by_size(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tuple(Part(file) for file in files)
    found = list(works(parts))
    assert [(work.part, len(work.rows)) for work in found] == [(0, 250), (0, 250), (0, 200), (1, 3)]
    assert sum(work.size for work in found) <= sum(file.stat().st_size for file in files)
    monkeypatch.setattr(mixture, "BYTES", 40)
    assert max(len(work.rows) for work in works(parts[:1])) == 5
