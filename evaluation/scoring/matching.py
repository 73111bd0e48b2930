"""Pair two lists so that the pairs are worth the most: the assignment problem."""

from collections.abc import Sequence

_UNREACHED = float("inf")


def best_pairs(gains: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return (row, column) pairs with the largest sum of `gains[row][column]`.

    Every row is paired where there are enough columns, and every column otherwise. Takes time in
    the order of the shorter side squared times the longer one (the Hungarian method).
    """
    if not gains or not gains[0]:
        return []
    if len(gains) > len(gains[0]):
        return sorted((row, column) for column, row in best_pairs(list(zip(*gains, strict=True))))
    search = _Search(gains)
    for row in range(len(gains)):
        search.place(row)
    return sorted((row, column) for column, row in enumerate(search.owner) if row is not None)


class _Search:
    """Which row owns each column, and prices that make owned pairs the cheapest of their row."""

    def __init__(self, gains: Sequence[Sequence[int]]) -> None:
        self.gains = gains
        self.owner: list[int | None] = [None] * len(gains[0])
        self.row_price: list[float] = [0] * len(gains)
        self.column_price: list[float] = [0] * len(gains[0])

    def place(self, row: int) -> None:
        """Give `row` a column, moving other rows along the cheapest chain."""
        columns = range(len(self.owner))
        reached: list[float] = [_UNREACHED] * len(columns)
        came_from: list[int | None] = [None] * len(columns)
        done: set[int] = set()
        left = set(columns)
        last, current = None, row
        while True:
            for column in left:
                slack = self._slack(current, column)
                if slack < reached[column]:
                    reached[column], came_from[column] = slack, last
            last = min(left, key=lambda column: (reached[column], column))
            self._shift(row, done, reached, reached[last])
            done.add(last)
            left.remove(last)
            owner = self.owner[last]
            if owner is None:
                break
            current = owner
        self._hand_over(row, last, came_from)

    def _slack(self, row: int, column: int) -> float:
        return -self.gains[row][column] - self.row_price[row] - self.column_price[column]

    def _shift(self, row: int, done: set[int], reached: list[float], step: float) -> None:
        """Move the prices of all that was reached, so that the next column costs nothing more."""
        self.row_price[row] += step
        for column in range(len(reached)):
            if column in done:
                owner = self.owner[column]
                assert owner is not None
                self.row_price[owner] += step
                self.column_price[column] -= step
            else:
                reached[column] -= step

    def _hand_over(self, row: int, column: int, came_from: list[int | None]) -> None:
        while True:
            before = came_from[column]
            self.owner[column] = row if before is None else self.owner[before]
            if before is None:
                return
            column = before
