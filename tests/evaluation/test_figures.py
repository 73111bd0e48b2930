"""Figures have the right counts, and the leading one is 0 for empty replies."""

from statistics import harmonic_mean

import pytest
from rich.console import Console

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from evaluation.figures import (
    categories_table,
    figures,
    figures_table,
    headline,
    headline_text,
    records,
    summarise,
)
from evaluation.intervals import wilson
from evaluation.scoring.calls import Verdict, score

LYON = ToolCall("weather", {"city": "Lyon", "days": 2})
NEAR = ToolCall("weather", {"city": "Lyon", "days": 3})


def verdicts() -> list[Verdict]:
    return [
        score([LYON], [LYON]),
        score([LYON], [NEAR]),
        score([LYON, NEAR], [NEAR, LYON]),
        score([LYON], Reply("", problem="no JSON")),
        score([], Reply("hello")),
        score([], [LYON]),
    ]


def test_each_figure_counts_only_its_own_verdicts() -> None:
    counted = {name: (figure.hits, figure.count) for name, figure in figures(verdicts()).items()}
    assert counted == {
        "balanced": (3, 6),
        "correct": (3, 6),
        "call_or_not": (5, 6),
        "valid_json": (4, 5),
        "valid_schema": (0, 4),
        "name": (3, 4),
        "argument_precision": (7, 8),
        "argument_recall": (7, 10),
        "exact_match": (2, 4),
        "parallel_match": (1, 1),
        "irrelevance": (1, 2),
        "json_equal": (1, 4),
    }


def test_summary_records_figures_by_category() -> None:
    summary = summarise(verdicts(), ["call"] * 4 + ["no_call"] * 2)
    record = summary.to_record()
    assert record["categories"]["call"]["correct"]["count"] == 4
    assert "irrelevance" not in record["categories"]["call"]
    assert record["categories"]["no_call"]["irrelevance"]["value"] == 0.5
    assert record["figures"]["balanced"]["sides"] == ((2, 4), (1, 2))
    assert "sides" not in record["figures"]["correct"]
    assert record["figures"]["correct"]["low"] < 0.5 < record["figures"]["correct"]["high"]
    assert summarise(verdicts()).all == summary.all


def test_tables_show_counts_and_intervals_within_80_columns() -> None:
    summary = summarise(verdicts(), ["a_category_with_a_long_name"] * 6)
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(figures_table(summary.all))
        console.print(categories_table(summary))
    text = captured.get()
    assert "argument_precision" in text and "7 of 8" in text and "50.0%" in text
    assert "18.8 to 81.2" in text
    assert "…" not in text


CALLS, TEXTS = [score([LYON], [LYON])] * 3, [score([], Reply("Hello"))] * 5


def silent(wanted: int, none_wanted: int) -> list[Verdict]:
    return [score([LYON], Reply(""))] * wanted + [score([], Reply(" \n"))] * none_wanted


def test_empty_replies_score_zero_by_every_share() -> None:
    found = figures(silent(101, 169))
    shares = {name: found[name].value for name in ("balanced", "correct", "irrelevance")}
    assert shares == {"balanced": 0, "correct": 0, "irrelevance": 0}


def test_balanced_is_zero_for_never_or_always_calling() -> None:
    never = [score([LYON], Reply("Hello"))] * 101 + TEXTS * 34
    always = CALLS * 40 + [score([], [LYON])] * 10
    for verdicts in (never, always):
        found = figures(verdicts)
        assert found["correct"].value > 0.6
        assert (found["balanced"].value, found["balanced"].low) == (0, 0)
        assert 0 < found["balanced"].high < 0.6


def test_empty_reply_is_wrong_with_a_reason() -> None:
    (verdict,) = silent(0, 1)
    assert verdict.empty and not verdict.correct
    assert verdict.reasons == ("the reply is empty",)
    broken = score([], Reply("", problem="no JSON"))
    assert broken.called and not broken.empty, "it tries to call"


def test_balanced_is_the_harmonic_mean_of_both_sides() -> None:
    found = figures([*CALLS, score([LYON], [NEAR]), *TEXTS, score([], [LYON])])
    balanced = found["balanced"]
    assert balanced.value == pytest.approx(harmonic_mean([3 / 4, 5 / 6]))
    assert balanced.sides == ((3, 4), (5, 6))
    assert (balanced.hits, balanced.count) == (8, 10)
    assert balanced.low < balanced.value < balanced.high


@pytest.mark.parametrize(
    ("verdicts", "leading", "reason"),
    [
        ([*CALLS, *TEXTS], "balanced", ""),
        (CALLS, "exact_match", "There is no balanced figure: every item wants a call."),
        (TEXTS, "irrelevance", "There is no balanced figure: no item names the calls it wants."),
        (
            [score(None, [LYON])],
            "correct",
            "There is no balanced figure: no item names the calls it wants.",
        ),
    ],
)
def test_headline_is_the_only_sides_figure_with_a_reason(
    verdicts: list[Verdict], leading: str, reason: str
) -> None:
    found = figures(verdicts)
    assert headline(found) == leading
    assert headline_text(found).startswith(f"{leading} 100.0% (")
    assert "correct 100.0%" in headline_text(found)
    assert headline_text(found).endswith(reason or ".")
    assert ("balanced" in found) == (leading == "balanced")


def test_headline_shows_counts_of_both_sides_and_correct() -> None:
    text = headline_text(figures([score([LYON], Reply("Hello")), *CALLS, *TEXTS, *TEXTS]))
    assert text.startswith("balanced 85.7% (") and "), 3 of 4 and 10 of 10; correct 92.9% (" in text


def test_headline_without_verdicts_says_nothing_was_judged() -> None:
    assert headline_text({}) == "Nothing was judged."


def test_categories_table_shows_the_figure_of_their_side() -> None:
    console = Console(width=80)
    summary = summarise([*CALLS, *TEXTS], ["parallel_after_result"] * 3 + ["no_call"] * 5)
    with console.capture() as captured:
        console.print(categories_table(summary))
    rows = [[cell.strip() for cell in line.split("│")] for line in captured.get().splitlines()]
    assert [row[1:4] for row in rows if len(row) > 5 and row[1]] == [
        ["no_call", "irrelevance", "100.0%"],
        ["parallel_after_result", "exact_match", "100.0%"],
        ["all", "balanced", "100.0%"],
    ]


@pytest.mark.parametrize("turns", [2, 5])
def test_repeated_turns_of_a_conversation_do_not_narrow_intervals(
    turns: int,
) -> None:
    once = [*verdicts() * 6, *CALLS, *TEXTS]
    many = [verdict for verdict in once for _ in range(turns)]
    names = [str(index) for index in range(len(once)) for _ in range(turns)]
    alone, together, mistaken = figures(once), figures(many, names), figures(many)
    for name, figure in together.items():
        assert figure.value == pytest.approx(alone[name].value), name
        width = figure.high - figure.low
        assert width == pytest.approx(alone[name].high - alone[name].low, rel=0.25), name
        assert width > 1.2 * (mistaken[name].high - mistaken[name].low), name


def test_category_intervals_resample_its_own_conversations() -> None:
    listed = [*CALLS, score([LYON], [NEAR]), *TEXTS]
    categories = ["call"] * 4 + ["no_call"] * 5
    conversations = ["a", "a", "b", "b", *"cdefg"]
    call = summarise(listed, categories, conversations).categories["call"]
    assert records(call) == records(figures(listed[:4], conversations[:4]))
    assert (call["exact_match"].low, call["exact_match"].high) != wilson(3, 4)
