"""A run of scripts/teach.py: what it was asked, what is done, and how it goes on."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from console.journey import Done
from evaluation.failures import count_failures, failures_line
from teaching.journal import Journal, begin_journal, read_journal
from teaching.mcp_server import ask_for_tools
from teaching.page import write_page
from teaching.request import Flags, Request, check_flags, scores_file
from teaching.scores import NOTHING_LEARNT, commands_after, nothing_learnt
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
    journal: Journal

    def go(self) -> Iterator[Done]:
        """Run the steps that are not done yet, note each, and write the page."""
        request, done = self.request, list[Done]()
        for step in self.journal.run(steps(request), request.root, count_steps(request)):
            done.append(step)
            yield step
        write_page(request.directory / PAGE_FILE, as_scored(request), done)

    def lines(self) -> Iterator[str]:
        """Yield what is left to say at the end: whether it learnt, its failures, and the page."""
        if nothing_learnt(as_scored(self.request)):
            yield f"\n{NOTHING_LEARNT}"
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
        return commands_after(as_scored(self.request))


def open_run(flags: Flags, root: Path) -> Run:
    """Return a new run, or an unfinished one of the same flags; its tools are read and checked.

    FileExistsError or ValueError names what in the directory differs.
    """
    check_flags(flags)
    directory = Path(flags.output_dir)
    tools_file = Path(flags.tools_file or directory / ASKED_FILE)
    asked = {key: value for key, value in asdict(flags).items() if key != "output_dir"}
    others = (ASKED_FILE, COMPLETED_FILE)
    journal = read_journal(directory / STATE_FILE, asked, others, _may_change)
    files = dict(_read_files(flags, tools_file))
    if journal is None:
        if flags.mcp:
            ask_for_tools(flags.mcp, tools_file)
        teachable = read_teachable(str(complete_file(tools_file, directory)))
        journal = begin_journal(directory / STATE_FILE, asked, files)
    else:
        journal.check_unchanged(files)
        teachable = read_teachable(str(completed_file(tools_file, directory)))
    return Run(Request(flags, teachable, root), journal)


def _read_files(flags: Flags, tools_file: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of the user's that a run reads, by what they hold."""
    yield "tools", tools_file
    if flags.data:
        yield "data", Path(flags.data)
    if flags.text_file:
        yield "text", Path(flags.text_file)


def _may_change(done: Sequence[Mapping[str, Any]]) -> Collection[str]:
    """Return the flags that nothing was done with yet."""
    is_any = all(any(name in step["command"] for name in _OF_ANY_FORMAT) for step in done)
    return ("chat_format",) if is_any else ()
