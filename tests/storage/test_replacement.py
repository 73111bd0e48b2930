"""A directory is replaced as a whole, wherever the process that does it is killed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from errno import EACCES, ENOTEMPTY
from pathlib import Path
from typing import Any

import pytest

from storage import replacement
from storage.atomic import new_directory, new_file
from storage.manifest import damaged_files
from storage.replacement import locked, name_beside, restore

ROOT = Path(__file__).parents[2]
SCRIPT = "tests/storage/kill_points.py"
WAYS = ("exchanged", "set-aside")
# Names of kernel calls; strace passes over those that a machine's kernel does not have.
CHANGES = ["openat", "write", "fsync", "flock"]
CHANGES += [f"?{name}" for name in ("mkdir", "rename", "renameat2", "unlink", "unlinkat", "rmdir")]


def kill_command(folder: Path, way: str, kills: str) -> list[str]:
    return [sys.executable, SCRIPT, str(folder), way, kills]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kills", ["renames", pytest.param("all", marks=pytest.mark.long)])
def test_a_killed_replacement_leaves_the_old_or_the_new(
    tmp_path: Path, way: str, kills: str
) -> None:
    command = kill_command(tmp_path, way, kills)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    at_once, read, names = ([row[column] for row in rows] for column in range(3))
    assert {"old", "new"} == set(read) and read == sorted(read, reverse=True)
    assert set(at_once) == {"old", "new"} | ({"missing"} if way == "set-aside" else set())
    assert all(row == ["out"] for row in names)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_system_call_leaves_the_old_or_the_new(tmp_path: Path, way: str) -> None:
    """At each call of the kernel that changes something; between two of them is as at the next."""
    if not (strace := shutil.which("strace")):
        pytest.skip("strace is not installed")
    target, log = tmp_path / "out", tmp_path.with_name(f"{tmp_path.name}.log")

    def replace(*inject: str) -> list[str]:
        shutil.rmtree(target, ignore_errors=True)
        with new_directory(target, "thing") as partial:
            (partial / "inner").mkdir()
            (partial / "inner" / "b.txt").write_text("old")
        command = [strace, "-o", log, "-e", f"trace={','.join(CHANGES)}", *inject]
        command += kill_command(tmp_path, way, "once")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if "PTRACE" in done.stderr:
            pytest.skip("this machine does not allow strace")
        return log.read_text().splitlines()

    lines = replace()
    begin = next(place for place, line in enumerate(lines) if '"/begin"' in line)
    calls = [line.partition("(")[0] for line in lines]
    changing = [n for n in range(begin + 1, len(lines) - 1) if changes(lines[n])]
    for place in changing:
        number = calls[: place + 1].count(calls[place])
        killed = replace("-e", f"inject={calls[place]}:signal=KILL:when={number}")
        assert "killed by SIGKILL" in killed[-1]
        restore(target)
        assert damaged_files(target) == []
        assert (target / "inner" / "b.txt").read_text() in ("old", "new")
        with new_directory(target, "thing"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(changing) > 20


def changes(line: str) -> bool:
    """Whether a call in strace's log changes something, or is an open file's that does."""
    return not line.startswith("openat(") or "O_CREAT" in line


def test_leftovers_of_another_target_are_not_taken(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out.two", "thing"):
        pass
    (tmp_path / "out.two").rename(name_beside(tmp_path / "out.two", replacement.OLD))
    restore(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    restore(tmp_path / "out.two")
    assert damaged_files(tmp_path / "out.two") == ["manifest.json lists no files"]


@pytest.mark.parametrize("error", [ENOTEMPTY, EACCES])
def test_a_failed_step_of_two_puts_the_old_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def write(content: str) -> None:
        with new_directory(tmp_path / "out", "thing") as partial:
            (partial / "a.txt").write_text(content)

    write("old")
    rename, refused = Path.rename, [ENOTEMPTY, None, error]

    def renamed(path: Path, target: Path) -> Path:
        if number := refused.pop(0) if refused else None:
            raise OSError(number, os.strerror(number), str(path), None, str(target))
        return rename(path, target)

    monkeypatch.setattr(replacement, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", renamed)
    with pytest.raises(OSError, match=os.strerror(error)):
        write("new")
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_is_being_replaced_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out", "thing"):
        pass
    old = name_beside(tmp_path / "out", replacement.OLD)
    (tmp_path / "out").rename(old)
    with locked(old):
        restore(tmp_path / "out")
    assert old.is_dir() and not (tmp_path / "out").exists()


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_permissions_are_those_of_the_umask(tmp_path: Path, umask: int) -> None:
    with new_file(tmp_path / "file") as file:
        file.write_text("a")
    with new_directory(tmp_path / "out", "thing") as directory:
        (directory / "a").write_text("a")
    modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    for path, mode in modes.items():
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask


def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for name, target in (("file", "disk/file"), ("out", "disk/out"), ("chain", "out")):
        (tmp_path / name).symlink_to(target)
    for content in ("old", "new"):
        with new_file(tmp_path / "file") as file:
            file.write_text(content)
            assert file.parent == tmp_path / "disk"
        for name in ("out", "chain"):
            with new_directory(tmp_path / name, "thing") as partial:
                (partial / "a").write_text(content)
                assert partial.parent == tmp_path / "disk"
    assert all((tmp_path / name).is_symlink() for name in ("file", "out", "chain"))
    assert (tmp_path / "disk/file").read_text() == (tmp_path / "disk/out/a").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["file", "out"]


@pytest.mark.parametrize(
    ("leads_to", "reason"), [("gone/out", "gone does not exist"), ("link", "leads to itself")]
)
@pytest.mark.parametrize("new", [new_file, lambda path: new_directory(path, "thing")])
def test_a_link_that_leads_nowhere_is_one_line(
    tmp_path: Path, new: Any, leads_to: str, reason: str
) -> None:
    (tmp_path / "link").symlink_to(leads_to)
    with (
        pytest.raises(FileNotFoundError, match=f"{reason}; remove the link"),
        new(tmp_path / "link"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_pipe_or_a_directory_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in (("pipe", "a device or a pipe"), ("folder", "a directory")):
        with pytest.raises(FileExistsError, match=f"{name} is {what}"), new_file(tmp_path / name):
            pass
    assert (tmp_path / "pipe").is_fifo()
