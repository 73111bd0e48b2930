"""What a run says it was made with: noted once, and again where it goes on with something else."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from training import made_with
from training.progress import Progress


def backend(ranks: int = 1) -> Any:
    """Something that has what is asked of a backend."""
    return SimpleNamespace(
        device=torch.device("cpu"), world_size=ranks, on_first_rank=lambda work: work()
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with sources of a room, and others."""
    for name in ("finetune.py", "room/__init__.py", "room/part.py", "room/turns.jinja"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / "tests").mkdir()
    return tmp_path


def test_a_resumed_run_notes_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress()
    made_with.note_made_with(progress, backend())
    progress.step = 4
    made_with.note_made_with(progress, backend())
    assert [made["from_step"] for made in progress.made_with] == [0]
    progress.step = 6
    made_with.note_made_with(progress, backend(ranks=2))
    other = {"sha256": "0", "commit": None, "changed": None}
    monkeypatch.setattr(made_with, "code_record", lambda: other)
    progress.step = 8
    made_with.note_made_with(progress, backend(ranks=2))
    assert [made["from_step"] for made in progress.made_with] == [0, 6, 8]


@pytest.mark.parametrize("name", ["finetune.py", "room/part.py", "room/turns.jinja", "room/new.py"])
def test_sources_have_another_sha256_when_one_changes(sources: Path, name: str) -> None:
    before = made_with.sources_sha256(sources)
    (sources / name).write_text("# something else\n")
    assert made_with.sources_sha256(sources) != before


@pytest.mark.parametrize("name", ["my_tools.py", "tests/test_it.py", "room/notes.txt"])
def test_what_is_no_source_counts_for_nothing(sources: Path, name: str) -> None:
    before = made_with.sources_sha256(sources)
    (sources / name).write_text("# something else\n")
    assert made_with.sources_sha256(sources) == before


def test_a_clone_has_a_commit_and_says_whether_it_changed(sources: Path) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=sources, check=True)
    found = made_with._commit(sources)
    assert (len(found["commit"]), found["changed"]) == (40, False)
    (sources / "room/part.py").write_text("# something else\n")
    assert made_with._commit(sources)["changed"]
    # A folder inside has no commit of its own.
    assert made_with._commit(sources / "room") == {"commit": None, "changed": None}


def test_without_git_there_is_no_commit(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert made_with._commit(sources) == {"commit": None, "changed": None}
