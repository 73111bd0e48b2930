"""What a GPU of each size holds and computes; figures of the makers' data sheets.

Dense bfloat16 products with float32 sums, and the bandwidth of the memory. The compute capability
is CUDA's: what kinds of products a card has.
"""

from dataclasses import dataclass

GB = 10**9


@dataclass(frozen=True)
class Card:
    """A GPU: its memory in bytes, operations a second and bytes a second."""

    name: str
    memory: int
    operations: float
    bandwidth: float
    capability: tuple[int, int]


CARDS = [
    Card("RTX 4070", 12 * GB, 58e12, 504e9, (8, 9)),
    Card("RTX 4080", 16 * GB, 97e12, 717e9, (8, 9)),
    Card("RTX 4090", 24 * GB, 165e12, 1008e9, (8, 9)),
    Card("A100-40", 40 * GB, 312e12, 1555e9, (8, 0)),
    Card("L40S", 48 * GB, 362e12, 864e9, (8, 9)),
    Card("H100", 80 * GB, 989e12, 3350e9, (9, 0)),
    Card("H200", 141 * GB, 989e12, 4800e9, (9, 0)),
]


def find_card(name: str) -> Card:
    """Return the card of this name; ValueError names those there are."""
    for card in CARDS:
        if card.name.lower().replace(" ", "") == name.lower().replace(" ", ""):
            return card
    names = ", ".join(f"{card.name} ({card.memory // GB} GB)" for card in CARDS)
    raise ValueError(f"--gpu is {name!r}, wanted one of {names}")
