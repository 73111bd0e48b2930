"""A run of scripts/teach.py: what it was asked, what is done, and how it goes on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from console.flags import flag_of
from console.journey import Done, run_journey
from evaluation.failures import count_failures, failures_line
from storage.atomic import new_file
from storage.json_file import read_json_object, write_json
from storage.manifest import sha256_of_file
from teaching.mcp_server import ask_for_tools
from teaching.page import write_page
from teaching.request import Flags, Request, check_flags, next_commands, scores_file
from teaching.steps import as_scored, count_steps, steps
from teaching.tools import COMPLETED_FILE, complete_file, completed_file, read_teachable

STATE_FILE = "teach.json"
PAGE_FILE = "index.html"
ASKED_FILE = "tools_of_server.json"
# Commands that do the same in every chat format.
_OF_ANY_FORMAT = (
    "scripts/convert_from_",
    "scripts/generate_dataset.py",
    "scripts/clean_dataset.py",
)


@dataclass
class Run:
    """One run in its directory."""

    request: Request
    state: dict[str, Any]

    def go(self) -> Iterator[Done]:
        """Run the steps that are not done yet, note each, and write the page."""
        earlier = [Done(**record) for record in self.state["done"]]
        done: list[Done] = []
        request = self.request
        journey = run_journey(
            steps(request), request.directory, request.root, earlier, count_steps(request)
        )
        for step in journey:
            done.append(step)
            if len(done) > len(earlier) or earlier[len(done) - 1] != step:
                earlier = list(done)
                self.state["done"] = [asdict(one) for one in done]
                write_state(request.directory, self.state)
            yield step
        write_page(request.directory / PAGE_FILE, as_scored(request), done)

    def lines(self) -> Iterator[str]:
        """Yield what is left to say at the end: the failures of the tuned model, and the page."""
        file = self.request.directory / scores_file("tuned", "taught")
        yield f"\nFailures of the fine-tuned model: {failures_line(count_failures(file))}"
        if unsplit := self.request.teachable.unsplit:
            yield (
                f"No values were held out: {', '.join(unsplit[:5])} have too few; give them more "
                '"examples"'
            )
        yield f"Page: {self.request.from_root(self.request.directory / PAGE_FILE)}"

    def next_commands(self) -> tuple[str, ...]:
        """Return what to run next, as it is typed."""
        return next_commands(self.request)


def open_run(flags: Flags, root: Path) -> Run:
    """Return a new run, or an unfinished one of the same flags; its tools are read and checked.

    FileExistsError or ValueError names what in the directory differs.
    """
    check_flags(flags)
    directory = Path(flags.output_dir)
    tools_file = Path(flags.tools_file or directory / ASKED_FILE)
    asked = {key: value for key, value in asdict(flags).items() if key != "output_dir"}
    state = _read_state(directory, asked)
    if state is None:
        if flags.mcp:
            ask_for_tools(flags.mcp, tools_file)
        teachable = read_teachable(str(complete_file(tools_file, directory)))
        digests = {name: sha256_of_file(file) for name, file in _read_files(flags, tools_file)}
        state = {"flags": asked, "sha256": digests, "done": []}
        write_state(directory, state)
    else:
        for name, file in _read_files(flags, tools_file):
            if sha256_of_file(file) != state["sha256"][name]:
                raise ValueError(
                    f"{file} has changed since {directory} was begun; name another "
                    "--output-dir, or remove this one"
                )
        teachable = read_teachable(str(completed_file(tools_file, directory)))
    return Run(Request(flags, teachable, root), state)


def _read_files(flags: Flags, tools_file: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of the user's that a run reads, by what they hold."""
    yield "tools", tools_file
    if flags.data:
        yield "data", Path(flags.data)
    if flags.text_file:
        yield "text", Path(flags.text_file)


def write_state(directory: Path, state: Mapping[str, Any]) -> None:
    """Note what a run was asked and has done."""
    with new_file(directory / STATE_FILE) as partial:
        write_json(partial, state)


def _read_state(directory: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state of the run in a directory, None for a new or empty one."""
    file = directory / STATE_FILE
    if not file.is_file():
        left = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        if foreign := sorted(left - {ASKED_FILE, COMPLETED_FILE}):
            raise FileExistsError(
                f"{directory} holds {foreign[0]} and was not written by this command; name "
                "another --output-dir"
            )
        return None
    state = read_json_object(file)
    may_change = {"chat_format"} if _is_of_any_format(state["done"]) else set()
    for name, value in json.loads(json.dumps(asked)).items():
        before = state["flags"].get(name)
        if before != value and name not in may_change:
            raise ValueError(
                f"{directory} was begun with {_flag(name, before)}, and now it is "
                f"{_flag(name, value)}; give the same flags to go on, or name another --output-dir"
            )
    return {**state, "flags": asked}


def _is_of_any_format(done: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether nothing was done yet that would be another thing in another chat format."""
    return all(any(name in step["command"] for name in _OF_ANY_FORMAT) for step in done)


def _flag(name: str, value: Any) -> str:
    if name == "settings":
        return " ".join(f"--{key}={given}" for key, given in value.items()) or "no settings"
    return f"no {flag_of(name)}" if value is None else f"{flag_of(name)} {value}"
