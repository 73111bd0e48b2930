"""Training conversations as they stand, trained beside kept replies against forgetting."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from chat.conversation import Conversation
from data.cleaning.any_layout import read_any_layout
from data.conversations import fraction
from rewards.held_out import HeldOut


def replayed(
    files: Sequence[Path | str], held_out: HeldOut, count: int, seed: int
) -> list[Conversation]:
    """Draw at most `count` conversations of files; nothing of them is held out."""
    allowed = _allowed(files, held_out)
    return heapq.nsmallest(count, allowed, key=lambda found: fraction(f"{seed}/{found.id}"))


def _allowed(files: Sequence[Path | str], held_out: HeldOut) -> Iterator[Conversation]:
    for number, file in enumerate(map(Path, files), 1):
        # Files of one generator number their rows alike.
        more = f"/{number}" if len(files) > 1 else ""
        for conversation in read_any_layout(file):
            if not held_out.holds(conversation):
                yield replace(conversation, id=f"{conversation.id}{more}")
