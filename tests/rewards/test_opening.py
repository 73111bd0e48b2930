"""What a run draws its replies from: prompts of the train split alone, and what is left out."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from speaking_model import TOKENIZER
from talking_runs import WEATHER, write_talking_dataset

from chat.conversation import Conversation, Message, ToolCall
from data.conversations import write_conversations
from data.tokenized import TokenizedDataset
from evaluation.items import turn_items
from rewards.opening import open_rollouts
from rewards.rollouts import Rollouts
from training.reward_section import RewardSection


def conversation(id: str, question: str, reply: Message, *more: Message) -> Conversation:
    messages = (Message("user", question), reply, *more)
    return Conversation(messages, (WEATHER,), id=id, sha256=id)


def call(city: Any = "Lyon", name: str = "weather") -> Message:
    return Message("assistant", "", (ToolCall(name, {"city": city}),))


RAIN = conversation("rain", "Rain in Lyon?", call())
HELLO = conversation("hello", "Hello!", Message("assistant", "Hello."))
HELD = conversation("held", "Rain in Oslo?", call("Oslo"))
Open = Callable[..., Rollouts | None]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def opened(tmp_path: Path, said: list[str]) -> Open:
    """Return what opens prompts over a train split of `trained` and a validation split of HELD."""
    base = tmp_path / "base"
    base.mkdir()
    shutil.copyfile(TOKENIZER, base / "tokenizer.model")
    (base / "consolidated.safetensors").touch()

    def open_them(
        found: list[Conversation],
        trained: list[Conversation] | None = None,
        sample: Any = None,
        micro_batch_tokens: int = 512,
        **settings: Any,
    ) -> Rollouts | None:
        split = found if trained is None else trained
        data = write_talking_dataset(tmp_path / "data", base, [HELD], split)
        write_conversations(tmp_path / "prompts.jsonl", found)
        given = {"prompts_file": str(tmp_path / "prompts.jsonl"), "max_new_tokens": 60, **settings}
        config = SimpleNamespace(
            reward=RewardSection(**given),
            seed=3,
            model=SimpleNamespace(checkpoint_dir=str(base)),
            training=SimpleNamespace(batch_size=2, micro_batch_tokens=micro_batch_tokens),
            run_dir=tmp_path / "run",
        )
        splits = [TokenizedDataset.open(data, split) for split in ("train", "validation")]
        return open_rollouts(config, *splits, sample, said.append)  # type: ignore[arg-type]

    return open_them


def ids(rollouts: Rollouts | None) -> list[str]:
    assert rollouts is not None
    return [task.id for task in rollouts.tasks]


def test_prompts_are_turns_of_the_train_split_alone(opened: Open, said: list[str]) -> None:
    assert ids(opened([RAIN, HELLO, HELD], trained=[RAIN, HELLO])) == ["rain/1", "hello/1"]
    assert said[0].startswith("reward: 2 prompts of the train split from ")
    assert said[0].endswith(
        "1 that want calls and 1 that want a text; held-out prompts never yield a reward"
    )
    assert said[1:] == ["reward: 1 left out, not of the train split (the first: held)"]


def test_prompt_that_stands_in_validation_too_is_left_out(opened: Open, said: list[str]) -> None:
    again = replace(HELD, id="again", sha256="again")
    assert ids(opened([RAIN, HELLO, again])) == ["rain/1", "hello/1"]
    assert said[1:] == [
        "reward: 1 left out, held out: they stand in validation too (the first: again/1)"
    ]


def test_prompts_of_the_generated_sample_are_left_out(opened: Open) -> None:
    sample = SimpleNamespace(items=list(turn_items(replace(RAIN, id="other", sha256="other"))))
    assert ids(opened([RAIN, HELLO], sample=sample)) == ["hello/1"]


def test_file_of_held_out_conversations_gives_no_prompt(opened: Open) -> None:
    with pytest.raises(ValueError, match=r"prompts\.jsonl gives no prompt to reply to: 1 left out"):
        opened([HELD], trained=[RAIN])


@pytest.mark.parametrize(
    ("prompt", "settings", "reason"),
    [
        (
            conversation("a", "Rain?", call(7)),
            {},
            "with a recorded call that fits no tool (the first: a/1: weather/city: ",
        ),
        (
            conversation("a", "Rain?", call(name="rain")),
            {},
            "with a recorded call that fits no tool (the first: a/1: rain is not among the tools",
        ),
        (
            conversation("a", "Rain? " * 300, call()),
            {},
            "too long for training.micro_batch_tokens with reward.max_new_tokens after them",
        ),
        (
            conversation("a", "Rain?", call()),
            {"parts": {"reached": 1.0}},
            "with tools that do not run; name a file with --reward.tools_file",
        ),
        (
            conversation("a", "Hi!", Message("assistant", "?")),
            {"parts": {"irrelevance": 0}},
            "as no part of the reward with a weight judges them",
        ),
    ],
)
def test_prompt_that_cannot_be_judged_is_left_out_with_the_reason(
    opened: Open, said: list[str], prompt: Conversation, settings: dict[str, Any], reason: str
) -> None:
    if "reached" in settings.get("parts", {}):
        with pytest.raises(ValueError, match="gives no prompt to reply to: 2 left out, with tools"):
            opened([RAIN, prompt], **settings)
        return
    assert ids(opened([RAIN, prompt], **settings)) == ["rain/1"]
    assert any(reason in line for line in said), said


def test_so_many_prompts_are_drawn_by_the_seed(opened: Open) -> None:
    many = [conversation(f"c{i}", f"Rain in {i}?", call()) for i in range(20)]
    few = ids(opened(many, prompts=5))
    assert len(few) == 5 and few == ids(opened(many, prompts=5)) and few != ids(opened(many))[:5]


@pytest.mark.parametrize(
    ("prompts", "habit"), [([RAIN], "calling always"), ([HELLO], "never calling")]
)
def test_prompts_of_one_kind_are_warned_of(
    opened: Open, said: list[str], prompts: list[Conversation], habit: str
) -> None:
    opened(prompts)
    assert f"so {habit} is rewarded; add prompts of the other kind" in said[-1]


def test_function_that_throws_is_found_before_training(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def judge(attempt): return attempt['reply']")
    with pytest.raises(ValueError, match=r"mine\.py:judge, on a reply to 'rain/1', raised KeyErr"):
        opened([RAIN, HELLO], function=f"{tmp_path}/mine.py:judge")


def test_prompts_may_stand_in_several_files(opened: Open, tmp_path: Path) -> None:
    write_conversations(tmp_path / "more.jsonl", [HELLO])
    files = f"{tmp_path}/prompts.jsonl, {tmp_path}/more.jsonl"
    assert ids(opened([RAIN], [RAIN, HELLO], prompts_file=files)) == ["rain/1", "hello/1"]


def test_missing_file_of_prompts_is_named(opened: Open) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl does not exist; name the conv"):
        opened([RAIN], prompts_file="gone.jsonl")


def test_every_epoch_asks_all_prompts_in_another_order(opened: Open) -> None:
    rollouts = opened([conversation(f"c{i}", f"Rain in {i}?", call()) for i in range(7)])
    assert rollouts is not None and rollouts.steps_per_epoch == 4
    draws = [[task.id for task in rollouts._tasks(number)] for number in range(8)]
    first, second = ([id for draw in draws[i : i + 4] for id in draw] for i in (0, 4))
    assert sorted(first) == sorted(second) == sorted(ids(rollouts)) and first != second
