"""Episodes with scripted replies: what the model reads next, what ends it, what it is worth."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from speaking_model import TOKENIZER

from chat.conversation import Conversation, Message, ToolCall
from chat.formats.known import FORMATS
from chat.formats.rendering import encode_prompt, stop_ids, written_reply
from chat.tokenizers.tokenizer import load_tokenizer
from inference.generate import Completion, Decoding
from rewards.episodes import Episode, Limits, Player
from rewards.function import read_function
from rewards.judging import Judge
from rewards.tasks import LeftOut, Rules, Task, find_tasks
from rewards.world import World
from training.reward_section import RewardParts

FORMAT = FORMATS["llama3"]
TOKENS = load_tokenizer(TOKENIZER)
STOP = stop_ids(FORMAT, TOKENS)[0]
TOOLS = '''
def find_id(name: str) -> dict:
    """Find the id of a person."""
    if name != "Ada":
        raise ValueError(f"nobody is called {name}; did you mean Ada?")
    return {"id": 7}

def pay(id: int, amount: int) -> dict:
    """Pay an amount to a person."""
    return {"paid": amount, "to": id}

def odd(name: str) -> object:
    """Return what no JSON holds."""
    return object()
'''
FIND, PAY = ToolCall("find_id", {"name": "Ada"}), ToolCall("pay", {"id": 7, "amount": 20})
WRONG = ToolCall("find_id", {"name": "Adda"})
DONE = "Ada has got 20 euros."


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    file = tmp_path_factory.mktemp("tools") / "bank.py"
    file.write_text(TOOLS)
    return World.of(str(file))


def conversation(world: World, *messages: Message) -> Conversation:
    tools = tuple(world.tools[name].tool for name in ("find_id", "pay", "odd"))
    return Conversation(messages, tools, id="c", sha256="c")


def recorded(world: World) -> Conversation:
    return conversation(
        world,
        Message("user", "Pay Ada 20 euros."),
        Message("assistant", "", (FIND,)),
        Message("tool", '{"id": 7}', name="find_id"),
        Message("assistant", "", (PAY,)),
        Message("tool", '{"paid": 20, "to": 7}', name="pay"),
        Message("assistant", DONE),
    )


def tasks_of(
    found: Conversation, world: World, turns: int, parts: Sequence[str] = ("exact_match",)
) -> list[Task]:
    rules = Rules(FORMAT, TOKENS, world, turns, frozenset(parts), {"c"}, (), 4096)
    return list(find_tasks([found], rules, LeftOut()))


def saying(*replies: str | ToolCall) -> Callable[..., Iterator[tuple[int, Completion]]]:
    """Return what draws these replies one after the other, the same for all that ask at once."""
    script = iter(replies)

    def draw(
        prompts: Sequence[list[int]], decoding: Decoding, chance: Callable[[int], random.Random]
    ) -> Iterator[tuple[int, Completion]]:
        said = next(script)
        calls = (said,) if isinstance(said, ToolCall) else ()
        text = written_reply(Message("assistant", "" if calls else str(said), calls), FORMAT)
        tokens = TOKENS.encode(text)[: decoding.max_new_tokens]
        whole = len(tokens) < decoding.max_new_tokens
        logprobs = tuple(-chance(0).random() for _ in range(len(tokens) + whole))
        for place in range(len(prompts)):
            yield place, Completion(tokens, STOP if whole else None, logprobs)

    return draw


def play(
    task: Task,
    world: World,
    *replies: str | ToolCall,
    turns: int = 4,
    max_new_tokens: int = 60,
    episode_tokens: int | None = None,
    max_length: int = 4096,
) -> Episode:
    limits = Limits(turns, max_new_tokens, episode_tokens, max_length, 1.0, 8)
    player = Player(saying(*replies), FORMAT, TOKENS, world, limits, executes=True)
    (episode,) = player.play([task], 1, "seed")
    return episode


def test_model_reads_the_results_of_its_calls(world: World) -> None:
    (task,) = tasks_of(recorded(world), world, turns=4)
    episode = play(task, world, FIND, PAY, DONE)
    assert episode.ended == "reply" and len(episode.turns) == 3
    assert episode.conversation.messages == recorded(world).messages
    asked = Conversation(recorded(world).messages[:3], task.item.conversation.tools)
    assert episode.turns[1].prompt == encode_prompt(asked, FORMAT, TOKENS)


def test_turns_hold_the_models_own_tokens_alone(world: World) -> None:
    (task,) = tasks_of(recorded(world), world, turns=4)
    episode = play(task, world, FIND, DONE)
    texts = [TOKENS.decode(turn.tokens[:-1]) for turn in episode.turns]
    assert "find_id" in texts[0] and texts[1] == DONE
    assert all(turn.tokens[-1] == STOP for turn in episode.turns)
    assert all(len(turn.tokens) == len(turn.logprobs) for turn in episode.turns)
    assert not any('{"id": 7}' in text for text in texts)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (WRONG, "nobody is called Adda; did you mean Ada?"),
        (ToolCall("find_id", {}), "missing 1 required positional argument"),
        (ToolCall("get_weather", {"city": "Lyon"}), "there is no tool 'get_weather'"),
        (ToolCall("odd", {"name": "x"}), "cannot be written as JSON"),
    ],
)
def test_errors_of_tools_are_what_the_model_reads(world: World, call: ToolCall, error: str) -> None:
    (task,) = tasks_of(recorded(world), world, turns=4)
    episode = play(task, world, call, DONE)
    assert error in episode.conversation.messages[2].content
    assert episode.ended == "reply" and episode.executed[0][1].failed


@pytest.mark.parametrize(
    ("limits", "replies", "ended", "turns"),
    [
        ({"turns": 2}, (FIND, PAY), "turns", 2),
        ({"episode_tokens": 10}, (FIND,), "tokens", 1),
        ({"max_new_tokens": 4}, (FIND,), "tokens", 1),
        ({"max_length": 240}, (FIND,), "tokens", 1),
        ({"turns": 1}, (FIND,), "reply", 1),
    ],
)
def test_limits_end_an_episode(
    world: World, limits: dict[str, int], replies: tuple[ToolCall, ...], ended: str, turns: int
) -> None:
    (task,) = tasks_of(recorded(world), world, turns=4)
    episode = play(task, world, *replies, **limits)
    assert (episode.ended, len(episode.turns)) == (ended, turns)


WEIGHTS = {**RewardParts().model_dump(), "reached": 1.0}


@pytest.mark.parametrize(
    ("replies", "reached", "exact"),
    [
        ((FIND, PAY, DONE), 1, 1),
        ((WRONG, FIND, PAY, DONE), 1, 1),
        ((FIND, DONE), 0.5, 0),
        ((FIND, PAY, PAY, DONE), pytest.approx(2 / 3), 0),
        ((PAY, DONE), 0.5, 0),
        ((DONE,), 0, 0),
        (("",), 0, 0),
    ],
)
def test_result_is_reached_by_executing_the_calls(
    world: World, replies: tuple[str | ToolCall, ...], reached: float, exact: float
) -> None:
    (task,) = tasks_of(recorded(world), world, turns=6)
    found = Judge(WEIGHTS)(play(task, world, *replies, turns=6))
    assert (found.parts["reached"], found.parts["exact_match"]) == (reached, exact)


def test_episode_that_is_cut_off_earns_nothing(world: World) -> None:
    (task,) = tasks_of(recorded(world), world, turns=2)
    found = Judge(WEIGHTS)(play(task, world, FIND, PAY, turns=2))
    assert found.reward == 0 and found.parts["reached"] == 0


def test_call_that_fails_counts_where_no_call_is_wanted(world: World) -> None:
    told = conversation(world, Message("user", "Hello!"), Message("assistant", "Hello, you."))
    (task,) = tasks_of(told, world, turns=4, parts=("irrelevance",))
    assert Judge(WEIGHTS)(play(task, world, WRONG, "Hello, you.")).reward == 0
    assert Judge(WEIGHTS)(play(task, world, "Hello, you.")).reward == 1


def test_episode_begins_where_a_user_spoke(world: World) -> None:
    assert [task.id for task in tasks_of(recorded(world), world, turns=4)] == ["c/1"]
    assert [task.id for task in tasks_of(recorded(world), world, 1)] == ["c/1", "c/3"]


def test_call_that_was_mended_is_not_wanted(world: World) -> None:
    mended = conversation(
        world,
        Message("user", "Find Ada."),
        Message("assistant", "", (WRONG,)),
        Message("tool", "{}", name="find_id"),
        Message("assistant", "", (FIND,)),
        Message("tool", '{"id": 7}', name="find_id"),
        Message("assistant", "7."),
    )
    (task,) = tasks_of(mended, world, turns=4)
    assert task.calls == (FIND,)
    assert tasks_of(mended, world, turns=1)[0].calls == (WRONG,)


def test_users_function_is_told_what_was_done(world: World, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def judge(attempt):\n"
        "    assert attempt['expected']['calls'][0]['name'] == 'find_id'\n"
        "    assert attempt['messages'][-1]['content'] == 'Pay Ada 20 euros.'\n"
        "    return sum(not result['failed'] for result in attempt['results'])\n"
    )
    (task,) = tasks_of(recorded(world), world, turns=4)
    judge = Judge({"function": 2.0}, read_function(f"{file}:judge"))
    judge.check_function(task)
    assert judge(play(task, world, WRONG, FIND, PAY, DONE)).reward == 2.0


def test_draws_follow_from_seed_task_and_copy(world: World) -> None:
    (task,) = tasks_of(recorded(world), world, turns=4)
    chances: list[float] = []

    def draw(
        prompts: Sequence[list[int]], decoding: Decoding, chance: Callable[[int], random.Random]
    ) -> Iterator[tuple[int, Completion]]:
        for place in range(len(prompts)):
            chances.append(chance(place).random())
            yield place, Completion([5], STOP, (0.0, 0.0))

    player = Player(draw, FORMAT, TOKENS, world, Limits(1, 60, None, 4096, 1.0, 8), executes=False)
    for seed in ("a", "a", "b"):
        player.play([task], 2, seed)
    assert chances[:2] == chances[2:4] and len(set(chances)) == 4
