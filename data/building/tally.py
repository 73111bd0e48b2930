"""What a build took and what it left out, counted."""

from dataclasses import asdict, dataclass, field
from typing import Any

from data.bounded_counts import MOST_NAMED, add_count

# The lists of a tally.
LISTS = ("overlong", "untrained", "unwritable", "tools_dropped")


@dataclass
class Tally:
    """What was taken and what was left out, in a form that JSON keeps.

    files: For each part of the mixture its rows ("conversations"), and of them how many were not
        drawn; and how many samples they became in each split.
    overlong, untrained, unwritable, tools_dropped: What was left out or shortened; `unwritable`
        is what the chat format has no way to write. Of all blocks together, the first MOST_NAMED
        of each.
    counts: How many there were of each of these.
    longest: The entry of the longest of the overlong ones.
    least, greatest: The places of the taken conversations lie between these.
    """

    files: list[dict[str, int]]
    sources: dict[str, int] = field(default_factory=dict)
    overlong: list[dict[str, Any]] = field(default_factory=list)
    untrained: list[str] = field(default_factory=list)
    unwritable: list[dict[str, str]] = field(default_factory=list)
    tools_dropped: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LISTS, 0))
    longest: dict[str, Any] | None = None
    least: float = 1.0
    greatest: float = 0.0

    @staticmethod
    def empty(parts: int) -> "Tally":
        """Return the tally of no rows."""
        names = ("conversations", "not_drawn", "train", "validation")
        return Tally([dict.fromkeys(names, 0) for _ in range(parts)])

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return sum(file["conversations"] for file in self.files)

    @property
    def entries(self) -> int:
        """How many entries it has that grow with the rows."""
        return len(self.sources) + sum(len(getattr(self, name)) for name in LISTS)

    def add(self, other: "Tally") -> None:
        """Count what another process counted in one block."""
        for mine, theirs in zip(self.files, other.files, strict=True):
            for name, number in theirs.items():
                mine[name] += number
        for source, count in other.sources.items():
            add_count(self.sources, source, count)
        for name in LISTS:
            mine, theirs = getattr(self, name), getattr(other, name)
            self.counts[name] += len(theirs)
            mine += theirs[: MOST_NAMED - len(mine)]
        for entry in other.overlong:
            if self.longest is None or entry["tokens"] > self.longest["tokens"]:
                self.longest = entry
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)
