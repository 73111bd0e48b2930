"""Verdicts equal to the official checker's, on reference answers and on recorded mutations."""

import json
from pathlib import Path

import pytest
from oracles.bfcl_cases import MUTATIONS, OWN, SHARED, cases_of, ours, tasks_of
from oracles.record_bfcl import VERDICTS, sha256_of

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from chat.schemas.validation import schema_problem
from data.benchmarks.bfcl_tasks import Task, read_tasks
from evaluation.figures import figures
from evaluation.scoring.bfcl import argument_is_right, judge, offered_tools
from evaluation.scoring.calls import same_value

RECORDED = json.loads(VERDICTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("category", [*SHARED, *OWN])
def test_verdicts_equal_the_official_checkers_recorded_verdicts(
    category: str, shared: Path
) -> None:
    """Where the official checker raises an exception, recorded as x, the calls are wrong."""
    tasks = tasks_of(category, shared / "bfcl")
    cases = [(task, calls) for task in tasks for calls in cases_of(task)]
    recorded = RECORDED[category]
    assert sha256_of(cases) == recorded["cases"], "the cases changed: run record_bfcl.py again"
    verdicts = "".join(ours(*case) for case in cases)
    wanted = recorded["verdicts"].replace("x", "0")
    assert [c for c, one, two in zip(cases, verdicts, wanted, strict=True) if one != two] == []


def test_recorded_mutations_exceed_5000_with_both_verdicts_common() -> None:
    letters = "".join(RECORDED[category]["verdicts"] for category in SHARED)
    references = 400 + 200 + 200 + 258 + 16 + 50
    assert len(letters) - references >= 5000
    assert min(letters.count("0"), letters.count("1")) > 0.4 * len(letters)
    assert MUTATIONS["simple_java"] >= 20


@pytest.mark.parametrize(("category", "odd"), [("simple_python", 0), ("live_simple", 2)])
def test_reference_answers_match_exactly_and_as_json(category: str, odd: int, shared: Path) -> None:
    """Two answers of live_simple list parameters for which no value at all is accepted."""
    wrong = 0
    for task in tasks_of(category, shared / "bfcl"):
        calls = next(iter(cases_of(task)))
        reply = Reply("", tuple(ToolCall(n, a) for call in calls for n, a in call.items()))
        verdict = judge(task, reply)
        if not verdict.correct:
            wrong += 1
            continue
        assert verdict.exact_match and verdict.json_equal, task.id
        assert verdict.arguments_right == verdict.arguments_found == verdict.arguments_wanted
    assert wrong == odd


def test_offered_tools_have_valid_schemas(shared: Path) -> None:
    for path in sorted((shared / "bfcl").glob("BFCL_v4_[!m]*.json")):
        answers = path.parent / "possible_answer" / path.name
        for task in read_tasks(path, answers if answers.exists() else None):
            for tool in offered_tools(task):
                assert schema_problem(tool) is None, (task.id, tool.name)


def test_java_parameters_are_offered_as_strings_naming_their_type(shared: Path) -> None:
    task = tasks_of("simple_java", shared)[3]
    (tool,) = offered_tools(task)
    assert tool.parameters["properties"]["names"] == {
        "type": "string",
        "description": "the names Text that holds Java source code of type ArrayList of String.",
    }
    assert tool.parameters["required"] == ["names"]


def irrelevant(category: str) -> Task:
    function = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}}}
    return Task(f"{category}_0", category, (), (function,))


def test_irrelevance_wants_no_call_and_relevance_any_call() -> None:
    call, text = Reply("", (ToolCall("f", {}),)), Reply("Sorry, no tool does that.")
    assert judge(irrelevant("irrelevance"), text).correct
    assert not judge(irrelevant("live_irrelevance"), call).correct
    assert judge(irrelevant("live_relevance"), call).correct
    assert not judge(irrelevant("live_relevance"), text).correct


def test_unreadable_call_counts_as_no_call_in_bfcl() -> None:
    broken = Reply("{", problem="the call is no JSON")
    assert judge(irrelevant("irrelevance"), broken).correct
    assert not judge(irrelevant("irrelevance"), broken).decided_right


def test_empty_reply_is_correct_in_bfcl_but_fails_irrelevance() -> None:
    empty = judge(irrelevant("irrelevance"), Reply(" "))
    assert empty.correct and empty.empty
    found = figures([empty, judge(irrelevant("irrelevance"), Reply("Sorry."))])
    assert (found["correct"].hits, found["irrelevance"].hits) == (2, 1)


@pytest.mark.parametrize(
    ("kind", "accepted", "value", "right"),
    [
        ("string", ["New York"], "new-york.", True),
        ("string", ["New York"], "New York!", False),
        ("float", [5.0], 5, True),
        ("float", [5.0], 10**400, False),
        ("integer", [5], 5.0, False),
        ("integer", [1], True, False),
        ("any", [5], 5, True),
        ("unheard of", [5], 5, False),
    ],
)
def test_bfcl_values_are_compared_by_its_own_rules(
    kind: str, accepted: list[object], value: object, right: bool
) -> None:
    assert argument_is_right("python", {"type": kind}, accepted, value) is right


def test_same_value_does_not_use_bfcl_text_rules() -> None:
    assert not same_value("New York", "new-york.")
