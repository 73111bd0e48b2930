"""Charts: every conversation is in one bar, and a long tail is summed up."""

from collections import Counter

import numpy as np

from data.inspection.charts import BARS, charts
from data.inspection.statistics import Statistics


def figures(**changes: object) -> Statistics:
    given: dict = {
        "split": "train",
        "lengths": np.array([5, 300, 310, 420, 9000]),
        "trained": np.array([1, 2, 3, 4, 5]),
        "packing": None,
        "decoded": 5,
        "roles": {"": (5, 0), "assistant": (100, 50)},
        "calls": Counter({0: 2, 3: 1, 1: 2}),
        "tools": Counter({f"tool_{n}": 40 - n for n in range(40)}),
        "turns": Counter({1: 5}),
        "behaviours": Counter(),
        "sources": Counter({"a.json": 5}),
        "unreadable": 0,
    }
    return Statistics(**{**given, **changes})


def test_every_conversation_is_in_one_bar_of_its_length() -> None:
    for lengths in ([7], [1, 1, 1], [5, 300, 310, 420, 9000], list(range(1, 2000))):
        chart = charts(figures(lengths=np.array(lengths)))[0]
        assert sum(bar.value for bar in chart.bars) == len(lengths)
        assert len(chart.bars) <= BARS


def test_calls_are_in_the_order_of_their_number() -> None:
    chart = next(c for c in charts(figures()) if "number of calls" in c.title)
    assert [bar.label for bar in chart.bars] == ["0", "1", "3"]
    assert chart.bars[0].note == "2 (40.0%)"


def test_less_frequent_tools_are_summed_up_as_others() -> None:
    chart = next(c for c in charts(figures()) if "by tool" in c.title)
    assert "40 tools" in chart.title and len(chart.bars) == BARS
    assert chart.bars[0].label == "tool_0" and chart.bars[-1].label == "25 others"
    assert chart.bars[-1].value == 0 and chart.bars[-1].note.startswith("325 (")


def test_behaviour_chart_needs_ids_that_name_behaviours() -> None:
    assert not any("behaviour" in chart.title for chart in charts(figures()))
    some = charts(figures(behaviours=Counter({"single_call": 2}), decoded=3))
    assert any("behaviour" in c.title and "of 3 conversations" in c.title for c in some)
