"""The pairs of a cleaning: rows that hold two answers, and negatives with a kept row's answer."""

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, get_args

from chat.conversation import Conversation
from data.cleaning.audit import Outcome
from data.cleaning.pairs import pair_line, pair_of

# What becomes of rows that say that they show what not to do; the default first.
Negatives = Literal["drop", "pair"]
NEGATIVES: tuple[str, ...] = get_args(Negatives)


def pairs_beside(save_file: Path) -> Path:
    """Return where the pairs of a cleaning are written: NAME.pairs.jsonl."""
    return save_file.with_suffix(".pairs.jsonl")


class PairCollector:
    """Collects pairs in temporary files in `folder`, which the system deletes with the process.

    of_rows, of_negatives: How many pairs each kind of row gave, copies left out.
    unpaired: How many negatives found no kept row of equal prompt that answers otherwise.
    """

    def __init__(self, folder: Path, negatives: str) -> None:
        self.joins = negatives == "pair"
        self.files = ExitStack()
        self.lines = self._temporary_file(folder)
        self.negatives = self._temporary_file(folder)
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("CREATE TABLE kept (prompt BLOB PRIMARY KEY, at INT) WITHOUT ROWID")
        self.database.execute("CREATE TABLE pairs (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self.database.execute("BEGIN")
        self.of_rows = self.of_negatives = self.unpaired = 0

    def _temporary_file(self, folder: Path) -> IO[str]:
        return self.files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder))

    def add(self, outcome: Outcome, start: int) -> None:
        """Take what a row gives; `start` is where its line begins among the kept ones, in bytes."""
        if outcome.pair:
            self.of_rows += self._write(outcome.pair)
        if not self.joins or outcome.fingerprint is None:
            return
        prompts = outcome.fingerprint.prompts
        if outcome.negative:
            print(prompts[-1].hex(), outcome.negative, end="", file=self.negatives)
        elif outcome.line:
            rows = [(prompt, start) for prompt in prompts]
            self.database.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", rows)

    def join_negatives(self, kept: BinaryIO) -> None:
        """Pair each negative with the first kept row of equal prompt; `kept` are all kept lines."""
        self.negatives.seek(0)
        for entry in self.negatives:
            prompt, _, line = entry.partition(" ")
            query = "SELECT at FROM kept WHERE prompt = ?"
            place = self.database.execute(query, (bytes.fromhex(prompt),)).fetchone()
            if place is None:
                self.unpaired += 1
                continue
            kept.seek(place[0])
            negative = Conversation.from_record(json.loads(line))
            good = Conversation.from_record(json.loads(kept.readline()))
            pair = pair_of(_answered(good, place_of_answer(negative)), negative)
            if pair is None:
                self.unpaired += 1
            else:
                self.of_negatives += self._write(pair_line(pair))

    def _write(self, line: str) -> bool:
        """Write a pair, and return whether it is new; its id does not count."""
        digest = blake2b(line[line.index('"tools": ') :].encode(), digest_size=16).digest()
        added = self.database.execute("INSERT OR IGNORE INTO pairs VALUES (?)", (digest,))
        if added.rowcount:
            self.lines.write(line)
        return bool(added.rowcount)

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return self.of_rows + self.of_negatives

    def written(self) -> Iterator[str]:
        """Yield the lines of all pairs."""
        self.lines.seek(0)
        yield from self.lines

    def record(self) -> dict[str, Any]:
        """Return what the report says of pairs."""
        return {
            "written": self.count,
            "of_rows": self.of_rows,
            "of_negatives": self.of_negatives,
            "negatives_without_partner": self.unpaired,
        }

    def close(self) -> None:
        """Close the temporary files, which deletes them."""
        self.database.close()
        self.files.close()


def place_of_answer(conversation: Conversation) -> int:
    """Return the place after the last turn that is no assistant's answer or tool's result."""
    asked = (i for i, m in enumerate(conversation.messages) if m.role in ("user", "system"))
    return 1 + max(asked, default=-1)


def _answered(conversation: Conversation, place: int) -> Conversation:
    """Return a conversation up to where the answer ends that begins at a place."""
    end = place
    while end < len(conversation.messages) and conversation.messages[end].role != "user":
        end += 1
    return replace(conversation, messages=conversation.messages[:end])
