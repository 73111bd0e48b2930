"""Models compared on items that want a call, and on items that want text."""

from collections.abc import Callable
from pathlib import Path

import pytest
from page_parser import read_page
from rich.console import Console

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import Reply
from evaluation.checkpoints.candidates import Candidate, Scored
from evaluation.checkpoints.comparison import Comparison, comparison_table
from evaluation.items import Item, turn_items
from evaluation.pages.comparison import comparison_page
from evaluation.pages.evaluation import results_page
from evaluation.results import Judged, Results
from inference.chat_model import Answer
from weights.run_directory import SavedModel

CITIES = [f"City {number}" for number in range(11)]
HELLO, SILENCE = Reply("Hello"), Reply("")


def call(city: str) -> ToolCall:
    return ToolCall("weather", {"city": city})


def asked(question: str, *calls: ToolCall) -> Item:
    messages = Message("user", question), Message("assistant", "" if calls else "Hello", calls)
    (item,) = turn_items(Conversation(messages, (Tool("weather"),), id=question))
    return item


CALLS = [asked(city, call(city)) for city in CITIES]
TEXTS = [asked(f"Who are you, {number}?") for number in range(29)]


def scored(name: str, items: list[Item], reply: Callable[[int], Reply]) -> Scored:
    judged = []
    for index, item in enumerate(items):
        said = reply(index)
        judged.append(Judged(item, Answer(said.content, said, True), item.judge(said)))
    saved = (
        None if name == "base" else SavedModel(Path(name), Path(name) / "adapter.safetensors", 4)
    )
    return Scored(Candidate(name, saved, {}), Results(judged, len(items), {}))


def base(index: int) -> Reply:
    """Makes no wanted call, and 4 needless calls in 29 items."""
    return Reply("", (call("Rome"),)) if index in range(11, 15) else HELLO


def child(index: int) -> Reply:
    """Makes 8 of 11 calls right, and 5 needless calls in 29 items."""
    if index >= 11:
        return Reply("", (call("Rome"),)) if index >= 35 else HELLO
    return Reply("", (call(CITIES[index] if index < 8 else "Rome"),))


def compared(metric: str, items: list[Item], **models: Callable[[int], Reply]) -> Comparison:
    return Comparison(metric, [scored(name, items, said) for name, said in models.items()], {})


def test_balanced_separates_a_calling_model_from_a_silent_base() -> None:
    models = {"base": base, "child": child}
    found = compared("balanced", CALLS + TEXTS, **models)
    first, *rest = found.verdict()
    assert first.startswith("Best by balanced: child (step 4), 77.4% (")
    assert first.endswith("), 8 of 11 and 24 of 29.")
    assert rest[0].startswith("Against the base: +77.4 points (") and len(rest) == 1
    correct = compared("correct", CALLS + TEXTS, **models)
    assert [round(found.figures[name]["correct"].value, 3) for name in models] == [0.625, 0.8]
    assert correct.verdict()[-1] == "These items do not tell it apart from base."


def test_model_that_replies_nothing_scores_below_the_base() -> None:
    found = compared("balanced", CALLS + TEXTS, base=child, silent=lambda index: SILENCE)
    assert found.verdict()[0] == "No checkpoint is above the base by balanced."
    silent = found.scored[1].results
    assert silent.headline.startswith("balanced 0.0% (0.0 to ")
    assert silent.headline.endswith("correct 0.0% (0.0 to 8.8), 0 of 40. Empty replies: 40.")
    assert silent.to_record()["summary"]["empty"] == 40


@pytest.mark.parametrize(
    ("items", "metric", "why"),
    [
        (CALLS, "exact_match", "There is no balanced figure: every item wants a call."),
        (TEXTS, "irrelevance", "There is no balanced figure: no item names the calls it wants."),
    ],
)
def test_items_of_one_side_are_compared_by_its_figure(
    items: list[Item], metric: str, why: str
) -> None:
    found = compared("balanced", items, base=base, child=child)
    assert found.metric == found.to_record()["metric"] == metric
    assert why in found.verdict()
    assert len(found.differences) == 1
    page = read_page(comparison_page(found, "Models", {}))
    assert f"By checkpoint: {metric}" in page.text and why in page.text


def test_table_and_pages_show_the_leading_figure_per_category() -> None:
    found = compared("balanced", CALLS + TEXTS, base=base, child=child)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(comparison_table(found))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in captured.get()
    for text in ("balanced", "no_call: irrelevance", "call: exact_match", "24 of 29"):
        assert text in captured.get(), text
    page = read_page(comparison_page(found, "Models", {}))
    for text in (
        "By checkpoint: balanced",
        "irrelevance, of 29",
        "Differences in balanced",
    ):
        assert text in page.text, text
    page = read_page(results_page(found.scored[1].results))
    assert "balanced 77.4% (" in page.text and "correct 80.0% (" in page.text
    for text in ("no_call: irrelevance", "call: exact_match", "8 of 11 and 24 of 29"):
        assert text in page.text, text


def test_turns_of_a_conversation_are_compared_as_one_unit() -> None:
    questions = [Message("user", "Who?"), Message("assistant", "Me")] * 8
    talks = [
        Conversation((Message("system", str(number)), *questions), id=str(number))
        for number in range(5)
    ]
    items = [item for talk in talks for item in turn_items(talk)]
    needless = Reply("", (call("Rome"),))
    found = compared("balanced", items, base=lambda index: needless, child=lambda index: HELLO)
    (difference,) = found.differences
    assert difference.value == 1 or difference.value == -1
    # Of five fair coins, all fall alike twice in 32.
    assert difference.p == pytest.approx(2 / 32, abs=0.01)
    figure = found.figures["child"]["irrelevance"]
    assert (figure.hits, figure.count) == (40, 40) and figure.low < 0.6
