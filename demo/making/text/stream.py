"""The endless stream of training text, in steps that follow from the seed and their number."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

import numpy as np

from chat.conversation import Conversation
from chat.formats.known import find_format
from chat.formats.rendering import encode_conversation
from chat.tokenizers.tokenizer import Tokenizer
from data.batches import Batch, make_batch
from demo.making.text import choices, forms, recall, requests
from demo.making.text.lexicon import HELD_OUT, SEEN
from demo.making.text.names import Words
from synthesis.dice import Dice

FORMAT = find_format("llama3")

TASKS: dict[str, Callable[[Words], Conversation]] = {
    "copy": recall.copy_conversation,
    "recall": recall.recall_conversation,
    "lookup": recall.lookup_conversation,
    "memory": recall.memory_conversation,
    "json": recall.json_conversation,
    "choice": choices.choice_conversation,
    "filling": forms.filling_conversation,
    "form": forms.form_conversation,
    "request": requests.request_conversation,
    "missing": requests.missing_conversation,
}
# The share of conversations of each task, at the beginning and later.
EARLY = {"copy": 0.15, "recall": 0.2, "lookup": 0.05, "json": 0.1, "choice": 0.3, "filling": 0.2}
LATE = {
    "copy": 0.02,
    "recall": 0.02,
    "lookup": 0.03,
    "memory": 0.03,
    "choice": 0.12,
    "filling": 0.06,
    "form": 0.09,
    "request": 0.49,
    "missing": 0.14,
}

# The share of words that are invented, so that a model cannot predict words from memory.
STRANGE = 0.45

PROBES: dict[str, Callable[[Words], Conversation]] = {
    "copy": recall.plain_copy,
    "lookup": recall.plain_lookup,
    "choice": choices.plain_choice,
    "filling": forms.plain_filling,
    "form": forms.plain_request,
    "request": requests.plain_call,
}


@dataclass(frozen=True)
class Stream:
    """Conversations of generated text as tokens; the mix moves from EARLY to LATE.

    It is LATE from step `early_steps` on; a step holds up to `step_tokens` tokens for each of
    the `processes` that train together.
    """

    tokenizer: Tokenizer
    seed: int
    step_tokens: int
    early_steps: int
    processes: int = 1

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The texts of all tokens that are two letters or more."""
        special = set(self.tokenizer.special_tokens.values())
        ordinary = range(self.tokenizer.vocab_size - len(special))
        texts = (self.tokenizer.decode([token]) for token in ordinary)
        return tuple(text for text in texts if re.fullmatch(r"[a-zA-Z]{2,}", text))

    def step(self, number: int, process: int = 0) -> Batch:
        """Return a process's batch of step `number`: conversations up to `step_tokens` tokens."""
        packed, total = Packed(), 0
        for index in count(process, self.processes):
            tokens, trained = self.tokens(self.conversation(number, index))
            total += len(tokens)
            if total > self.step_tokens and len(packed):
                break
            packed.add(tokens, trained)
        return packed.batch()

    def conversation(self, step: int, index: int) -> Conversation:
        """Return conversation `index` of a step."""
        dice = Dice("pretraining", self.seed, step, index)
        late = min(1.0, step / max(1, self.early_steps))
        shares = {
            name: (1 - late) * EARLY.get(name, 0.0) + late * LATE.get(name, 0.0) for name in TASKS
        }
        return TASKS[_drawn(dice, shares)](Words(dice, SEEN, self.pieces, STRANGE))

    def tokens(self, conversation: Conversation) -> tuple[list[int], list[bool]]:
        """Return a conversation's tokens and which are to be predicted: the assistant's."""
        tokens = encode_conversation(conversation, FORMAT, self.tokenizer)
        return tokens.ids, tokens.trained


def probe_conversations(kind: str, items: int, seed: int = 0) -> list[Conversation]:
    """Return the items of a probe: one exchange each, of words that training never shows."""
    return [
        PROBES[kind](Words(Dice("probe", kind, seed, index), HELD_OUT)) for index in range(items)
    ]


@dataclass
class Packed:
    """Conversations on their way into one batch."""

    pieces: list[np.ndarray] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each conversation."""
        return np.array([len(piece) for piece in self.pieces])

    def __len__(self) -> int:
        return len(self.pieces)

    def tokens(self, index: int) -> np.ndarray:
        """Return the token ids of one conversation."""
        return self.pieces[index]

    def trained(self, index: int) -> np.ndarray:
        """Return which of its tokens are to be predicted."""
        return self.masks[index]

    def add(self, tokens: Sequence[int], trained: Sequence[bool]) -> None:
        """Append a conversation."""
        self.pieces.append(np.array(tokens))
        self.masks.append(np.array(trained))

    def batch(self) -> Batch:
        """Return all of them as one batch."""
        return make_batch(self, range(len(self)))


def _drawn(dice: Dice, shares: dict[str, float]) -> str:
    """Return a key with the probability of its share; shares sum to 1."""
    rest = dice.below(10**6) / 10**6
    for name, share in shares.items():
        rest -= share
        if rest < 0:
            return name
    return name
