"""Work on all cores: the same results in the same order, and errors as they were raised."""

import operator
from collections.abc import Iterator

import pytest

from data.parallel import in_order


@pytest.mark.parametrize(("few", "workers"), [(10_000, 2), (100, 1), (100, 2)])
def test_results_come_in_the_order_of_the_items(few: int, workers: int) -> None:
    assert list(in_order(operator.neg, range(3000), few, workers)) == [-i for i in range(3000)]


def test_an_error_in_another_process_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order((1).__truediv__, (5 - i for i in range(20)), few=2, workers=2))


def test_items_are_taken_as_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(10**9):
            taken += 1
            yield i

    results = in_order(operator.neg, items(), few=10, workers=2)
    assert [next(results) for _ in range(12)] == [-i for i in range(12)]
    results.close()
    assert taken < 5000
