"""Recognise copies and near copies of earlier conversations, among any number of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from data.cleaning.fingerprints import Fingerprint
from data.cleaning.similarity import SIMILAR, bands, similarity

# What SQLite keeps in memory, in KiB; the rest is in its file and the system's cache.
CACHE = 8192
# How many keys one query asks for; SQLite has a limit, and a row may hold any number of calls.
KEYS_AT_ONCE = 500


@dataclass(frozen=True)
class Earlier:
    """An earlier row that makes a new one superfluous or doubtful: its number, and which rule."""

    rule: str
    row: int
    how: str


class EarlierConversations:
    """The fingerprints met so far, in a temporary database that moves to disk when it grows.

    Keys are 64 bits of a digest: among ten million of them two are the same by chance once in
    400,000 files. OSError when the disk is full.
    """

    def __init__(self) -> None:
        # "" is a database of its own, in a temporary file that no other process can see.
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.execute("PRAGMA cache_size = -" + str(CACHE))
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, row INT, value BLOB)")
        self.database.execute("CREATE TABLE sketches (row INTEGER PRIMARY KEY, value BLOB)")
        self.database.execute("BEGIN")

    def find(self, found: Fingerprint, row: int) -> Earlier | None:
        """Return what makes this row superfluous; when there is nothing, remember it."""
        with _room():
            entries = _entries(found)
            known = self._known([key for key, _ in entries])
            earlier = self._judge(found, entries, known)
            if earlier is None:
                seen = [(key, row, value) for key, value in entries]
                self.database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", seen)
                self.database.execute("INSERT INTO sketches VALUES (?, ?)", (row, found.sketch))
            return earlier

    def _judge(
        self,
        found: Fingerprint,
        entries: list[tuple[int, bytes]],
        known: dict[int, tuple[int, bytes]],
    ) -> Earlier | None:
        if same := known.get(entries[0][0]):
            if same[1] == found.tools:
                return Earlier("duplicate", same[0], "the same conversation as")
            return Earlier("duplicate-other-tools", same[0], "but for its tools the same as")
        for key, calls in entries[1 : 1 + len(found.labels)]:
            if key in known and known[key][1] != calls:
                how = "the tools and turns before are the same, the calls are not: see"
                return Earlier("contradictory-labels", known[key][0], how)
        # The keys of the bands hold what is called and counted too.
        near = {known[key][0] for key, _ in entries[1 + len(found.labels) :] if key in known}
        for row in sorted(near):
            share = similarity(found.sketch, self._sketch(row))
            if share >= SIMILAR:
                return Earlier(
                    "near-duplicate", row, f"about {share:.0%} of the words are those of"
                )
        return None

    def _known(self, keys: list[int]) -> dict[int, tuple[int, bytes]]:
        found: dict[int, tuple[int, bytes]] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT key, row, value FROM seen WHERE key IN ({marks})"
            for key, row, value in self.database.execute(query, some):
                found[key] = row, value
        return found

    def _sketch(self, row: int) -> bytes:
        found = self.database.execute("SELECT value FROM sketches WHERE row = ?", (row,))
        value: bytes = found.fetchone()[0]
        return value

    def close(self) -> None:
        """Close the database, which deletes it."""
        self.database.close()


def _entries(found: Fingerprint) -> list[tuple[int, bytes]]:
    """Return the keys of a conversation with their values: itself, its labels, its bands."""
    entries = [(_number(found.messages), found.tools)]
    entries += [(_number(label.prompt), label.calls) for label in found.labels]
    meaning = _number(found.meaning)
    for place, band in enumerate(bands(found.sketch)):
        entries.append((meaning ^ (int.from_bytes(band, "big") << 8 | place), b""))
    return entries


def _number(digest: bytes) -> int:
    """Return 64 bits of a digest as SQLite's keys are: with a sign."""
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(
            f"the index of duplicates cannot be written ({error}); free some room, or name a "
            "folder with more in the environment variable SQLITE_TMPDIR"
        ) from error
