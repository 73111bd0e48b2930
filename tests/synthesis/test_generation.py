"""Generated conversations: exact quotas, the same bytes, varied words, true answers, clean rows."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from chat.conversation import Conversation
from data.cleaning.rules import RULES
from data.conversations import content_sha256, json_line, read_conversations
from synthesis.catalogue import select
from synthesis.generation import Made, Settings, generate, generate_file, left_out
from synthesis.mixtures import PLAIN
from synthesis.quotas import apportion, read_shares

ROOT = Path(__file__).parents[2]
COUNT = 2500


@pytest.fixture(scope="module")
def all_made() -> list[Made]:
    return list(generate(Settings(count=COUNT, mixture="plain"), workers=1))


@pytest.fixture(scope="module")
def conversations(all_made: list[Made]) -> list[Conversation]:
    return [made.conversation for made in all_made]


def test_every_behaviour_has_its_quota_exactly(conversations: list[Conversation]) -> None:
    counts = Counter(conversation.id.split("-")[1] for conversation in conversations)
    assert +counts == +Counter(apportion(read_shares({}, PLAIN), COUNT))
    assert all(
        abs(counts[name] / COUNT - share) <= 0.01 * share for name, share in PLAIN.shares.items()
    )


def test_no_row_is_repaired_or_rejected_by_cleaning(conversations: list[Conversation]) -> None:
    for conversation in conversations[:800]:
        for rule in RULES:
            draft = rule(conversation)
            assert draft.changes == () and draft.conversation == conversation
    assert len({content_sha256(conversation) for conversation in conversations}) == COUNT


def test_a_conversation_is_the_same_after_writing_and_reading(
    conversations: list[Conversation], tmp_path: Path
) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text("".join(map(json_line, conversations[:50])), encoding="utf-8")
    for read, written in zip(read_conversations(file), conversations[:50], strict=True):
        assert (read.id, read.messages, read.tools) == (written.id, written.messages, written.tools)
        assert read.source == "synthetic"


def test_users_hardly_repeat_themselves_even_with_values_masked(all_made: list[Made]) -> None:
    said = [text for made in all_made for text in made.said]
    skeletons = [text for made in all_made for text in made.skeletons]
    assert len(said) == len(skeletons) > COUNT
    assert len(set(said)) > 0.99 * len(said)
    assert len(set(skeletons)) > 0.9 * len(skeletons)


def test_one_to_eight_tools_are_offered_including_the_called_ones(
    conversations: list[Conversation],
) -> None:
    sizes, first = Counter(), 0
    for conversation in conversations:
        offered = [tool.name for tool in conversation.tools]
        called = [call.name for m in conversation.messages for call in m.tool_calls]
        assert set(called) <= set(offered) and len(set(offered)) == len(offered)
        sizes[len(offered)] += 1
        first += bool(called) and len(offered) > 3 and offered[0] == called[0]
    assert sorted(sizes) == list(range(1, 9)) and min(sizes.values()) > 100
    assert first < 0.3 * COUNT


def test_every_tool_is_called_somewhere(conversations: list[Conversation]) -> None:
    called = {call.name for c in conversations for m in c.messages for call in m.tool_calls}
    assert called == {tool.name for c in conversations for tool in c.tools}


def test_texts_are_whole_sentences(conversations: list[Conversation]) -> None:
    for conversation in conversations:
        for message in conversation.messages:
            if message.role in ("user", "assistant") and not message.tool_calls:
                assert re.search(r"[.!?]$", message.content), message.content
                assert not re.search(r"  |[{}\[\]|\ue000\ue001]| [.,!?](\s|$)|,\.", message.content)


def numbers_in(text: str) -> set[float]:
    # A time such as 6:00 pm stands in the record as 18:00, a page of a calendar as 2025-03-14.
    text = re.sub(r"\d{1,2}(:\d\d)? [ap]m|out of 5", "", text)
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


def test_answers_tell_only_numbers_that_were_said_or_found(
    conversations: list[Conversation],
) -> None:
    for conversation in conversations:
        # What an argument is by default or may be at most, stands in the schema.
        known = numbers_in(json.dumps([tool.parameters for tool in conversation.tools]))
        found = False
        for message in conversation.messages:
            found |= message.role == "tool"
            if found and message.role == "assistant" and not message.tool_calls:
                assert numbers_in(message.content) <= known, (conversation.id, message.content)
            known |= numbers_in(message.content)
            known |= numbers_in(json.dumps([call.arguments for call in message.tool_calls]))


def digest(settings: Settings, workers: int | None = None) -> str:
    text = "".join(json_line(made.conversation) for made in generate(settings, workers))
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_bytes_do_not_depend_on_the_number_of_processes(
    conversations: list[Conversation],
) -> None:
    text = "".join(map(json_line, conversations))
    alone = hashlib.sha256(text.encode()).hexdigest()
    assert digest(Settings(count=COUNT, mixture="plain"), workers=2) == alone


def test_bytes_depend_on_the_seed_not_on_hashing_or_locale(tmp_path: Path) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file, hashing, locale in zip(files, "12", ("C", "C.UTF-8"), strict=True):
        script = (
            "from synthesis.generation import *; "
            f"generate_file({str(file)!r}, Settings(count=150, seed=11, mixture='plain'))"
        )
        changed = os.environ | {"PYTHONHASHSEED": hashing, "LC_ALL": locale, "TZ": f"UTC+{hashing}"}
        subprocess.run([sys.executable, "-c", script], env=changed, cwd=ROOT, check=True)
    here = tmp_path / "c.jsonl"
    generate_file(here, Settings(count=150, seed=11, mixture="plain"))
    assert files[0].read_bytes() == files[1].read_bytes() == here.read_bytes()
    assert digest(Settings(count=150, seed=12, mixture="plain"), 1) != digest(
        Settings(count=150, seed=11, mixture="plain"), 1
    )


def test_held_out_tools_and_domains_never_appear() -> None:
    settings = Settings(
        count=200, domains=("weather", "units"), exclude_tools=("get_air_quality",),
        quotas={"call_sequence": 0},
        mixture="plain",
    )  # fmt: skip
    found = {tool.name for made in generate(settings, 1) for tool in made.conversation.tools}
    assert found == {
        "get_current_weather",
        "get_weather_forecast",
        "convert_length",
        "convert_weight",
        "convert_temperature",
        "convert_local_time",
    }


def test_a_single_tool_is_enough_for_all_but_sequences() -> None:
    settings = Settings(
        count=100, only_tools=("book_flight",), quotas={"call_sequence": 0}, mixture="plain"
    )
    for made in generate(settings, 1):
        assert [tool.name for tool in made.conversation.tools] == ["book_flight"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            Settings(domains=("wether",), mixture="plain"),
            "no domain 'wether'; did you mean weather",
        ),
        (
            Settings(only_tools=("get_ticke",), mixture="plain"),
            "no tool 'get_ticke'; did you mean get_ticket",
        ),
        (
            Settings(exclude_tools=("nothing",), mixture="plain"),
            "no tool 'nothing'; there are get_current_weather",
        ),
        (
            Settings(only_tools=("view_cart",), exclude_tools=("view_cart",), mixture="plain"),
            "no tool is left by --domains, --only-tools and --exclude-tools",
        ),
        (
            Settings(domains=("units",), quotas={"call_sequence": 0.1}),
            "1000 conversations of call_sequence are wanted, which takes two tools of which one "
            "takes what the other gives; .* --quota.call_sequence=0",
        ),
    ],
)
def test_an_impossible_choice_of_tools_is_refused(settings: Settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next(iter(generate(settings, 1)))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="--count is 0, wanted a number from 1 up"):
        Settings(count=0, mixture="plain")
    with pytest.raises(ValueError, match="--most-tools is 0, wanted a number from 1 up"):
        Settings(most_tools=0, mixture="plain")
    with pytest.raises(ValueError, match="--values is 'new', wanted one of all, seen, unseen"):
        Settings(values="new", mixture="plain")


def test_most_tools_bounds_what_is_offered_beside_what_is_called():
    for made in generate(Settings(count=150, seed=7, most_tools=2, mixture="plain"), workers=1):
        called = {c.name for m in made.conversation.messages for c in m.tool_calls}
        assert len(made.conversation.tools) <= max(2, len(called))


def test_seen_and_unseen_calls_share_no_free_values():
    tools = ("get_air_quality", "get_current_weather", "set_reminder", "compose_email")
    tools = tuple(name for name in tools if name in select().by_name)
    given: dict[str, set[tuple[str, str, str]]] = {}
    for values in ("seen", "unseen"):
        settings = Settings(
            count=300, only_tools=tools, quotas={"single_call": 1}, values=values, mixture="plain"
        )
        calls = [
            call
            for made in generate(settings, workers=1)
            for message in made.conversation.messages
            for call in message.tool_calls
        ]
        given[values] = {
            (call.name, name, json.dumps(value))
            for call in calls
            for name, value in call.arguments.items()
            if "enum" not in select().by_name[call.name].tool.parameters["properties"][name]
            and not isinstance(value, bool)
        }
        assert len(given[values]) > 50
    assert given["seen"].isdisjoint(given["unseen"])


def test_behaviours_that_the_tools_do_not_allow_are_left_out_and_named() -> None:
    settings = Settings(count=200, domains=("units",), mixture="plain")
    lacking = left_out(settings)
    counts = Counter(made.task.behaviour for made in generate(settings, workers=1))
    assert "call_sequence" in lacking
    assert counts.keys() == PLAIN.shares.keys() - set(lacking)
    assert counts.total() == 200
