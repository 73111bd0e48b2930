"""The prompts that replies are drawn to: turns of training conversations, chosen by a seed."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.conversations import fraction
from evaluation.items import TURN_CATEGORIES, Item, check_categories, conversation_items
from rewards.held_out import HeldOut


@dataclass(frozen=True)
class Prompt:
    """An item, the file it is of, and the start of the ids of rows that are made of it."""

    item: Item
    file: Path
    id: str


def read_prompts(
    files: Sequence[Path | str],
    held_out: HeldOut,
    categories: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Prompt]:
    """Read the turns of conversations that are not held out; of `limit` many, drawn by the seed.

    UsageError for a category that there is none of; ValueError where no prompt is left.
    """
    if categories is not None:
        check_categories(categories, TURN_CATEGORIES)
    found = _prompts(files, held_out, categories)
    if limit is None:
        chosen = list(found)
    else:
        chosen = heapq.nsmallest(limit, found, key=lambda prompt: fraction(f"{seed}/{prompt.id}"))
    if not chosen:
        refused = f"; {held_out.refused.total():,} are held out" if held_out.refused else ""
        raise ValueError(
            f"{', '.join(map(str, files))}: no turn of an assistant is left to be replied to"
            f"{refused}; name training conversations with --dataset-file, or fewer --categories"
        )
    return chosen


def _prompts(
    files: Sequence[Path | str], held_out: HeldOut, categories: Sequence[str] | None
) -> Iterator[Prompt]:
    for number, file in enumerate(map(Path, files), 1):
        # Files of one generator number their rows alike.
        more = f"/{number}" if len(files) > 1 else ""
        for item in held_out.keep(conversation_items(file)):
            if categories is None or item.category in categories:
                yield Prompt(item, file, f"{item.id}{more}")
