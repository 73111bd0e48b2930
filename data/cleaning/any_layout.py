"""Conversations of any layout that can be cleaned: canonical ones as they are, others cleaned."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from chat.conversation import Conversation
from data.cleaning.clean_file import clean
from data.cleaning.clean_row import Settings
from data.cleaning.sources import with_layout
from data.conversations import read_conversations
from data.reading.rows import read_rows, read_unparsed


def read_any_layout(
    path: Path | str, tell: Callable[[str], None] = print
) -> Iterator[Conversation]:
    """Yield a file's conversations; rows of another layout are cleaned and reported to `tell`.

    Raises ValueError for a layout that is not known, and where no row can be used.
    """
    path = Path(path)
    yield from read_conversations(path) if is_canonical(path) else _cleaned(path, tell)


def is_canonical(path: Path) -> bool:
    """Return whether a file holds canonical conversations, as far as its first row with a call."""
    for row in read_rows(path):
        try:
            conversation = Conversation.from_record(row.value)
        except ValueError:
            return False
        if any(message.tool_calls for message in conversation.messages):
            break
    return True


def _cleaned(path: Path, tell: Callable[[str], None]) -> Iterator[Conversation]:
    rows, layout = with_layout(read_unparsed(path), path, "auto")
    kept, rejected = 0, Counter[str]()
    try:
        for outcome in clean({path.name: rows}, layout, Settings()):
            if outcome.rejected:
                rejected[outcome.rejected.rule] += 1
                continue
            kept += 1
            yield Conversation.from_record(json.loads(outcome.line))
    finally:
        # Also when the caller stops before the last row.
        rules = ", ".join(f"{rule} {count:,}" for rule, count in rejected.most_common())
        tell(
            f"{path}: rows of the layout {layout}, cleaned while they were read: {kept:,} used, "
            f"{rejected.total():,} rejected" + (f" ({rules})" if rules else "")
        )
    if not kept:
        raise ValueError(
            f"{path}: none of {rejected.total():,} rows can be used; see why with: python "
            f"scripts/clean_dataset.py --source-file {path} --save-file F"
        )
