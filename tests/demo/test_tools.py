"""The demo's tools and prompts: what is scored was never trained."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.conversation import Conversation, ToolCall
from scripts.run_demo import journey
from serving.toolbox import open_toolbox
from synthesis.catalogue import Catalogue, select
from synthesis.custom import read_tools_file
from synthesis.generation import Settings, generate

TOOLS = Path(__file__).parents[2] / "demo/tools"


def catalogue(name: str) -> Catalogue:
    return select(read_tools_file(TOOLS / f"{name}.py"), ("custom",))


def generated(name: str) -> list[Conversation]:
    """Make the conversations that a stage of the demo writes to NAME.jsonl, a tenth of them."""
    [command] = [
        s.command
        for s in journey(Path("out"))
        if f"out/{name}.jsonl" in s.command and "gen" in s.command
    ]
    words = shlex.split(command.replace("=", " "))[1:]
    flags = dict(zip(words[::2], words[1::2], strict=True))
    quotas = {k.removeprefix("--quota."): float(v) for k, v in flags.items() if "quota" in k}
    settings = Settings(
        int(flags["--count"]) // 10,
        int(flags["--seed"]),
        flags["--tools-file"],
        (flags["--domains"],),
        quotas=quotas,
        most_tools=int(flags["--most-tools"]),
        values=flags["--values"],
        mixture="plain",
    )
    return [made.conversation for made in generate(settings, workers=1)]


@pytest.fixture(scope="module")
def trained() -> list[Conversation]:
    return [*generated("everyday"), *generated("made_up")]


@pytest.fixture(scope="module")
def prompts() -> dict[str, list[Conversation]]:
    return {name: generated(f"{name}_prompts") for name in ("seen", "unseen")}


def said(conversations: list[Conversation]) -> set[str]:
    messages = (message for conversation in conversations for message in conversation.messages)
    return {message.content for message in messages if message.role == "user"}


def calls(conversations: list[Conversation]) -> Iterator[ToolCall]:
    for conversation in conversations:
        for message in conversation.messages:
            yield from message.tool_calls


def test_unseen_tools_share_no_names_or_domains_with_trained_ones():
    names = {name: set(catalogue(name).by_name) for name in ("everyday", "made_up", "unseen")}
    assert names["unseen"].isdisjoint(names["everyday"] | names["made_up"])
    assert names["everyday"].isdisjoint(names["made_up"])
    domains = {name: {d.name for d in catalogue(name).domains} for name in names}
    assert domains["unseen"].isdisjoint(domains["everyday"] | domains["made_up"])
    assert [len(names[name]) for name in ("everyday", "unseen")] == [31, 20]
    assert len(names["made_up"]) > 900


def test_prompts_offer_only_the_tools_that_they_say(
    trained: list[Conversation], prompts: dict[str, list[Conversation]]
):
    offered = {
        name: {tool.name for conversation in conversations for tool in conversation.tools}
        for name, conversations in {"trained": trained, **prompts}.items()
    }
    assert offered["seen"] <= offered["trained"]
    assert offered["unseen"].isdisjoint(offered["trained"])


def test_no_prompt_is_said_in_training(
    trained: list[Conversation], prompts: dict[str, list[Conversation]]
):
    for conversations in prompts.values():
        wanted = [
            conversation for conversation in conversations if "small_talk" not in conversation.id
        ]
        assert said(wanted).isdisjoint(said(trained))


def test_values_of_the_prompts_stand_in_no_call_of_training(
    trained: list[Conversation], prompts: dict[str, list[Conversation]]
):
    tools = catalogue("everyday").by_name
    free = {
        tool.name: {e.name for e in tool.parameters if not {"enum"} & e.schema.keys()}
        for tool in tools.values()
    }
    known, wanted = (
        {
            (call.name, name, json.dumps(value))
            for call in calls(conversations)
            for name, value in call.arguments.items()
            if name in free.get(call.name, ()) and not name.endswith("_id")
        }
        for conversations in (trained, prompts["seen"])
    )
    assert len(wanted) > 20 and wanted.isdisjoint(known)


def test_made_up_tools_run_and_are_linked_within_their_field():
    made_up = catalogue("made_up")
    assert len(made_up.chains) > 100
    assert all(set(chain.uses) == set(chain.uses.values()) for chain in made_up.chains)
    again = {name: tool.do for name, tool in catalogue("made_up").by_name.items()}
    assert again == {name: tool.do for name, tool in made_up.by_name.items()}


def test_the_tools_of_the_last_chat_run_and_are_new():
    toolbox = open_toolbox(file=str(TOOLS / "chat.py"))
    assert toolbox.result(ToolCall("hire_bikes", {"town": "Oslo", "bikes": 14})) == (
        '{"hire_id": "H-14004"}'
    )
    names = {tool.name for tool in toolbox.tools}
    for name in ("everyday", "made_up", "unseen"):
        assert names.isdisjoint(catalogue(name).by_name)
