"""What a run of several commands was asked and has done, so that the same command goes on."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from console.flags import flag_of
from console.journey import Done, Stage, run_journey
from storage.atomic import new_file
from storage.json_file import read_json_object, write_json
from storage.manifest import sha256_of_file


@dataclass
class Journal:
    """The file in a run's directory that says its flags, the files it reads, and what is done."""

    file: Path
    state: dict[str, Any]

    @property
    def directory(self) -> Path:
        """The directory that the run writes to."""
        return self.file.parent

    def write(self) -> None:
        """Write the file whole."""
        with new_file(self.file) as partial:
            write_json(partial, self.state)

    def run(self, stages: Iterable[Stage], root: Path, count: int) -> Iterator[Done]:
        """Run the stages that are not done yet in `root`, and note each."""
        earlier = [Done(**record) for record in self.state["done"]]
        done: list[Done] = []
        for step in run_journey(stages, self.directory, root, earlier, count):
            done.append(step)
            if len(done) > len(earlier) or earlier[len(done) - 1] != step:
                earlier = list(done)
                self.state["done"] = [asdict(one) for one in done]
                self.write()
            yield step

    def check_unchanged(self, files: Mapping[str, Path]) -> None:
        """Raise ValueError for a file that has another content than when the run was begun."""
        for name, file in files.items():
            if sha256_of_file(file) != self.state["sha256"][name]:
                raise ValueError(
                    f"{file} has changed since {self.directory} was begun; name another "
                    "--output-dir, or remove this one"
                )


def begin_journal(file: Path, asked: Mapping[str, Any], files: Mapping[str, Path]) -> Journal:
    """Write the journal of a new run: its flags, and the sha256s of the files that it reads."""
    digests = {name: sha256_of_file(path) for name, path in files.items()}
    journal = Journal(file, {"flags": dict(asked), "sha256": digests, "done": []})
    journal.write()
    return journal


def read_journal(
    file: Path,
    asked: Mapping[str, Any],
    others: Collection[str] = (),
    may_change: Callable[[Sequence[Mapping[str, Any]]], Collection[str]] = lambda done: (),
) -> Journal | None:
    """Return the journal of the run in a directory, None for a new or empty one.

    Beside it a new directory may hold files of the names `others`. FileExistsError where it holds
    something else, ValueError where the run was begun with other flags than those that
    `may_change(what is done)` allows.
    """
    directory = file.parent
    if not file.is_file():
        left = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        if foreign := sorted(left - set(others)):
            raise FileExistsError(
                f"{directory} holds {foreign[0]} and was not written by this command; name "
                "another --output-dir"
            )
        return None
    state = read_json_object(file)
    free = may_change(state["done"])
    for name, value in json.loads(json.dumps(asked)).items():
        before = state["flags"].get(name)
        if before != value and name not in free:
            raise ValueError(
                f"{directory} was begun with {_flag(name, before)}, and now it is "
                f"{_flag(name, value)}; give the same flags to go on, or name another --output-dir"
            )
    return Journal(file, {**state, "flags": dict(asked)})


def _flag(name: str, value: Any) -> str:
    if name == "settings":
        return " ".join(f"--{key}={given}" for key, given in value.items()) or "no settings"
    return f"no {flag_of(name)}" if value is None else f"{flag_of(name)} {value}"
