"""Recognise conversations that came earlier, among any number of them."""

import sqlite3


class SeenConversations:
    """The digests met so far, in a temporary database that moves to disk when it grows."""

    def __init__(self) -> None:
        # "" is a database of its own that SQLite keeps in its page cache and a temporary file.
        self.database = sqlite3.connect("")
        self.database.execute("PRAGMA cache_size = -65536")
        self.database.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID"
        )

    def first(self, digest: str, row: int) -> int:
        """Return the first row that had this digest: `row` itself when it is new."""
        key = bytes.fromhex(digest)
        added = self.database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, row))
        if added.rowcount:
            return row
        found = self.database.execute("SELECT row FROM seen WHERE digest = ?", (key,))
        return int(found.fetchone()[0])

    def close(self) -> None:
        """Close the database, which deletes it."""
        self.database.close()
