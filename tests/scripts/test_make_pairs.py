"""scripts/make_pairs.py as a user types it, on to a dataset of pairs that is shown side by side."""

import json
import signal
import sys
from pathlib import Path

import pytest
from inspected import byte_tokenizer
from pair_files import read_pairs

from console.command import run
from data.conversations import write_conversations
from data.tokenized import TokenizedDataset
from scripts import build_dataset, inspect_dataset, make_pairs
from synthesis.generation import Settings, generate

ROW = {
    "prompt": [{"role": "user", "content": "Tide?"}],
    "chosen": [{"role": "assistant", "content": "At noon."}],
    "rejected": [{"role": "assistant", "content": "No idea."}],
}


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command's main with flags; return its exit code, output and errors."""

    def command(module, *flags: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, flags)])
        code = 0
        try:
            run(module.main)
        except SystemExit as left:
            code = int(str(left.code))
        return code, *capsys.readouterr()

    return command


def test_generated_pairs_are_built_and_shown_side_by_side(typed, tmp_path: Path) -> None:
    pairs, dataset = tmp_path / "pairs.jsonl", tmp_path / "dataset"
    flags = ("--count", "24", "--seed", "4", "--mixture", "short", "--quota.wrong_value=0.5")
    code, out, err = typed(make_pairs, "--from", "generator", "--save-file", pairs, *flags)
    assert code == 0, err
    assert "24 pairs" in out and f"build_dataset.py --pairs-file {pairs}" in out
    assert sum(pair.kind == "wrong value" for pair in read_pairs(pairs)) == 12
    tokenizer = byte_tokenizer(tmp_path / "bytes.model")
    named = ("--pairs-file", pairs, "--tokenizer-file", tokenizer, "--save-dir", dataset)
    code, out, err = typed(build_dataset, *named, "--val-ratio", "0.4")
    assert code == 0 and "--preference.beta=0.1" in out, err
    train = TokenizedDataset.open(dataset, "train")
    assert train.group_size == 2
    code, out, err = typed(inspect_dataset, "--dataset-dir", dataset, "--index", "0")
    assert code == 0, err
    assert "train pair 0: " in out and "chosen: " in out and "rejected: " in out
    assert out.count("⟦") - 2 == out.count("■") - 1 == 2
    code, out, err = typed(inspect_dataset, "--dataset-dir", dataset)
    assert code == 0 and f"Pairs of train: {len(train) // 2} (" in out, err
    code, _, err = typed(inspect_dataset, "--dataset-dir", dataset, "--html", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert code == 0 and text.count('<div class="pair">') == min(5, len(train) // 2), err
    assert "train pair 0, chosen: " in text and "train pair 0, rejected: " in text
    code, _, err = typed(inspect_dataset, "--dataset-dir", dataset, "--index", "99")
    assert code == 1 and "has no pair 99: its train split counts" in err


def test_a_rare_kind_alone_fills_its_quota(typed, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    flags = ("--count=30", "--mixture=plain", "--quota.needless_argument=1")
    code, out, err = typed(make_pairs, "--from=generator", "--save-file", pairs, *flags)
    assert code == 0 and "30 pairs: " in out and "warning" not in out, err
    assert {pair.kind for pair in read_pairs(pairs)} == {"needless argument"}


def test_a_kind_that_no_conversation_shows_is_named(typed, tmp_path: Path) -> None:
    source, pairs = tmp_path / "rows.jsonl", tmp_path / "pairs.jsonl"
    port = {"type": "object", "required": ["port"], "properties": {"port": {"type": "string"}}}
    tool = {"name": "find_tide", "description": "Find the tide.", "parameters": port}
    ports = ("Hull", "Goole", "Whitby", "Blyth")
    rows = [
        {
            "id": str(number),
            "tools": [{"type": "function", "function": tool}],
            "messages": [
                {"role": "user", "content": f"The tide in {place}, please?"},
                {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]},
            ],
        }
        for number, place in enumerate(ports)
        for call in ({"name": "find_tide", "arguments": {"port": place}},)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    only = ("--source-file", source, "--quota.wrong_value=0.5", "--quota.wrong_tool=0.5")
    code, out, err = typed(make_pairs, "--from=generator", "--count=4", "--save-file", pairs, *only)
    assert code == 0, err
    assert "give more conversations for" in out and "2 wrong tool" in out
    assert "--quota.wrong_tool=0" in out


def test_right_conversations_of_a_file_are_taken_too(typed, tmp_path: Path) -> None:
    right, pairs = tmp_path / "right.jsonl", tmp_path / "pairs.jsonl"
    made = generate(Settings(4, mixture="short"), workers=1)
    write_conversations(right, (conversation.conversation for conversation in made))
    flags = ("--from=generator", "--source-file", right, "--save-file", pairs)
    code, out, err = typed(make_pairs, *flags)
    assert code == 0, err
    assert "of 1,000 pairs; give more conversations for" in out
    assert "share with --quota." in out
    assert {pair.made_by["file"] for pair in read_pairs(pairs)} == {"right.jsonl"}


def test_held_out_prompts_come_into_no_pair(typed, tmp_path: Path) -> None:
    held, pairs = tmp_path / "held.jsonl", tmp_path / "pairs.jsonl"
    made = [made.conversation for made in generate(Settings(4, mixture="short"), workers=1)]
    write_conversations(held, made[:2])
    write_conversations(tmp_path / "all.jsonl", made)
    flags = ("--from=generator", "--source-file", tmp_path / "all.jsonl", "--save-file", pairs)
    code, out, err = typed(make_pairs, *flags, "--never-from", held)
    assert code == 0 and "Left out, held-out: " in out, err
    allowed = {conversation.id for conversation in made[2:]}
    assert {pair.id.partition("/")[0] for pair in read_pairs(pairs)} <= allowed


def test_a_users_rows_are_counted_where_they_give_no_pair(typed, tmp_path: Path) -> None:
    file, pairs = tmp_path / "mine.jsonl", tmp_path / "pairs.jsonl"
    rows = [ROW, {**ROW, "rejected": ROW["chosen"]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = typed(
        make_pairs, "--from", "user", "--source-file", file, "--save-file", pairs
    )
    assert code == 0, err
    assert "1 pairs" in out and "Left out, rejected-answer: 1" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--from", "users"], "--from: there is no 'users' (did you mean user?)"),
        (["--from", "user"], "--from user wants --source-file"),
        (["--from", "user", "--source-file", "a", "--quota.wrong_value=1"], "goes with --from gen"),
        (["--from", "generator", "--count", "0"], "--count is 0, wanted 1 or more"),
        (["--from", "generator", "--quotta.x=1"], "unknown flag --quotta.x"),
        (["--from", "generator", "--quota.x=1"], "no kind of mistake 'x'"),
        (["--from", "generator", "--never-from", "gone"], "--never-from gone does not exist"),
        ([], "missing --from"),
        (
            ["--from", "generator", "--source-file", "a", "--tools-file", "b"],
            "--tools-file is for generated conversations, and --source-file has some",
        ),
    ],
)
def test_an_unusable_flag_is_a_one_line_error(
    typed, tmp_path: Path, flags: list[str], message: str
) -> None:
    code, _, err = typed(make_pairs, *flags, "--save-file", tmp_path / "pairs.jsonl")
    assert code in (1, 2) and message in err and err.count("\n") == 1
    assert not (tmp_path / "pairs.jsonl").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "missing --source-file, or --pairs-file"),
        (["--source-file", "a", "--pairs-file", "b"], "two datasets; name one of them"),
    ],
)
def test_a_build_reads_conversations_or_pairs(typed, flags: list[str], message: str) -> None:
    code, _, err = typed(build_dataset, *flags, "--tokenizer-file", "t", "--save-dir", "d")
    assert code == 2 and message in err
