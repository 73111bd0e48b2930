"""A run of scripts/teach.py: what it was asked, what is done, and how it goes on."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from console.flags import flag_of
from console.journey import Done, run_journey
from evaluation.failures import count_failures, failures_line
from storage.atomic import new_file
from storage.json_file import read_json_object, write_json
from storage.manifest import sha256_of_file
from synthesis.mixtures import PLAIN
from teaching.mcp_server import ask_for_tools
from teaching.page import write_page
from teaching.request import Request, next_commands, scores_file
from teaching.steps import as_scored, count_steps, steps
from teaching.tools import complete_file, read_teachable

STATE_FILE = "teach.json"
PAGE_FILE = "index.html"
ASKED_FILE = "tools_of_server.json"
# What a directory of a model holds, one of them at least: ours, Meta's, Hugging Face's.
_OF_MODELS = ("params.json", "config.json")


@dataclass(frozen=True)
class Flags:
    """The flags of scripts/teach.py, whose help says what each does."""

    model_dir: str
    output_dir: str
    tools_file: str | None = None
    mcp: str | None = None
    data: str | None = None
    format: str | None = None
    rounds: int = 1
    count: int = 2000
    scored: int = 400
    general: float = 0.5
    most_tools: int = PLAIN.most_tools
    chat_format: str | None = None
    max_new_tokens: int = 256
    batch_size: int = 32
    seed: int = 3
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("rounds", "count", "scored", "most_tools", "max_new_tokens", "batch_size"):
            if (number := getattr(self, name)) < 1:
                raise ValueError(f"{flag_of(name)} is {number}, wanted a number from 1 up")
        if self.general < 0:
            raise ValueError(f"--general is {self.general}, wanted 0 or more")
        if not Path(self.model_dir).is_dir():
            raise FileNotFoundError(
                f"--model-dir {self.model_dir} does not exist; name a directory of weights "
                "(docs/models.md says where to get them; demo/base is a tiny one)"
            )
        if not any((Path(self.model_dir) / name).is_file() for name in _OF_MODELS):
            raise ValueError(
                f"--model-dir {self.model_dir} holds no model: none of {', '.join(_OF_MODELS)}"
            )
        if self.data and not Path(self.data).is_file():
            raise FileNotFoundError(f"--data {self.data} does not exist; name a file of rows")


@dataclass
class Run:
    """One run in its directory."""

    request: Request
    root: Path
    directory: Path
    state: dict[str, Any]

    def go(self) -> Iterator[Done]:
        """Run the steps that are not done yet, note each, and write the page."""
        earlier = [Done(**record) for record in self.state["done"]]
        done: list[Done] = []
        journey = run_journey(
            steps(self.request, self.root),
            self.directory,
            self.root,
            earlier,
            count_steps(self.request, self.root),
        )
        for step in journey:
            done.append(step)
            if len(done) > len(earlier) or earlier[len(done) - 1] != step:
                earlier = list(done)
                self.state["done"] = [asdict(one) for one in done]
                write_state(self.directory, self.state)
            yield step
        request = as_scored(self.request, self.root)
        write_page(self.directory / PAGE_FILE, request, self.directory, done)

    def lines(self) -> Iterator[str]:
        """Yield what is left to say at the end: the failures of the tuned model, and the page."""
        file = self.directory / scores_file("tuned", "taught")
        yield f"\nFailures of the fine-tuned model: {failures_line(count_failures(file))}"
        if unsplit := self.request.teachable.unsplit:
            yield (
                f"No values were held out: {', '.join(unsplit[:5])} have too few; give them more "
                '"examples"'
            )
        yield f"Page: {self.request.output / PAGE_FILE}"

    def next_commands(self) -> tuple[str, ...]:
        """Return what to run next, as it is typed."""
        return next_commands(self.request)


def open_run(flags: Flags, root: Path) -> Run:
    """Return a new run, or an unfinished one of the same flags; its tools are read and checked.

    FileExistsError or ValueError names what in the directory differs.
    """
    directory = Path(flags.output_dir)
    asked = {key: value for key, value in asdict(flags).items() if key != "output_dir"}
    state = _read_state(directory, asked)
    if state is None:
        tools_file = Path(flags.tools_file or directory / ASKED_FILE)
        if flags.mcp:
            ask_for_tools(flags.mcp, tools_file)
        file = complete_file(tools_file, directory)
        read_teachable(str(file))
        digest = sha256_of_file(tools_file)
        state = {"flags": asked, "tools": str(file), "tools_sha256": digest, "done": []}
        write_state(directory, state)
    elif flags.tools_file and sha256_of_file(Path(flags.tools_file)) != state["tools_sha256"]:
        raise ValueError(
            f"{flags.tools_file} has changed since {directory} was begun; name another "
            "--output-dir, or remove this one"
        )
    teachable = read_teachable(_typed(state["tools"], root))
    data = flags.data and _typed(flags.data, root)
    named = ("count", "scored", "rounds", "general", "most_tools", "chat_format", "max_new_tokens")
    request = Request(
        teachable,
        _typed(flags.model_dir, root),
        Path(_typed(directory, root)),
        data,
        flags.format or "auto",
        settings=flags.settings,
        **{name: getattr(flags, name) for name in (*named, "batch_size", "seed")},
    )
    return Run(request, root, directory, state)


def write_state(directory: Path, state: Mapping[str, Any]) -> None:
    """Note what a run was asked and has done."""
    with new_file(directory / STATE_FILE) as partial:
        write_json(partial, state)


def _read_state(directory: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state of the run in a directory, None for a new or empty one."""
    file = directory / STATE_FILE
    if not file.is_file():
        left = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        if left - {ASKED_FILE, "tools.json"}:
            raise FileExistsError(
                f"{directory} holds {sorted(left)[0]} and was not written by this command; name "
                "another --output-dir"
            )
        return None
    state = read_json_object(file)
    for name, value in json.loads(json.dumps(asked)).items():
        before = state["flags"].get(name)
        if before != value:
            raise ValueError(
                f"{directory} was begun with {_flag(name, before)}, and now it is "
                f"{_flag(name, value)}; give the same flags to go on, or name another --output-dir"
            )
    return state


def _flag(name: str, value: Any) -> str:
    if name == "settings":
        return " ".join(f"--{key}={given}" for key, given in value.items()) or "no settings"
    return f"no {flag_of(name)}" if value is None else f"{flag_of(name)} {value}"


def _typed(path: Path | str, root: Path) -> str:
    """Return a path as it is typed in `root`: from there where it lies inside, else whole."""
    absolute = Path(os.path.abspath(path))
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)
