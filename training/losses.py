"""The losses of a run: whether one is a spike, and of which rows; whether all rose."""

from collections import deque
from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

# A loss is a spike where it is above the mean of the last ones by more than so many of their
# standard deviations; with fewer of them nothing is said. The deviation counts as at least a share
# of the mean, for losses that hardly differ.
WINDOW, LEAST = 50, 20
DEVIATIONS, LEAST_DEVIATION = 5.0, 0.02
# A run ended worse than it began where its loss rose by more than this share, and this much. Losses
# of different rows that differ by less than SAME, as a share, are no longer about the rows.
RISE, SAME = 0.1, 1e-5
NAMED_ROWS = 8


def format_rows(rows: Sequence[str]) -> str:
    """Return the ids of rows in a line; of many the first ones and how many more there are."""
    more = len(rows) - NAMED_ROWS
    return ", ".join(rows[:NAMED_ROWS]) + (f" and {more} more" if more > 0 else "")


class Losses:
    """The training losses of a run in their order: whether one is a spike, whether all rose."""

    def __init__(self, losses: Iterable[float]) -> None:
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.first: list[float] = []
        self.count = 0
        for loss in losses:
            self.add(loss)

    def add(self, loss: float) -> str:
        """Add a loss that is finite; return what makes it a spike, empty where it is none."""
        found = ""
        if len(self.recent) >= LEAST:
            mean, deviation = fmean(self.recent), pstdev(self.recent)
            limit = mean + DEVIATIONS * max(deviation, LEAST_DEVIATION * abs(mean))
            if loss > limit:
                found = (
                    f"the last {len(self.recent)} have a mean of {mean:.4f} and a standard "
                    f"deviation of {deviation:.4f}"
                )
        self.recent.append(loss)
        self.first = [*self.first, loss][:LEAST]
        self.count += 1
        return found

    def format_outcome(self) -> str:
        """Return what speaks against the run's last weights; empty where nothing does."""
        last = [*self.recent][1:][-LEAST // 2 :]
        if len(last) >= 3 and max(last) - min(last) <= SAME * abs(last[0]):
            return (
                f"the loss was {last[0]:.4f} in each of the last {len(last)} steps, whatever their "
                "rows: the weights are beyond use, or the learning rate too low to move them"
            )
        steps = max(1, min(LEAST, self.count // 10))
        if self.count < 2:
            return ""
        begun, ended = fmean(self.first[:steps]), fmean([*self.recent][-steps:])
        if ended <= begun + RISE * max(begun, 1.0):
            return ""
        which = "step" if steps == 1 else f"{steps} steps"
        return (
            f"the loss was {begun:.4f} in the first {which} and {ended:.4f} in the last {which}: "
            "this run made the model worse"
        )
