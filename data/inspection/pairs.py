"""Pairs of a dataset: both replies to a prompt side by side."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from rich.table import Table
from rich.text import Text

from console.output import Console
from data.inspection.masks import Reader, View, view
from data.inspection.terminal import LEGEND, masked_text
from data.tokenized import TokenizedDataset


@dataclass(frozen=True)
class PairView:
    """A pair to look at: its number, what is wrong with the rejected reply, and both sides."""

    number: int
    kind: str
    chosen: View
    rejected: View

    @property
    def about(self) -> str:
        """The pair in one line."""
        split = self.chosen.name.partition(" ")[0]
        from_where = f"id {self.chosen.origin.id or '-'}, source {self.chosen.origin.source or '-'}"
        return f"{split} pair {self.number}: {self.kind or 'no kind'}; {from_where}"


def view_pair(dataset: TokenizedDataset, number: int, reader: Reader) -> PairView:
    """Return a pair of a dataset of pairs, counted from 0, as its batch holds it."""
    count = len(dataset) // 2
    if not 0 <= number < count:
        raise ValueError(
            f"{dataset.directory} has no pair {number}: its {dataset.split} split counts {count}, "
            f"from 0 to {count - 1}"
        )
    chosen, rejected = (view(dataset, 2 * number + side, reader) for side in (0, 1))
    return PairView(number, chosen.origin.kind or "", chosen, rejected)


def show_pair(console: Console, pair: PairView) -> None:
    """Print a pair: the prompt that both sides begin with, then the replies beside each other."""
    same = _shared(pair.chosen, pair.rejected)
    text = Text(f"{pair.about}\n", "bold")
    text.append(f"{LEGEND}\n── the prompt of both ──\n", "not bold")
    text.append_text(masked_text(pair.chosen.stretches[:same]))
    console.print(text, soft_wrap=True)
    table = Table(expand=True)
    for name, side in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        trained = sum(stretch.length for stretch in side.stretches if stretch.trained)
        table.add_column(f"{name}: {trained:,} tokens", ratio=1, overflow="fold")
    table.add_row(*(masked_text(side.stretches[same:]) for side in (pair.chosen, pair.rejected)))
    console.print(table)


def _shared(one: View, other: View) -> int:
    """Return how many stretches of two views are read alone and alike at their beginning."""
    both = zip(one.stretches, other.stretches, strict=False)
    differing = (
        place for place, (a, b) in enumerate(both) if a.trained or b.trained or a.text != b.text
    )
    shortest = min(len(one.stretches), len(other.stretches))
    return next(islice(differing, 1), shortest)


def pairs_line(dataset: TokenizedDataset) -> str:
    """Return how many pairs a split has of each kind, the most frequent first."""
    counts = Counter(origin.kind or "no kind" for origin in islice(dataset.origins(), 0, None, 2))
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    return f"Pairs of {dataset.split}: {len(dataset) // 2:,} ({kinds})"
