"""The judge of attacks: what is detected, recovered, used in silence, or ends in a traceback."""

import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from attacks.arena import Arena
from attacks.chaos import attacks_of, read_flags
from attacks.children import Clock, Ended, run_command
from attacks.journey import STEPS, Step, read_files
from attacks.outcomes import Outcome, format_peak, format_table, write_results

# Python 3.12 and later warn of a fork where other threads run; the child here uses none.
FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@dataclass(frozen=True)
class Copying(Step):
    """A command that writes what it reads, with the time; empty files it refuses."""

    def run(
        self, folder: Path, kill_after: float | None = None, largest_file: int | None = None
    ) -> Ended:
        text = (folder / "in.txt").read_text()
        if not text:
            return Ended(1, "", "error: in.txt is empty, wanted a line", 0.0)
        (folder / "out.json").write_text(f'{{"text": "{text}", "at": {time.monotonic_ns()}}}')
        return Ended(0, "copied\n", "", 0.0)


def arena_of(tmp_path: Path, owned: tuple[str, ...] = ()) -> tuple[Arena, Copying]:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "in.txt").write_text("abc")
    step = Copying("copy", "", (), ("in.txt",), ("out.json",), owned)
    return Arena(prepared, {}, tmp_path / "arena", seed=1), step


def outcome_of(tmp_path: Path, text: str, owned: tuple[str, ...] = ()) -> str:
    arena, step = arena_of(tmp_path, owned)
    arena.reference(step)
    arena.copy_inputs(step)
    (arena.folder / "in.txt").write_text(text)
    return arena.judge(step, step.run(arena.folder), "kind", 0, "in.txt", "changed").outcome


def test_an_unchanged_input_gives_the_same_result(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "abc") == "same result"


def test_another_result_without_an_error_is_used_in_silence(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "abd") == "used in silence"


@pytest.mark.parametrize(
    "told, weights, outcome",
    [
        ("run/best is damaged (it differs)", "run/best/w.safetensors", "set aside"),
        ("run/best is damaged (it differs)", "run/best.damaged/w.safetensors", "set aside"),
        ("run/best is damaged (it differs)", "run/final/w.safetensors", "used in silence"),
        ("", "run/best/w.safetensors", "used in silence"),
    ],
)
def test_damage_that_is_told_may_change_no_other_weights(
    tmp_path: Path, told: str, weights: str, outcome: str
) -> None:
    arena, step = arena_of(tmp_path)
    step = dataclasses.replace(step, writes=("out.json", "run"))
    arena.reference(step)
    arena.copy_inputs(step)
    ended = step.run(arena.folder)
    file = arena.folder / weights
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other")
    ended = dataclasses.replace(ended, out=f"{ended.out}{told}\n")
    file_hit = "run/best/progress.json"
    assert arena.judge(step, ended, "kind", 0, file_hit, "changed").outcome == outcome


def test_a_changed_file_of_the_user_is_another_input(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "abd", owned=("in.txt",)) == "another input"


def test_an_error_of_one_line_is_detected(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "") == "detected"


@pytest.mark.parametrize(
    "ended",
    [
        Ended(1, "", "Traceback (most recent call last):\n  File", 0.0),
        Ended(1, "", "error: KeyError: 'a' (run again with --debug for the traceback)", 0.0),
        Ended(-11, "", "", 0.0),
        Ended(None, "", "", 0.0),
    ],
    ids=["traceback", "unforeseen", "crash", "hang"],
)
def test_an_unforeseen_end_is_a_traceback(tmp_path: Path, ended: Ended) -> None:
    arena, step = arena_of(tmp_path)
    assert arena.judge(step, ended, "kind", 0, "in.txt", "changed").outcome == "traceback"


def test_an_attack_draws_the_same_when_it_is_repeated(tmp_path: Path) -> None:
    arena, _ = arena_of(tmp_path)
    first, again, other = (arena.chance("kind", number).random() for number in (5, 5, 6))
    assert first == again != other


def test_one_attack_is_named_by_its_kind_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["chaos", "--only", "full-disks:3"])
    assert attacks_of(read_flags()) == [("full disks", 3)]
    monkeypatch.setattr("sys.argv", ["chaos", "--only", "disks:3"])
    with pytest.raises(SystemExit, match=r"--only is 'disks:3', wanted one of sharded-kills, "):
        attacks_of(read_flags())


def test_attacks_begin_at_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["chaos", "--corruptions", "2", "--begin", "7"])
    assert attacks_of(read_flags()) == [("corruptions", 7), ("corruptions", 8)]


def test_a_step_names_every_file_in_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "set/inner").mkdir(parents=True)
    (tmp_path / "set/inner/a").touch()
    (tmp_path / "rows").touch()
    step = Step("s", "", (), ("set", "rows"), ())
    assert read_files(step, tmp_path) == ["set/inner/a", "rows"]


def test_what_a_user_owns_is_among_what_is_read() -> None:
    for step in STEPS:
        assert set(step.owned) <= set(step.reads), step.name


def test_the_table_and_the_file_count_each_outcome(tmp_path: Path) -> None:
    arena, step = arena_of(tmp_path)
    outcome = arena.judge(step, Ended(1, "", "error: no", 0.0), "kind", 3, "in.txt", "cut")
    assert format_table([outcome]).splitlines()[1].split()[:3] == ["kind", "1", "1"]
    write_results(tmp_path / "new/results.json", 1, 2.0, [outcome])
    assert '"number": 3' in (tmp_path / "new/results.json").read_text()


@FORKS
def test_a_child_runs_a_command_in_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("fire")
    folder = tmp_path / "arena"
    folder.mkdir()
    before = os.getcwd()
    ended = run_command("scripts.inspect_dataset", ["--dataset-dir", "nowhere"], folder)
    assert ended.code == 1 and ended.error.startswith("error: nowhere")
    assert os.getcwd() == before


@FORKS
def test_a_childs_memory_is_measured_above_its_start(tmp_path: Path) -> None:
    pytest.importorskip("fire")
    (tmp_path / "arena").mkdir()
    flags = ["--source-file", "nowhere.json", "--save-file", "clean.json"]
    ended = run_command("scripts.clean_dataset", flags, tmp_path / "arena")
    assert 0 < ended.peak_bytes < 300e6
    outcome = Outcome("kind", 7, "clean: rows", "cut", "detected", peak_bytes=123_400_000)
    assert format_peak([outcome]).endswith(": 123 MB (7: clean: rows; cut)")
    assert format_peak([]) == ""


@FORKS
def test_a_child_is_killed_once_its_work_has_begun(tmp_path: Path) -> None:
    pytest.importorskip("fire")
    folder = tmp_path / "arena"
    folder.mkdir()
    flags = ["--count", "100000", "--save-file", "made.jsonl"]
    ended = run_command("scripts.generate_dataset", flags, folder, kill_after=0, begun=".")
    assert ended.code == -9


def test_a_clock_does_not_kill_before_the_work_begins(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "begun", seconds=60, kill_after=0)
    assert not clock.kills()
    (tmp_path / "begun").touch()
    assert clock.kills() and clock.is_over()
