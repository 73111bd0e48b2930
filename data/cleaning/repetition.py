"""Recognise copies and near copies of earlier conversations, among any number of them."""

import sqlite3
from dataclasses import dataclass
from typing import Literal, get_args

from data.cleaning.fingerprints import Fingerprint, Said
from data.cleaning.similarity import HASHES, SIMILAR, bands, is_other_in_frame, similarity

# What SQLite keeps in memory, in KiB; the rest is in its file and the system's cache.
CACHE = 8192
# How many keys one query asks for; SQLite has a limit, and a row may hold any number of calls.
KEYS_AT_ONCE = 500
# How alike near duplicates are: in all that the turns say; in the system's text, so that another
# one is no near copy; in what users say, whatever long results both share; and in the answers.
ALIKE = (SIMILAR, 0.7, 0.7, SIMILAR)
# What becomes of copies, and of rows that call otherwise after the same turns; defaults first.
Duplicates = Literal["near", "exact", "keep"]
DUPLICATES: tuple[str, ...] = get_args(Duplicates)
Contradictions = Literal["first", "keep", "drop"]
CONTRADICTIONS: tuple[str, ...] = get_args(Contradictions)


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

    def __init__(self, duplicates: str = "near", contradictions: str = "first") -> None:
        self.duplicates = duplicates
        self.contradictions = contradictions
        # "" is a database of its own, in a temporary file that no other process can see.
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.execute("PRAGMA cache_size = -" + str(CACHE))
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, row INT, value BLOB)")
        self.database.execute("CREATE TABLE said (row INTEGER PRIMARY KEY, a BLOB, b BLOB, c BLOB)")
        self.database.execute("CREATE TABLE contradicted (key INTEGER PRIMARY KEY, a INT, b INT)")
        self.database.execute("BEGIN")

    def note_labels(self, found: Fingerprint, row: int) -> None:
        """Note what a row calls, before any is judged: for `contradictions` "drop"."""
        with _ROOM:
            labels = _label_entries(found)
            known = self._known([key for key, _ in labels])
            against = [
                (key, known[key][0], row)
                for key, calls in labels
                if key in known and known[key][1] != calls
            ]
            self._remember(labels, row)
            self.database.executemany("INSERT OR IGNORE INTO contradicted VALUES (?,?,?)", against)

    def find(self, found: Fingerprint, row: int) -> Earlier | None:
        """Return what makes this row superfluous; when there is nothing, remember it."""
        with _ROOM:
            entries = [(_number(found.messages), found.tools), *_label_entries(found)]
            if self.duplicates == "near":
                entries += _band_entries(found)
            known = self._known([key for key, _ in entries])
            earlier = self._judge(found, row, entries, known)
            if earlier is None:
                self._remember(entries, row)
            if earlier is None and self.duplicates == "near":
                said = found.said
                values = (row, said.sketch + b"".join(said.parts), said.asked, said.answers)
                self.database.execute("INSERT INTO said VALUES (?, ?, ?, ?)", values)
            return earlier

    def _remember(self, entries: list[tuple[int, bytes]], row: int) -> None:
        seen = [(key, row, value) for key, value in entries]
        self.database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", seen)

    def _judge(
        self,
        found: Fingerprint,
        row: int,
        entries: list[tuple[int, bytes]],
        known: dict[int, tuple[int, bytes]],
    ) -> Earlier | None:
        same = known.get(entries[0][0])
        if same and self.duplicates != "keep":
            if same[1] == found.tools:
                return Earlier("duplicate", same[0], "the same conversation as")
            return Earlier("duplicate-other-tools", same[0], "but for its tools the same as")
        other = self._contradicted(entries[1 : 1 + len(found.labels)], known, row)
        if other is not None:
            how = "the tools and turns before are the same, the calls are not: see"
            return Earlier("contradictory-labels", other, how)
        if not known:
            return None
        near = {known[key][0] for key, _ in entries[1 + len(found.labels) :] if key in known}
        for candidate in sorted(near):
            if share := self._likeness(found.said, candidate):
                how = f"about {share:.0%} of the words are those of"
                return Earlier("near-duplicate", candidate, how)
        return None

    def _contradicted(
        self, labels: list[tuple[int, bytes]], known: dict[int, tuple[int, bytes]], row: int
    ) -> int | None:
        """Return the number of a row that calls otherwise."""
        if self.contradictions == "first":
            against = (
                known[key][0] for key, calls in labels if key in known and known[key][1] != calls
            )
            return next(against, None)
        if self.contradictions == "drop":
            query = "SELECT a, b FROM contradicted WHERE key = ?"
            for key, _ in labels:
                for one, other in self.database.execute(query, (key,)):
                    return int(other if one == row else one)
        return None

    def _likeness(self, said: Said, row: int) -> float:
        """Return how much of what is said an earlier row says too; 0 where they are not near."""
        query = "SELECT a, b, c FROM said WHERE row = ?"
        sketches, asked, answers = self.database.execute(query, (row,)).fetchone()
        shares = [
            similarity(part, sketches[i * HASHES : (i + 1) * HASHES])
            for i, part in enumerate((said.sketch, *said.parts))
        ]
        # Where something is called, answers have no sketch of their own.
        wanted = ALIKE[: len(shares)]
        if any(share < least for share, least in zip(shares, wanted, strict=True)):
            return 0.0
        if is_other_in_frame(said.asked, asked) or is_other_in_frame(said.answers, answers):
            return 0.0
        return shares[0]

    def _known(self, keys: list[int]) -> dict[int, tuple[int, bytes]]:
        found: dict[int, tuple[int, bytes]] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT key, row, value FROM seen WHERE key IN ({marks})"
            for key, row, value in self.database.execute(query, some):
                found[key] = row, value
        return found

    def close(self) -> None:
        """Close the database, which deletes it."""
        self.database.close()


def _band_entries(found: Fingerprint) -> list[tuple[int, bytes]]:
    """Return the keys that conversations have in common which call the same and say much alike."""
    meaning, number = _number(found.meaning), int.from_bytes
    return [
        (meaning ^ (number(band, "big") << 8 | place), b"")
        for place, band in enumerate(bands(found.said.sketch))
    ]


def _label_entries(found: Fingerprint) -> list[tuple[int, bytes]]:
    return [(_number(label.prompt), label.calls) for label in found.labels]


def _number(digest: bytes) -> int:
    """Return 64 bits of a digest as SQLite's keys are: with a sign."""
    return int.from_bytes(digest[:8], "big", signed=True)


class _Room:
    """Says what to do where SQLite has no room; entered for every row, so it is no generator."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise OSError(
                f"the index of duplicates cannot be written ({error}); free some room, or name a "
                "folder with more in the environment variable SQLITE_TMPDIR"
            ) from error


_ROOM = _Room()
