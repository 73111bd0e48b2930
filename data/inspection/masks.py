"""One conversation as the trainer reads it: stretches of tokens with their role and their mask."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from chat.formats.format import ChatFormat
from chat.formats.known import find_format
from chat.formats.rendering import TOKEN_ROLES
from chat.tokenizers.tokenizer import Tokenizer
from data.batches import Conversations, make_batch
from data.pairs import SIDES
from data.split_files import Origin
from data.tokenized import TokenizedDataset


@dataclass(frozen=True)
class Stretch:
    """Neighbouring tokens of one kind; `stop` marks a trained token that ends a turn.

    `start` counts tokens from the beginning of the conversation.
    """

    text: str
    start: int
    length: int
    role: str
    trained: bool
    special: bool
    stop: bool


@dataclass(frozen=True)
class View:
    """A conversation to look at: which one it is, where it came from, and its stretches."""

    name: str
    origin: Origin
    stretches: list[Stretch]

    @property
    def about(self) -> str:
        """The conversation in one line."""
        tokens = sum(stretch.length for stretch in self.stretches)
        trained = sum(stretch.length for stretch in self.stretches if stretch.trained)
        from_where = f"id {self.origin.id or '-'}, source {self.origin.source or '-'}"
        return f"{self.name}: {tokens:,} tokens, {trained:,} of them trained; {from_where}"


@dataclass(frozen=True)
class Reader:
    """What turns ids back into text."""

    format: ChatFormat
    tokenizer: Tokenizer
    stops: frozenset[int]

    @staticmethod
    def of(chat_format: str, tokenizer: Tokenizer) -> "Reader":
        """Prepare for a chat format."""
        format = find_format(chat_format)
        specials = tokenizer.special_tokens
        stops = frozenset(specials[name] for name in format.stop_tokens)
        return Reader(format, tokenizer, stops)


def view(dataset: TokenizedDataset, index: int, reader: Reader) -> View:
    """Return one conversation of a dataset as its batch holds it."""
    if not 0 <= index < len(dataset):
        raise ValueError(
            f"{dataset.directory} has no conversation {index}: its {dataset.split} split counts "
            f"{len(dataset)}, from 0 to {len(dataset) - 1}"
        )
    found = stretches(*predicted(dataset, index), dataset.roles(index), reader)
    name = f"{dataset.split} {index}"
    if dataset.group_size > 1:
        pair, side = divmod(index, dataset.group_size)
        name = f"{dataset.split} pair {pair}, {SIDES[side]}"
    return View(name, dataset.origin(index), found)


def predicted(dataset: Conversations, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a conversation's ids, and which of them its batch has as targets."""
    batch = make_batch(dataset, [index])
    trained = np.zeros(len(batch.tokens), dtype=np.bool_)
    trained[batch.rows.numpy() + 1] = True
    return batch.tokens.numpy(), trained


def stretches(
    tokens: np.ndarray, trained: np.ndarray, roles: np.ndarray, reader: Reader
) -> list[Stretch]:
    """Cut a conversation where its role or its mask changes, and around special tokens."""
    ids, special = tokens.tolist(), set(reader.tokenizer.special_tokens.values())
    mask = trained.tolist()
    # Each special token is a stretch of its own: its place keeps groupby from joining two.
    kinds = [
        (TOKEN_ROLES[role], mask[at], at if id in special else -1)
        for at, (id, role) in enumerate(zip(ids, roles.tolist(), strict=True))
    ]
    found, at = [], 0
    for (role, learned, place), members in groupby(kinds):
        length = len(list(members))
        piece = ids[at : at + length]
        stop = learned and place >= 0 and piece[0] in reader.stops
        text = reader.tokenizer.decode(piece)
        found.append(Stretch(text, at, length, role, learned, place >= 0, stop))
        at += length
    return found


def trained_texts(tokens: np.ndarray, trained: np.ndarray, reader: Reader) -> list[str]:
    """Return the text of each trained turn, without its stop token."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], trained, [False]]).astype(np.int8)))
    spans = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ids = tokens.tolist()
    return [
        reader.tokenizer.decode([id for id in ids[start:end] if id not in reader.stops])
        for start, end in spans
    ]
