"""Tasks of several turns are played and judged by the installed package, and only by it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from speaking_model import TOKENIZER
from tiny_models import TINY, random_model

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from chat.formats.llama3 import LLAMA3
from chat.tokenizers.tokenizer import load_tokenizer
from data.benchmarks.bfcl_folder import answers_of
from data.benchmarks.bfcl_turns import TurnTask, read_turn_tasks
from evaluation.answers.model import model_answers
from evaluation.answers.turns import Play, answers_with_turns, read_played
from evaluation.items import Item, played_item, read_items
from evaluation.scoring import bfcl_turns
from evaluation.scoring.bfcl_turns import BfclPackage, PlayedReply, Services
from inference.chat_model import Answer, ChatModel, SkippedItem
from inference.generate import Decoding

NAME = "BFCL_v4_multi_turn_miss_param.ids_0_99.json"
LS = ToolCall("ls", {})


@pytest.fixture
def package() -> BfclPackage:
    pytest.importorskip("bfcl_eval")
    return BfclPackage()


@pytest.fixture
def task(shared: Path) -> TurnTask:
    path = shared / "bfcl" / NAME
    return next(t for t in read_turn_tasks(path, answers_of(path)) if "cd(" in str(t.answers))


def test_missing_package_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    monkeypatch.setattr(bfcl_turns, "find_spec", lambda name: None)
    file = str(shared / "bfcl" / NAME)
    with pytest.raises(ValueError, match=r"bfcl-eval, which is not installed: pip install"):
        read_items(benchmark="bfcl", benchmark_file=file, answers_file=file)
    told: list[str] = []
    items = read_items(
        benchmark="bfcl", benchmark_dir=str(shared / "bfcl"), limit=1, tell=told.append
    )
    assert len(items) == 7 and not any(item.task for item in items)
    assert [line.partition(" ")[0] for line in told] == ["multi_turn_base", "multi_turn_miss_param"]


def test_calls_change_services_until_they_are_closed(package: BfclPackage, task: TurnTask) -> None:
    services = package.begin(task)
    (before,) = services.call([LS])
    services.call([ToolCall("mkdir", {"dir_name": "new one()"})])
    assert "new one" in services.call([LS])[0] and "new one" not in before
    services.close()
    again = package.begin(task)
    assert again.call([LS]) == [before]
    again.close()


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("open", {"file": "made", "mode": "w"}),
        ToolCall("importlib.import_module('os').system", {"command": "touch made"}),
        ToolCall("ls", {"a=open('made', 'w')": 1}),
        ToolCall("ls", {"a": 1, "lambda": 2}),
        ToolCall("_load_scenario", {"scenario": {}}),
    ],
)
def test_only_methods_of_services_are_executed(
    call: ToolCall,
    package: BfclPackage,
    task: TurnTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    services = package.begin(task)
    assert services.call([call])[0].startswith("Error during execution")
    services.close()
    package.judge(task, read_played([[(call,)] for _ in task.turns]).reply)
    assert list(tmp_path.iterdir()) == []


def test_answers_of_a_file_call_methods_of_services_alone(
    package: BfclPackage, task: TurnTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "exec(\"open('made', 'w')\")"
    asked = replace(task, answers=((code,), *task.answers[1:]))
    package.judge(asked, read_played([["No."] for _ in task.turns]).reply)
    assert list(tmp_path.iterdir()) == []


def test_a_task_without_a_word_is_empty(package: BfclPackage, task: TurnTask) -> None:
    assert package.judge(task, read_played([[""] for _ in task.turns]).reply).empty
    assert not package.judge(task, read_played([["No."] for _ in task.turns]).reply).empty


def test_a_reply_cut_off_in_any_turn_is_told(package: BfclPackage, task: TurnTask) -> None:
    play = Play(played_item(task, package), package)
    for index in range(len(task.turns)):
        play.hear(Answer("", Reply("No."), index > 0))
    found = play.result()
    assert isinstance(found, Answer) and not found.whole


Steps = Sequence[Sequence[tuple[ToolCall, ...] | str]]


def play(task: TurnTask, package: BfclPackage, steps: Steps) -> tuple[Answer, list[Item]]:
    """Let a model say these steps, and return all that was said and what it was asked."""
    left = [step for turn in steps for step in turn]
    asked: list[Item] = []

    def ask(items: Sequence[Item]) -> Iterator[tuple[int, Answer | SkippedItem]]:
        asked.extend(items)
        step = left.pop(0)
        reply = Reply(step) if isinstance(step, str) else Reply("", step)
        yield 0, Answer("", reply, True)

    ((_, answer),) = answers_with_turns([played_item(task, package)], ask, 1)
    assert isinstance(answer, Answer)
    return answer, asked


def test_turns_go_on_until_text_and_results_are_heard(package: BfclPackage, task: TurnTask) -> None:
    steps: list[Any] = [["Nothing to do."] for _ in task.turns]
    steps[0] = [(LS, LS), "Done."]
    answer, asked = play(task, package, steps)
    assert isinstance(answer.reply, PlayedReply)
    assert answer.reply.turns == tuple(map(tuple, steps))
    roles = [message.role for message in asked[-1].conversation.messages]
    assert roles[:6] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert len(asked) == len(task.turns) + 1
    assert package.judge(task, answer.reply).reasons[0].startswith("Model")


def test_too_many_steps_end_the_task(package: BfclPackage, task: TurnTask) -> None:
    answer, asked = play(task, package, [[(LS,)] * 40])
    verdict = package.judge(task, answer.reply)
    assert len(asked) == package.most_steps + 1 == 21
    assert verdict.reasons == ("turn 1 has more than 20 steps",)


def test_services_of_few_tasks_are_open_at_once(
    package: BfclPackage, task: TurnTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, most = set[Services](), list[int]()

    def begin(task: TurnTask) -> Services:
        services = Services(package._execution, task)
        opened.add(services)
        most.append(len(opened))
        return services

    def ask(items: Sequence[Item]) -> Iterator[tuple[int, Answer | SkippedItem]]:
        for place in range(len(items)):
            yield place, Answer("", Reply("No."), True)

    close = Services.close
    monkeypatch.setattr("evaluation.answers.turns.BfclPackage", lambda: package)
    monkeypatch.setattr(package, "begin", begin)
    monkeypatch.setattr(
        Services, "close", lambda services: (opened.discard(services), close(services))
    )
    answers = dict(answers_with_turns([played_item(task, package)] * 7, ask, 1))
    assert (sorted(answers), max(most), opened) == (list(range(7)), 4, set())


def test_nothing_of_a_task_is_kept(package: BfclPackage, task: TurnTask) -> None:
    kept = set(vars(package._execution))
    answer, _ = play(task, package, [["No."] for _ in task.turns])
    package.judge(task, answer.reply)
    assert set(vars(package._execution)) == kept
    assert isinstance(package.begin(task), Services)


def test_constraining_tells_its_cost_once_over_all_turns(
    package: BfclPackage, task: TurnTask
) -> None:
    tokenizer = load_tokenizer(TOKENIZER)
    model = random_model(replace(TINY, vocab_size=tokenizer.vocab_size))
    chat_model = ChatModel(model, tokenizer, LLAMA3)
    short = replace(task, functions=task.functions[:1])
    told: list[str] = []
    decoding = Decoding((), max_new_tokens=3, max_length=4096)
    answers = model_answers(chat_model, [played_item(short, package)], decoding, True, told.append)
    ((_, answer),) = answers
    assert isinstance(answer, Answer) and isinstance(answer.reply, PlayedReply)
    steps = sum(map(len, answer.reply.turns))
    assert steps == len(task.turns) > 1
    assert len(told) == 1 and told[0].endswith(f"of {3 * steps} tokens")


def test_reply_that_was_not_played_is_wrong(package: BfclPackage, task: TurnTask) -> None:
    verdict = package.judge(task, Reply("Hello"))
    assert verdict.reasons == (f"0 of {len(task.turns)} turns were played",)
