"""Typed mistakes: every rejected reply is wrong as its kind says, every chosen one is right."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.schemas.validation import validate_arguments
from data.cleaning.any_layout import read_any_layout
from data.pairs import ReplyPair, check_pair
from evaluation.failures import MISSING, NEEDLESS, NO_TOOL_WANTED, WRONG_TOOL, WRONG_VALUE
from rewards.mistakes import MISTAKES
from rewards.pair_tally import PairTally, counted_pairs
from rewards.pairs import SHARES, mistaken_pairs, read_quotas
from rewards.turns import failure_of, turns_of
from rewards.values import SeenValues, varied
from synthesis.dice import Dice
from synthesis.generation import Settings, generate


def generated(seed: int, count: int) -> Iterator[Conversation]:
    return (made.conversation for made in generate(Settings(count, seed), workers=1))


def made(seed: int, count: int) -> tuple[list[ReplyPair], PairTally]:
    tally = PairTally()
    wanted = read_quotas({}, count)
    return kept(generated(seed, count), wanted, seed, tally), tally


def kept(
    conversations: Iterable[Conversation], wanted: dict[str, int], seed: int, tally: PairTally
) -> list[ReplyPair]:
    """Return the pairs that are new, as scripts/make_pairs.py writes them."""
    found = mistaken_pairs(conversations, wanted, seed, {}, tally)
    return list(counted_pairs(found, tally, lambda _: False))


def check_sides(pair: ReplyPair) -> None:
    """The chosen side is right, the rejected one wrong as its kind says, and within the schemas."""
    tools = {tool.name: tool for tool in pair.prompt.tools}
    check_pair(pair)
    assert failure_of(pair.chosen, pair.chosen, pair.prompt.tools) is None
    assert failure_of(pair.chosen, pair.rejected, pair.prompt.tools) == pair.kind
    for call in pair.rejected.tool_calls:
        assert call.name in tools and len(str(call.id)) == 9
        assert pair.kind == MISSING or not validate_arguments(tools[call.name], call.arguments)


def test_each_side_scores_as_it_should() -> None:
    pairs, tally = made(seed=1, count=60)
    for pair in pairs:
        check_sides(pair)
    assert len(pairs) == 60 and tally.read == 60 + tally.left_out.total()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_each_side_scores_as_it_should_for_many_seeds(seed: int) -> None:
    pairs, _ = made(seed=seed, count=200)
    for pair in pairs:
        check_sides(pair)
    assert len(pairs) == 200


@pytest.mark.parametrize(
    "name",
    [
        "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json",
        "xlam_function_calling_60k/xlam_rows.json",
    ],
)
def test_real_conversations_give_pairs_too(shared: Path, name: str) -> None:
    real = islice(read_any_layout(shared / name, tell=lambda _: None), 60)
    tally = PairTally()
    pairs = kept(real, read_quotas({}, 40), 1, tally)
    for pair in pairs:
        check_pair(pair)
        assert failure_of(pair.chosen, pair.rejected, pair.prompt.tools) == pair.kind
    assert len(pairs) >= 8 and tally.read == len(pairs) + tally.left_out.total()


def test_quotas_are_met_exactly() -> None:
    wanted = read_quotas({"wrong_value": 0.5, "missing_argument": 0}, 40)
    pairs = kept(generated(2, 60), wanted, 2, PairTally())
    kinds = Counter(pair.kind for pair in pairs)
    assert kinds == {kind: number for kind, number in wanted.items() if number}
    assert kinds[WRONG_VALUE] == 20 and sum(wanted.values()) == 40


def test_pairs_left_out_take_nothing_from_a_quota() -> None:
    right = list(generated(2, 40))
    # The first ones come twice, and some prompts are held out.
    twice, held_out = [*right[:6], *right], {conversation.id for conversation in right[8:12]}
    tally, wanted = PairTally(), read_quotas({"wrong_value": 1}, 20)
    found = mistaken_pairs(twice, wanted, 2, {}, tally)
    pairs = list(counted_pairs(found, tally, lambda pair: pair.id.partition("/")[0] in held_out))
    assert len(pairs) == 20 and tally.made == {WRONG_VALUE: 20}
    assert tally.left_out["held-out"] and tally.left_out["copy"]


def test_the_same_seed_makes_the_same_pairs() -> None:
    one, other, third = (made(seed, 12)[0] for seed in (5, 5, 6))
    assert [pair.line for pair in one] == [pair.line for pair in other]
    assert one != third


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"wrong": 0.1}, "no kind of mistake 'wrong'; there are wrong_value"),
        ({"wrong_value": 2}, "--quota.wrong_value is 2, wanted a share from 0 to 1"),
        ({"wrong_value": 0.9, "wrong_tool": 0.2}, "the quotas sum to 1.1, wanted at most 1"),
        (dict.fromkeys((kind.replace(" ", "_") for kind in SHARES), 0.1), "sum to 0.6, wanted 1"),
    ],
)
def test_unusable_quotas_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("'", ".")):
        read_quotas(given, 10)


PARAMETERS = {
    "type": "object",
    "properties": {"port": {"type": "string"}, "unit": {"type": "string", "default": "m"}},
    "required": ["port"],
}
TIDE, SHIPS = Tool("find_tide", "", PARAMETERS), Tool("find_ships", "", PARAMETERS)


def asked(*messages: Message, tools: tuple[Tool, ...] = (TIDE, SHIPS)) -> Conversation:
    return Conversation((Message("user", "Tide?"), *messages), tools, "a")


def calling(**arguments: str) -> Message:
    return Message("assistant", "", (ToolCall("find_tide", arguments, "call00001"),))


def mistake(
    kind: str, conversation: Conversation, *known: Conversation, seed: int = 1
) -> Message | None:
    seen = SeenValues()
    seen.note((conversation, *known))
    return MISTAKES[kind](next(turns_of(conversation)), seen, Dice(seed))


def test_a_call_in_place_of_a_question_guesses_what_nobody_said() -> None:
    asks = (Message("assistant", "Which port?"), Message("user", "Hull."), calling(port="Hull"))
    other = asked(calling(port="Goole"))
    wrong = mistake(NO_TOOL_WANTED, asked(*asks), other)
    assert wrong is not None and wrong.tool_calls[0].arguments == {"port": "Goole"}


def test_a_needless_argument_is_never_its_default() -> None:
    known = [asked(calling(port="Hull", unit=unit)) for unit in ("m", "feet")]
    tries = [mistake(NEEDLESS, asked(calling(port="Hull")), *known, seed=n) for n in range(8)]
    found = [wrong.tool_calls[0].arguments["unit"] for wrong in tries if wrong is not None]
    assert found and set(found) == {"feet"}


def test_no_mistake_is_made_that_the_turn_cannot_show() -> None:
    text = asked(Message("assistant", "Hello."))
    assert all(mistake(kind, text) is None for kind in MISTAKES if kind != NO_TOOL_WANTED)
    bare = asked(Message("assistant", "Hello."), tools=())
    assert mistake(NO_TOOL_WANTED, bare) is None
    alone = asked(calling(port="Hull"), tools=(TIDE,))
    assert mistake(WRONG_TOOL, alone) is None


def test_conversations_with_unfit_calls_are_left_out_and_counted() -> None:
    unfit = asked(Message("assistant", "", (ToolCall("sink", {}),)))
    wrong = asked(calling(harbour="Hull"))
    tally = PairTally()
    assert not list(mistaken_pairs([unfit, wrong], read_quotas({}, 6), 1, {}, tally))
    assert tally.left_out == {"unfit-call": 2} and tally.read == 2
    assert any(
        "find_tide has no parameter" in reason or "sink" in reason for reason in tally.lines()
    )


def test_later_calls_of_tools_not_on_offer_are_passed_over() -> None:
    later = (Message("user", "Go."), Message("assistant", "", (ToolCall("sink", {}),)))
    found = mistake(NO_TOOL_WANTED, replace(asked(Message("assistant", "Hm?"), *later), id="b"))
    assert found is None or found.tool_calls[0].name in ("find_tide", "find_ships")


@pytest.mark.parametrize("value", [True, 7, 2.5, [1, 2, 3], "2026-11-30"])
def test_a_varied_value_is_another_of_its_type(value: object) -> None:
    found = varied(value, {}, Dice(1))
    assert type(found) is type(value) and found != value
