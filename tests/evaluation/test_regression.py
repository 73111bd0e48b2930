"""A model beside its base: which items a line counts, and what it is called."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from chat.conversation import Conversation, Message, Tool
from data.benchmarks.bfcl_turns import TurnTask
from evaluation.items import Item
from evaluation.pages.regression import regression_table
from evaluation.regression import PLAIN_TEXT, Against, Regression
from evaluation.scoring.calls import Verdict

TOOL = Tool("t", "", {"type": "object", "properties": {}})
FIRST = (Message("user", "Do it"),)
LATER = (*FIRST, Message("assistant", "Done"), Message("user", "Again"))


def item(name: str, expected: object, turns: Sequence[Message] = FIRST) -> Item:
    kind = "no_call" if isinstance(expected, str) else "call"
    conversation = Conversation(tuple(turns), (TOOL,))
    return Item(name, name, kind, conversation, expected, lambda reply: Verdict(True, True, True))


def verdict(of: Item, right: bool, **facts: object) -> dict[str, object]:
    wanted = of.category == "call"
    record = {"id": of.id, "category": of.category, "should_call": wanted, "verdict": right}
    return {**record, "empty": False, **({"exact_match": right} if wanted else {}), **facts}


def compared(
    items: Sequence[Item],
    model: Sequence[bool],
    base: Sequence[bool],
    texts: tuple[object, object] = (None, None),
) -> Regression:
    records = [
        {
            "summary": {"about": {}},
            "verdicts": [verdict(*pair) for pair in zip(items, right, strict=True)],
            "plain_text": text,
        }
        for right, text in zip((model, base), texts, strict=True)
    ]
    return Regression(items, records[0], Against("base", records[1]))


def text(losses: Sequence[float], sha256: str = "a") -> dict[str, object]:
    windows = [{"bytes": 100, "tokens": 20, "loss": loss} for loss in losses]
    return {"file": "t.txt", "sha256": sha256, "windows": windows}


def test_task_of_several_turns_counts_as_later_turn_alone() -> None:
    task = TurnTask("task", "multi_turn_base", (FIRST,), (), {}, {}, (("t()",),))
    found = compared(
        [replace(item("task", "turn 1: t()"), category="call", task=task)], [True], [False]
    )
    assert [line.name for line in found.lines] == ["multi-turn"]


def test_each_line_counts_its_own_items() -> None:
    items = [
        item("call", [{}]),
        item("later", [{}], LATER),
        item("chat", "All fine."),
        item("question", "Which town?"),
        item("synthetic-missing_argument-000003/1", "Name it."),
    ]
    found = compared(items, [True] * 5, [False] * 5)
    assert {line.name: line.of for line in found.lines} == {
        "calls": 2,
        "irrelevance": 3,
        "asking": 2,
        "multi-turn": 1,
    }


@pytest.mark.parametrize(
    ("model", "base", "told"),
    [
        ([1] * 40, [0] * 12 + [1] * 28, "better"),
        ([0] * 12 + [1] * 28, [1] * 40, "worse"),
        ([0] * 5 + [1] * 35, [1] * 5 + [0] * 5 + [1] * 30, "not told apart"),
        ([0] * 5 + [1] * 35, [1] * 40, "too few differ"),
        ([0] * 6 + [1] * 34, [1] * 40, "worse"),
        ([1] * 40, [1] * 40, "not told apart"),
    ],
)
def test_a_line_is_called_as_its_difference_shows(
    model: list[int], base: list[int], told: str
) -> None:
    items = [item(f"i{number}", "Fine.") for number in range(40)]
    (line,) = compared(items, list(map(bool, model)), list(map(bool, base))).lines
    assert (line.name, line.verdict) == ("irrelevance", told)
    assert line.to_record()["difference"]["value"] == pytest.approx((sum(model) - sum(base)) / 40)


def test_how_many_differ_is_told_where_they_are_too_few() -> None:
    items = [item(f"i{number}", "Fine.") for number in range(10)]
    found = compared(items, [True] * 10, [False] * 4 + [True] * 6)
    assert found.headline == ("Against base: too few differ to tell (6 at least): irrelevance (4).")


def test_nothing_of_the_table_is_cut_at_80_columns() -> None:
    items = [
        item(f"{kind}{n}", text) for kind, text in (("a", "Fine."), ("b", [{}])) for n in range(8)
    ]
    before = [60.0 + number for number in range(20)]
    texts = text([loss + 9 for loss in before]), text(before)
    found = compared(items, [True] * 16, [False] * 4 + [True] * 4 + [False] * 8, texts)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(regression_table(found))
    table = captured.get()
    assert "…" not in table
    assert all(word in table for word in ("irrelevance", "change", "verdict", "better", "worse"))
    assert "+100.0" in table and "too few" in table


def test_an_empty_reply_is_no_answer() -> None:
    items = [item("chat", "Fine.")]
    found = compared(items, [True], [True])
    found.record["verdicts"][0]["empty"] = True
    assert found.lines[0].model == 0.0 and found.lines[0].base == 1.0


@pytest.mark.parametrize(("shift", "told"), [(9.0, "worse"), (-9.0, "better"), (0.0, None)])
def test_less_loss_on_plain_text_is_better(shift: float, told: str | None) -> None:
    before = [60.0 + number for number in range(20)]
    pair = text([loss + shift for loss in before]), text(before)
    (line,) = compared([], [], [], pair).lines
    assert (line.name, line.verdict) == (PLAIN_TEXT, told or "not told apart")
    assert (line.difference.value > 0) == (shift > 0)


def test_another_text_is_not_compared_and_said_so() -> None:
    found = compared([], [], [], (text([1.0, 2.0]), text([1.0, 2.0], "b")))
    assert found.lines == []
    assert found.notes == ["The two were not measured on the same windows of a plain text."]
    assert found.headline == "Nothing was measured for both this model and base."


def test_items_of_one_side_count_nowhere_and_are_told() -> None:
    items = [item("a", "Fine."), item("b", "Fine.")]
    found = compared(items, [True, True], [True, True])
    del found.against.record["verdicts"][0]
    assert [line.of for line in found.lines] == [1]
    assert found.notes[0].startswith("1 items were judged for one of the two alone")


@pytest.mark.parametrize("fact", ["category", "conversation_id"])
def test_other_items_under_the_same_id_are_refused(fact: str) -> None:
    items = [item("a", "Fine.")]
    against = compared(items, [True], [True]).against
    against.check(items)
    against.record["verdicts"][0][fact] = "other"
    with pytest.raises(ValueError, match=f"a has {fact} 'other' there and '.*' here; give"):
        against.check(items)


def test_other_settings_of_the_base_are_told() -> None:
    found = compared([item("a", "Fine.")], [True], [True])
    found.record["summary"]["about"] = {"temperature": 0.0}
    other = replace(found, against=Against("b", {**found.record, "summary": {"about": {}}}))
    assert other.notes == ["temperature is 0.0 here and was None for the base."]
