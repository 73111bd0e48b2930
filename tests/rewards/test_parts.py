"""What replies are worth, by table: right ones, partly right ones, and the ways to cheat."""

from collections.abc import Sequence

import pytest

from chat.conversation import Tool, ToolCall
from chat.formats.call_syntax import Reply
from evaluation.scoring.calls import score
from rewards.parts import Said, Wanted, judge_parts, parts_of, reached, reward, shared_words
from training.reward_section import RewardParts

WEATHER = Tool(
    "weather",
    "",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
CLOCK = Tool("clock", "", {"type": "object", "properties": {}})
TOOLS = (WEATHER, CLOCK)
RAIN = ToolCall("weather", {"city": "Lyon", "days": 2})
TIME = ToolCall("clock", {})
REFUSAL = "I have no tool that can book a flight to Lyon."
WEIGHTS = RewardParts().model_dump()


def judged(
    wanted: Sequence[ToolCall], reply: Reply, text: str = "", whole: bool = True
) -> dict[str, float]:
    verdict = score(wanted, reply, TOOLS)
    fits = bool(verdict.schema_valid) and reply.problem is None
    said = Said(verdict, fits, reply.content, whole=whole)
    return judge_parts(Wanted(bool(wanted), text), said)


def calls(*made: ToolCall) -> Reply:
    return Reply("", made)


@pytest.mark.parametrize(
    ("wanted", "reply", "exact", "name", "precision", "recall", "schema"),
    [
        ([RAIN], calls(RAIN), 1, 1, 1, 1, 1),
        ([RAIN], calls(ToolCall("weather", {"city": "Lyon"})), 0, 1, 1, 0.5, 1),
        ([RAIN], calls(ToolCall("weather", {"city": "Nice", "days": 2})), 0, 1, 0.5, 0.5, 1),
        ([RAIN], calls(ToolCall("weather", {"city": "Lyon", "days": "2"})), 0, 1, 0.5, 0.5, 0),
        ([RAIN], calls(RAIN, TIME), 0, 0, 1, 1, 1),
        ([RAIN], calls(TIME), 0, 0, 0, 0, 1),
        ([RAIN], calls(ToolCall("flights", {"city": "Lyon"})), 0, 0, 0, 0, 0),
        ([RAIN], Reply("It will rain."), 0, 0, 0, 0, 0),
        ([RAIN], Reply(""), 0, 0, 0, 0, 0),
        ([RAIN], Reply("<call", problem="it is cut"), 0, 0, 0, 0, 0),
        ([TIME], calls(TIME), 1, 1, 1, 1, 1),
        ([TIME], Reply("It is noon."), 0, 0, 0, 0, 0),
        ([TIME], calls(ToolCall("clock", {"zone": "UTC"})), 0, 1, 0, 1, 0),
        ([RAIN, TIME], calls(TIME, RAIN), 1, 1, 1, 1, 1),
        ([RAIN, TIME], calls(RAIN), 0, 0, 1, 1, 1),
    ],
)
def test_parts_judge_calls_where_calls_are_wanted(
    wanted: list[ToolCall],
    reply: Reply,
    exact: float,
    name: float,
    precision: float,
    recall: float,
    schema: float,
) -> None:
    assert list(judged(wanted, reply).values()) == [exact, name, precision, recall, schema]


@pytest.mark.parametrize(
    ("reply", "irrelevance", "words"),
    [
        (Reply(REFUSAL), 1, 1),
        (Reply("I have no tool for that."), 1, pytest.approx(10 / 17)),
        (Reply("No."), 1, pytest.approx(2 / 12)),
        (Reply("!"), 1, 0),
        (Reply(""), 0, 0),
        (calls(TIME), 0, 0),
        (Reply(REFUSAL, (TIME,)), 0, 0),
        (Reply("<call", problem="it is cut"), 0, 0),
    ],
)
def test_parts_judge_the_text_where_no_call_is_wanted(
    reply: Reply, irrelevance: float, words: float
) -> None:
    found = judged([], reply, REFUSAL)
    assert found == {"irrelevance": irrelevance, "words": words}


def test_reply_that_is_cut_off_earns_nothing() -> None:
    assert set(judged([RAIN], calls(RAIN), whole=False).values()) == {0.0}
    assert set(judged([], Reply(REFUSAL), REFUSAL, whole=False).values()) == {0.0}


def test_parts_follow_from_what_is_wanted_alone() -> None:
    replies = [Reply(""), Reply("Yes."), calls(RAIN), Reply("x", problem="cut")]
    for wanted, text in (([RAIN], ""), ([], REFUSAL), ([], "…")):
        found = {tuple(judged(wanted, reply, text)) for reply in replies}
        assert found == {parts_of(Wanted(bool(wanted), text))}


# A policy that a model may drift into, with its reply where a call is wanted and where a text is.
POLICIES = {
    "right": (calls(RAIN), Reply(REFUSAL)),
    "silent": (Reply(""), Reply("")),
    "calling always": (calls(RAIN), calls(RAIN)),
    "calling everything": (calls(RAIN, TIME), calls(RAIN, TIME)),
    "short": (Reply("No."), Reply("No.")),
    "calling, else short": (calls(RAIN), Reply("No.")),
    "talking always": (Reply(REFUSAL), Reply(REFUSAL)),
}


def worth(policy: str) -> float:
    where_called, where_told = POLICIES[policy]
    parts = judged([RAIN], where_called), judged([], where_told, REFUSAL)
    return sum(reward(found, WEIGHTS) for found in parts) / 2


@pytest.mark.parametrize("cheat", [name for name in POLICIES if name != "right"])
def test_right_replies_earn_most_of_all_policies(cheat: str) -> None:
    assert worth("right") == 1 > worth(cheat) + 0.05


def test_silence_earns_nothing() -> None:
    assert worth("silent") == 0


@pytest.mark.parametrize(
    ("wanted", "found", "share"),
    [
        (["a"], ["a"], 1),
        (["a", "b"], ["b", "a"], 1),
        (["a", "b"], ["a"], 0.5),
        (["a"], ["a", "b", "c", "d"], 0.25),
        (["a"], ["a", "a"], 0.5),
        (["a"], [], 0),
        ([], ["a"], 0),
    ],
)
def test_needless_results_lower_what_is_reached(
    wanted: list[str], found: list[str], share: float
) -> None:
    assert reached([("tool", x) for x in wanted], [("tool", x) for x in found]) == share


def test_words_are_compared_whatever_their_case_and_order() -> None:
    assert shared_words("Rain in Lyon", "lyon: RAIN in!") == 1
    assert shared_words("rain rain", "rain") == pytest.approx(2 / 3)
    assert shared_words("", "") == 0


def test_reward_is_the_mean_by_weights_of_the_parts_there_are() -> None:
    assert reward({"name": 1.0, "words": 0.0}, {"name": 3, "words": 1, "reached": 5}) == 0.75
    with pytest.raises(ValueError, match="none of the parts words has a weight"):
        reward({"words": 1.0}, {"name": 1})
