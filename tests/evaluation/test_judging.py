"""Results are written whole, in the order of the items, whatever the order of the answers."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from chat.conversation import Conversation, Message
from chat.formats.call_syntax import Reply
from evaluation.items import Item
from evaluation.judging import Outputs, judge_all
from evaluation.scoring.calls import Verdict
from inference.chat_model import Answer, SkippedItem

ASKED = Conversation((Message("user", "Hi"),))
ITEMS = [
    Item(name, name, "no_call", ASKED, "Hello", lambda reply: Verdict(True, False, False))
    for name in ("first", "second", "third")
]
SAID = Answer("Hello", Reply("Hello"), True)
SKIPPED = SkippedItem("it cannot be written")


def written(folder: Path, answers: Sequence[tuple[int, Answer | SkippedItem]]) -> list[list[str]]:
    outputs = Outputs(folder / "out.json", folder / "failures.txt", folder / "page.html")
    judge_all(ITEMS, iter(answers), {}, outputs)
    assert all((folder / name).exists() for name in ("failures.txt", "page.html"))
    record = json.loads((folder / "out.json").read_text())
    return [[row["id"] for row in record[part]] for part in ("verdicts", "refused")]


def test_results_keep_the_order_of_the_items(tmp_path: Path) -> None:
    answers = [(2, SAID), (0, SAID), (1, SKIPPED)]
    assert written(tmp_path, answers) == [["first", "third"], ["second"]]


def test_results_are_written_where_nothing_could_be_asked(tmp_path: Path) -> None:
    answers = [(index, SKIPPED) for index in range(3)]
    assert written(tmp_path, answers) == [[], ["first", "second", "third"]]


def test_nothing_is_written_where_nothing_was_answered_before_an_error(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[int, Answer | SkippedItem]]:
        yield 0, SKIPPED
        raise ValueError("gone")

    with pytest.raises(ValueError, match=r"^gone$"):
        judge_all(ITEMS, broken(), {}, Outputs(tmp_path / "out.json"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_tells_where_the_answers_are(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def interrupted() -> Iterator[tuple[int, Answer | SkippedItem]]:
        yield 0, SAID
        raise error

    (tmp_path / "out.json").write_text("an earlier run")
    told: list[str] = []
    with pytest.raises(error):
        judge_all(ITEMS, interrupted(), {}, Outputs(tmp_path / "out.json"), tell=told.append)
    unfinished = tmp_path / "out.unfinished.json"
    assert told == [f"1 of 3 answers are in {unfinished}"]
    assert len(json.loads(unfinished.read_text())["verdicts"]) == 1
    assert (tmp_path / "out.json").read_text() == "an earlier run"
