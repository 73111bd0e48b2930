"""Files and directories appear whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.atomic import new_directory, new_file
from storage.manifest import damaged_files, read_manifest


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with new_file(target) as partial:
        partial.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_a_failed_file_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), new_file(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_directory_appears_with_a_manifest_of_its_files(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out", "thing") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "a.txt").write_text("a")
        assert not (tmp_path / "out").exists()
    manifest = read_manifest(tmp_path / "out")
    assert manifest["kind"] == "thing"
    assert manifest["files"]["inner/a.txt"]["bytes"] == 1
    assert damaged_files(tmp_path / "out") == []


def test_a_failed_directory_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_directory(tmp_path / "out", "thing") as partial:
        (partial / "a.txt").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_rerun_replaces_its_own_directory_as_a_whole(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with new_directory(tmp_path / "out", "thing") as partial:
            (partial / name).write_text(name)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "second",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_output_with_files_of_others_is_not_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with new_directory(tmp_path / "out", "thing") as partial:
            (partial / "a.txt").write_text("a")
    (tmp_path / "out" / "notes").mkdir()
    (tmp_path / "out" / "notes" / "mine.txt").write_text("mine")
    with (
        pytest.raises(FileExistsError, match=r"notes/mine\.txt in it is not of the run"),
        new_directory(tmp_path / "out", "thing"),
    ):
        pass
    assert (tmp_path / "out" / "notes" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["link to nothing", "pipe"])
def test_what_is_no_file_in_an_output_is_kept_too(tmp_path: Path, kind: str) -> None:
    with new_directory(tmp_path / "out", "thing"):
        pass
    mine = tmp_path / "out" / "mine"
    mine.symlink_to("nowhere") if kind == "link to nothing" else os.mkfifo(mine)
    with (
        pytest.raises(FileExistsError, match="mine in it is not of the run"),
        new_directory(tmp_path / "out", "thing"),
    ):
        pass
    assert os.path.lexists(mine)


@pytest.mark.parametrize("written_before", [True, False])
def test_files_that_others_add_meanwhile_are_kept(tmp_path: Path, written_before: bool) -> None:
    if written_before:
        with new_directory(tmp_path / "out", "thing"):
            pass
    with (
        pytest.raises(FileExistsError, match=r"mine\.txt in it|was not written by this command"),
        new_directory(tmp_path / "out", "thing"),
    ):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "mine.txt").write_text("mine")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_directory(tmp_path / "out", "thing") as partial:
        (partial / "a").write_text("a")
    assert (tmp_path / "out" / "a").exists()


def test_a_directory_of_someone_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(FileExistsError, match="was not written by this command"),
        new_directory(tmp_path / "out", "thing"),
    ):
        pass
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_directory_of_another_kind_is_refused(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out", "model"):
        pass
    with (
        pytest.raises(FileExistsError, match="holds 'model', and this command writes 'dataset'"),
        new_directory(tmp_path / "out", "dataset"),
    ):
        pass


BUILD = """
import sys
from storage.atomic import new_directory, new_file
path, what = sys.argv[1:]
with new_file(path) if what == "file" else new_directory(path, "thing"):
    print("building", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("what", ["file", "directory"])
def test_leftovers_of_killed_processes_are_removed_and_live_ones_kept(
    tmp_path: Path, what: str
) -> None:
    def build() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", BUILD, str(tmp_path / "out"), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stdout.readline() == "building\n"
        return process

    with build() as killed:
        os.kill(killed.pid, signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 1
    with build() as first, build() as second:
        assert len(list(tmp_path.iterdir())) == 2
        first.communicate("")
        second.communicate("")
    assert (first.returncode, second.returncode) == (0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_names_what_was_to_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*out'"),
        new_file(tmp_path / "out"),
    ):
        raise OSError(28, "No space left on device")


def test_a_file_where_a_directory_is_needed_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with (
        pytest.raises(FileExistsError, match="notes/out cannot be written: a file stands where"),
        new_directory(tmp_path / "notes" / "out", "thing"),
    ):
        pass


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out", "thing") as partial:
        for name in ("changed", "cut", "gone"):
            (partial / name).write_text("content")
    (tmp_path / "out" / "changed").write_text("CONTENT")
    (tmp_path / "out" / "cut").write_text("cont")
    (tmp_path / "out" / "gone").unlink()
    assert damaged_files(tmp_path / "out") == [
        "changed has another sha256 than when it was written",
        "cut has 4 bytes, wanted 7",
        "gone is missing",
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"files": {}})])
def test_a_foreign_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="is not a manifest"):
        read_manifest(tmp_path)
