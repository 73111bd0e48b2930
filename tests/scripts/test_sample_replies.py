"""The command that draws replies: right ones become rows, all is kept, errors are one line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_lines import next_commands
from commands import Outcome, run_command
from speaking_model import write_speaking_model

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.building.dataset import Settings, build_dataset
from data.conversations import read_conversations, write_conversations
from evaluation.items import conversation_items
from rewards import sampling
from scripts.sample_replies import main

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
CALLED = Message("assistant", "", (ToolCall("weather", {"city": "Lyon"}),))
THANKED = (Message("user", "Rain in Lyon?"), CALLED, Message("tool", "dry"))
LEARNT = [
    Conversation((Message("user", "Rain in Lyon?"), CALLED), (WEATHER,), "rain"),
    Conversation((Message("user", "Hello"), Message("assistant", "Hello there")), (), "hello"),
    Conversation((*THANKED, Message("assistant", "It is dry.")), (WEATHER,), "dry"),
]
# Of two the model knows another answer than is wanted.
ASKED = [
    *LEARNT,
    Conversation(
        (
            Message("user", "Hello"),
            Message("assistant", "", (ToolCall("weather", {"city": "Rome"}),)),
        ),
        (WEATHER,),
        "rome",
    ),
]
Sample = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sampled")
    write_speaking_model(path / "model", LEARNT)
    write_conversations(path / "asked.jsonl", ASKED)
    write_conversations(path / "held.jsonl", [LEARNT[1]])
    return path


@pytest.fixture
def sample(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Sample:
    def command(*more: object) -> Outcome:
        where = [f"--ckpt-dir={folder}/model", f"--dataset-file={folder}/asked.jsonl"]
        how = [f"--save-file={tmp_path}/kept.jsonl", "--temperature=0.6", "--max-new-tokens=40"]
        return run_command(main, [*where, *how, "--replies=3", *more], monkeypatch, capsys)

    return command


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_right_replies_become_rows_of_which_the_reply_is_learnt(
    sample: Sample, tmp_path: Path, folder: Path
) -> None:
    outcome = sample("--most-kept=1", f"--verdicts-file={tmp_path}/verdicts.jsonl")
    assert outcome.code == 0, outcome.error
    kept = {row["id"].rpartition("/")[0]: row for row in rows(tmp_path / "kept.jsonl")}
    assert {"rain/1", "hello/1", "dry/1", "dry/3"} <= kept.keys()
    assert "rome/1" not in kept
    last = kept["dry/3"]
    learnt = [message.get("trained", True) for message in last["messages"]]
    assert learnt == [True, False, True, True]
    assert last["messages"][-1]["content"] == "It is dry."
    made_by = last["made_by"]
    assert made_by["ckpt_dir"] == f"{folder}/model"
    assert (made_by["temperature"], made_by["constrain"]) == (0.6, False)
    # The row is known to be of the conversation that it was made of.
    sha256s = {found.id: found.sha256 for found in read_conversations(folder / "asked.jsonl")}
    assert last["sha256"] == sha256s["dry"]


def test_every_reply_is_in_the_file_of_verdicts(sample: Sample, tmp_path: Path) -> None:
    sample(f"--verdicts-file={tmp_path}/verdicts.jsonl")
    verdicts = rows(tmp_path / "verdicts.jsonl")
    assert len(verdicts) == 5 * 3
    wrong = [verdict for verdict in verdicts if verdict["id"] == "rome/1"]
    assert {verdict["right"] for verdict in wrong} == {False}
    assert all(verdict["kind"] for verdict in wrong)
    assert all(set(verdict) == set(verdicts[0]) for verdict in verdicts)


def test_the_report_counts_prompts_by_what_is_right(sample: Sample, tmp_path: Path) -> None:
    outcome = sample()
    counts = json.loads((tmp_path / "kept.report.json").read_text())["kinds"]["all"]
    assert counts["prompts"] == 5
    assert counts["all_right"] + counts["some_right"] + counts["none_right"] == 5
    assert counts["none_right"] >= 1
    assert counts["kept"] == len(rows(tmp_path / "kept.jsonl"))
    assert "Mistakes: " in outcome.out
    assert "kind of prompt" in outcome.out


def test_kept_rows_build_a_dataset_as_the_next_command_says(
    sample: Sample, tmp_path: Path, folder: Path
) -> None:
    outcome = sample("--replay=1")
    (command,) = next_commands(outcome.out)
    assert f"--source-file {tmp_path}/kept.jsonl" in command
    settings = Settings(val_ratio=0.5, split_by="prompt")
    build_dataset(tmp_path / "kept.jsonl", folder / "model", tmp_path / "dataset", settings)
    # Replies to one prompt are in one split.
    assert any(True for _ in conversation_items(tmp_path / "kept.jsonl"))


def test_replayed_conversations_are_trained_as_they_stand(sample: Sample, tmp_path: Path) -> None:
    outcome = sample("--replay=0.5", "--most-kept=1")
    assert "training conversations: " in outcome.out
    added = [row for row in rows(tmp_path / "kept.jsonl") if "made_by" not in row]
    assert added
    assert not any("trained" in message for row in added for message in row["messages"])


def test_prompts_of_a_held_out_file_are_not_replied_to(
    sample: Sample, tmp_path: Path, folder: Path
) -> None:
    outcome = sample(f"--never-from={folder}/held.jsonl")
    assert f"Held out: 1 prompts that stand in {folder}/held.jsonl are not used" in outcome.out
    assert not any(row["id"].startswith("hello") for row in rows(tmp_path / "kept.jsonl"))


def test_an_interrupted_run_keeps_what_was_judged_and_goes_on(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample()
    whole = (tmp_path / "kept.jsonl").read_text()
    draw, asked = sampling.draw_replies, list[int]()

    def interrupted(*given: Any) -> Iterator[Any]:
        for place, drawn in enumerate(draw(*given)):
            if place == 2:
                raise KeyboardInterrupt
            yield drawn

    def counted(model: Any, items: Any, *more: Any) -> Iterator[Any]:
        asked.append(len(items))
        return draw(model, items, *more)

    monkeypatch.setattr(sampling, "draw_replies", interrupted)
    outcome = sample()
    assert outcome.code == 130
    assert "2 of 5 prompts have their replies" in outcome.out
    # What an earlier run wrote is left alone.
    assert (tmp_path / "kept.jsonl").read_text() == whole
    assert (tmp_path / "kept.unfinished.jsonl").exists()
    monkeypatch.setattr(sampling, "draw_replies", counted)
    outcome = sample()
    assert "2 of 5 prompts were replied to before: going on" in outcome.out
    assert asked == [3]
    assert (tmp_path / "kept.jsonl").read_text() == whole
    assert {path.name for path in tmp_path.iterdir()} == {"kept.jsonl", "kept.report.json"}


def test_replies_of_other_flags_are_not_continued(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "kept.jsonl.replies.jsonl").write_text('{"inputs": "other"}\n')
    outcome = sample()
    assert outcome.code == 1
    assert "holds replies of a run that was cut off, with other weights" in outcome.error


def test_easy_prompts_are_skipped_where_it_is_wanted(sample: Sample, tmp_path: Path) -> None:
    outcome = sample("--skip-easy", "--temperature=0.01")
    assert outcome.code == 1
    assert "no reply to 5 prompts was kept" in outcome.error
    assert (tmp_path / "kept.report.json").exists()


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--replies=0"], "--replies is 0, wanted 1 or more"),
        (["--replay=-1"], "--replay is -1.0, wanted 0 or more"),
        (["--never-from=nowhere"], "--never-from nowhere does not exist"),
        (["--temperature=0"], "all 3 replies to a prompt are the same one"),
        (["--chat-format-anyway"], "--chat-format-anyway goes with --chat-format"),
    ],
)
def test_flags_that_cannot_be_are_refused(sample: Sample, flags: list[str], reason: str) -> None:
    outcome = sample(*flags)
    assert outcome.code in (1, 2)
    assert reason in outcome.error
