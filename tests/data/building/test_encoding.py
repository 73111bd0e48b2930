"""What a build counts: all of it, though no more than some of it by name."""

from data.bounded_counts import MOST_NAMED, OTHERS
from data.building.tally import Tally


def block(number: int) -> Tally:
    tally = Tally.empty(1)
    tally.sources[f"source {number}"] = 2
    tally.overlong.append({"id": f"row {number}", "tokens": 10 + number % 1500})
    tally.untrained.append(f"row {number}")
    return tally


def test_lists_end_and_counts_go_on() -> None:
    whole = Tally.empty(1)
    for number in range(2 * MOST_NAMED):
        whole.add(block(number))
    assert len(whole.overlong) == len(whole.untrained) == MOST_NAMED
    assert whole.counts["overlong"] == whole.counts["untrained"] == 2 * MOST_NAMED
    assert whole.counts["unwritable"] == 0
    assert len(whole.sources) == MOST_NAMED + 1 and whole.sources[OTHERS] == 2 * MOST_NAMED


def test_longest_is_known_though_it_is_not_listed() -> None:
    whole = Tally.empty(1)
    for number in range(2 * MOST_NAMED):
        whole.add(block(number))
    assert whole.longest == {"id": "row 1499", "tokens": 1509}
    assert whole.longest not in whole.overlong


def test_record_is_read_back_as_it_was() -> None:
    whole = Tally.empty(1)
    whole.add(block(1))
    assert Tally(**whole.record()) == whole
