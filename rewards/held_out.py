"""What is held out never yields a prompt that is learnt from.

A prompt is refused where its conversation stands in the validation split of a dataset or in a file
that is named, and where the same tools and messages are a prompt there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from chat.conversation import Conversation
from data.cleaning.any_layout import read_any_layout
from data.conversations import content_sha256
from data.tokenized import TokenizedDataset
from evaluation.items import Item, turn_items
from evaluation.trained_on import trained_dataset
from weights.chat_record import read_chat_record


class HeldOut:
    """The sha256s of conversations and prompts that are held out, each with the place it is in."""

    def __init__(self, places: Iterable[Path | str]) -> None:
        self.places = tuple(dict.fromkeys(Path(place) for place in places))
        self.refused: Counter[str] = Counter()
        self._known: dict[str, str] = {}
        for place in self.places:
            for sha256 in _dataset_sha256s(place) if place.is_dir() else _file_sha256s(place):
                self._known.setdefault(sha256, str(place))

    def keep(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items that are not held out; the others are counted in `refused` by place."""
        for item in items:
            found = self._place(item)
            if found is None:
                yield item
            else:
                self.refused[found] += 1

    def holds(self, conversation: Conversation) -> bool:
        """Return whether a conversation or a prompt in it is held out."""
        if conversation.sha256 in self._known:
            return True
        return any(self._place(item) is not None for item in turn_items(conversation))

    def _place(self, item: Item) -> str | None:
        if not self._known:
            return None
        found = self._known.get(item.conversation_id)
        return found or self._known.get(content_sha256(item.conversation))

    def lines(self) -> Iterator[str]:
        """Yield in words how many prompts were refused because of each place."""
        if not self.places:
            yield (
                "warning: nothing is known to be held out; name what you score on with --never-from"
            )
        for place in map(str, self.places):
            yield f"Held out: {self.refused[place]:,} prompts that stand in {place} are not used"


def validation_of(directory: Path, tell: Callable[[str], None] = print) -> list[Path]:
    """Return the dataset that weights were trained on, which holds a validation split.

    Empty for weights that nobody trained, and where the dataset is gone, which `tell` is told.
    """
    try:
        return [trained_dataset(directory).directory]
    except (OSError, ValueError, LookupError, TypeError):
        if read_chat_record(directory) is not None:
            tell(
                f"warning: the dataset that {directory} was trained on is not there any more; name "
                "what is held out with --never-from"
            )
        return []


def check_places(places: Sequence[Path | str]) -> None:
    """Raise FileNotFoundError for a place that is neither a file nor a dataset's directory."""
    for place in map(Path, places):
        if not place.exists():
            raise FileNotFoundError(
                f"--never-from {place} does not exist; name files of conversations, or datasets "
                "that build_dataset.py made, of which the validation split is meant"
            )


def _dataset_sha256s(directory: Path) -> Iterator[str]:
    """Yield the sha256s of a validation split: of its conversations and their prompts."""
    for origin in TokenizedDataset.open(directory, "validation").origins():
        yield origin.sha256
        if origin.conversation is not None:
            yield from _prompt_sha256s(Conversation.from_record(origin.conversation))


def _file_sha256s(file: Path) -> Iterator[str]:
    for conversation in read_any_layout(file):
        yield conversation.sha256
        yield from _prompt_sha256s(conversation)


def _prompt_sha256s(conversation: Conversation) -> Iterator[str]:
    return (content_sha256(item.conversation) for item in turn_items(conversation))
