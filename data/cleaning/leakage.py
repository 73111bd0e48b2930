"""Find training conversations that ask a benchmark's questions, whatever their tools are called.

A question counts as asked where a user's turn says the same words, or holds four in five of its
runs of five words. Case, punctuation and the names of the tools do not count, since a copy may
have renamed them. Questions of few words ("list c drive") may agree by chance: those count only
where a tool is the question's too, by name or by its parameters. A tool alone is no copy.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Tool
from data.benchmarks.bfcl import Question, read_questions
from data.cleaning.similarity import words_of
from data.outcomes import Rejected, pointer
from storage.manifest import sha256_of_file

RUN = 5
ENOUGH_RUNS = 0.8
# Shorter questions must share a tool too; runs are compared from LONG words on.
TELLING = 6
LONG = 10


@dataclass(frozen=True, eq=False)
class _Entry:
    """A question of a file; `runs` is how many runs of words one of its texts has."""

    file: str
    question: Question
    runs: int


class Benchmark:
    """The questions of some files, found by what is asked; they are few and kept in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.files: list[dict[str, Any]] = []
        self.texts: dict[tuple[bytes, ...], list[_Entry]] = {}
        self.runs: dict[tuple[bytes, ...], list[_Entry]] = {}
        for path in paths:
            questions = list(read_questions(path))
            sha256 = sha256_of_file(path)
            self.files.append({"file": path.name, "sha256": sha256, "questions": len(questions)})
            for question in questions:
                self._add(path.name, question)

    def _add(self, file: str, question: Question) -> None:
        for text in question.texts:
            for words in _readings(text, question.tools):
                runs = _runs(words)
                entry = _Entry(file, question, len(runs))
                self.texts.setdefault(words, []).append(entry)
                if len(words) >= LONG:
                    for run in runs:
                        self.runs.setdefault(run, []).append(entry)

    def check_no_copy(self, conversation: Conversation) -> None:
        """Raise Rejected when a user of the conversation asks a question of the benchmark."""
        for i, message in enumerate(conversation.messages):
            if message.role != "user":
                continue
            for words in _readings(message.content, conversation.tools):
                for entry in self._asked(words):
                    how = _compared(entry.question.tools, conversation.tools)
                    if len(words) < TELLING and how is None:
                        continue
                    reason = f"{entry.question.id} of {entry.file} asks this, with " + (
                        how or "other tools"
                    )
                    where = pointer("messages", i, "content")
                    raise Rejected("benchmark-copy", where, reason, message.content)

    def _asked(self, words: tuple[bytes, ...]) -> Iterator[_Entry]:
        yield from self.texts.get(words, ())
        if len(words) < LONG:
            return
        met = Counter(entry for run in _runs(words) for entry in self.runs.get(run, ()))
        for entry, count in met.items():
            if count >= ENOUGH_RUNS * entry.runs:
                yield entry


@lru_cache(maxsize=4)
def load_benchmark(paths: tuple[Path, ...]) -> Benchmark:
    """Read the questions of some files, once in each process."""
    return Benchmark(paths)


def _readings(text: str, tools: Iterable[Tool]) -> Iterator[tuple[bytes, ...]]:
    """Yield the words of a text, and those that are left without the names of its tools."""
    words = tuple(words_of(text))
    yield words
    bare = text
    for tool in tools:
        bare = bare.replace(tool.name, " ")
    if bare != text and (left := tuple(words_of(bare))):
        yield left


def _runs(words: tuple[bytes, ...]) -> set[tuple[bytes, ...]]:
    return {words[i : i + RUN] for i in range(max(1, len(words) - RUN + 1))}


def _compared(asked: Iterable[Tool], declared: Iterable[Tool]) -> str | None:
    """Return in words how the tools of a question stand in a conversation; None if they do not."""
    found = {tool.name: tool for tool in declared}
    shapes = {_shape(tool) for tool in found.values()}
    how = None
    for tool in asked:
        if tool.name in found:
            same = list(_parameters(found[tool.name])) == list(_parameters(tool))
            return f"{tool.name} too" + ("" if same else ", its parameters otherwise")
        if _shape(tool) in shapes and _parameters(tool):
            how = f"{tool.name} under another name"
    return how


def _shape(tool: Tool) -> frozenset[str]:
    return frozenset(_parameters(tool))


def _parameters(tool: Tool) -> Any:
    return tool.parameters.get("properties", {})
