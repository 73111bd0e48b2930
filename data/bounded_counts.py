"""Counts by a name that rows bring: of any number of names, the first ones are told apart."""

MOST_NAMED = 1000
OTHERS = "(others)"


def add_count(counts: dict[str, int], name: str, times: int = 1) -> None:
    """Add to the count of a name, or of OTHERS once MOST_NAMED names are there."""
    known = name in counts or len(counts) < MOST_NAMED
    key = name if known else OTHERS
    counts[key] = counts.get(key, 0) + times
