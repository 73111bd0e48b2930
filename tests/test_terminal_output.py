"""What every command prints of names, paths and rows that are full of escapes.

The journeys that only start other commands (run_demo, teach, improve), the server, the benchmark
and what needs a launcher are tried on hostile paths; all else is also run to its end.
"""

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Outcome, run_command

from chat.conversation import Conversation, Message, Tool, ToolCall
from console.printable import printable
from data.conversations import write_conversations

pytest.importorskip("fire")

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(
    [f"scripts.{path.stem}" for path in (ROOT / "scripts").glob("[a-z]*.py")]
    + ["finetune", "ds_finetune", "chat_completion"]
)
# What stands in paths; in texts of rows; and in rows that cleaning rejects.
IN_PATH = "\x1b[2J\x1b]0;t\x07\x9b1m\u202e\u2066"
IN_TEXT = f"{IN_PATH}\x1b]8;;http://a.b\x1b\\\x00\x08\r\u2028[/x][bold]:warning:"
BROKEN = f"{IN_TEXT}\ud800"
# Flags that are needed beside the required ones, or keep a command from doing much.
SMALL = {
    "scripts.build_dataset": ["--source-file", "{path}"],
    "scripts.convert_lora_weights": ["--lora-ckpt-path", "{path}"],
    "scripts.evaluate": ["--ckpt-dir", "{path}", "--dataset-file", "{path}"],
    "scripts.generate_dataset": ["--count", "6", "--save-file", "{path}"],
    "scripts.run_demo": ["--base-dir", "{path}", "--output-dir", "{path}"],
    "scripts.plan": ["--config-file", "{path}"],
    "finetune": ["--config-file", "{path}"],
    "ds_finetune": ["--config-file", "{path}"],
    "scripts.serve": ["--port", "0"],
    "scripts.teach": ["--tools-file", "{path}"],
}
Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a module's command and check that it prints nothing raw."""

    def run(module: str, *flags: object) -> Outcome:
        main = importlib.import_module(module).main
        done = run_command(main, list(flags), monkeypatch, capsys)
        for printed in (done.out, done.error):
            assert ascii(printed) == ascii(printable(printed)), (module, flags)
        return done

    return run


def hostile_flags(module: str, path: Path) -> list[str]:
    """Return the flags of a command that name a place which is not there."""
    flags = [word.format(path=path) for word in SMALL.get(module, [])]
    parameters = inspect.signature(importlib.import_module(module).main).parameters
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            flags += [f"--{name.rstrip('_').replace('_', '-')}", str(path)]
    return flags


@pytest.mark.parametrize("module", COMMANDS)
def test_an_unknown_flag_is_told_printable(module: str, tmp_path: Path, command: Command) -> None:
    flags = hostile_flags(module, tmp_path / f"no{IN_PATH}")
    done = command(module, *flags, f"--no{IN_PATH}.such", "1")
    assert done.code in (1, 2) and "[2J" in done.error


@pytest.mark.parametrize("module", COMMANDS)
def test_a_missing_path_is_told_printable(module: str, tmp_path: Path, command: Command) -> None:
    if not (flags := hostile_flags(module, tmp_path / f"no{IN_PATH}")):
        pytest.skip("it parses its flags itself, and names no place")
    done = command(module, *flags)
    assert "[2J" in done.out + done.error


def hostile_rows(count: int) -> list[Conversation]:
    """Conversations whose every text is hostile, with calls and without."""
    schema = {"type": "object", "properties": {"port": {"type": "string", "description": IN_TEXT}}}
    tool = Tool("find_tide", IN_TEXT, schema)
    return [
        Conversation(
            (
                Message("user", f"Tide {number}? {IN_TEXT}"),
                Message("assistant", "", (ToolCall("find_tide", {"port": f"{number}{IN_TEXT}"}),)),
                Message("tool", f"{number} {IN_TEXT}"),
                Message("assistant", f"At {number}. {IN_TEXT}"),
            ),
            (tool,),
            id=f"row{IN_TEXT}-{number}",
            source=f"tides{IN_TEXT}",
        )
        for number in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a hostile name; rows, raw rows, prompts and a dialog in it."""
    folder = tmp_path / f"od{IN_PATH}d"
    folder.mkdir()
    write_conversations(folder / "rows.jsonl", hostile_rows(12))
    records = [row.to_record() for row in hostile_rows(12)]
    broken = [{"id": BROKEN, "messages": BROKEN}, {BROKEN: BROKEN}, [BROKEN]]
    lines = [json.dumps(record) for record in [*records, *broken]]
    (folder / "raw.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "prompts.json").write_text(json.dumps([IN_TEXT]))
    dialogs = [{"tools": r["tools"], "messages": r["messages"][:1]} for r in records[:2]]
    (folder / "dialogs.json").write_text(json.dumps(dialogs))
    turns = [f"{record['id']}/{place}" for record in records for place in (1, 3)]
    predictions = [{"id": turn, "text": BROKEN} for turn in turns]
    (folder / "predictions.jsonl").write_text("\n".join(map(json.dumps, predictions)) + "\n")
    return folder


def lines_of(folder: Path) -> list[list[object]]:
    """Every command that can end in seconds, in an order in which each finds what it reads."""
    base, rows, run = folder / "base", folder / "rows.jsonl", folder / "runs" / "name"
    adapter, short = run / "final", ["--max-new-tokens", 4]
    training = [
        f"--model.checkpoint_dir={base}",
        f"--data.dataset_dir={folder / 'set'}",
        f"--checkpoint.output_dir={folder / 'runs'}",
        f"--logging.output_dir={folder / 'logs'}",
        *("--name=name", "--model.device=cpu", "--training.max_steps=2", "--validation.every=1"),
        *("--training.batch_size=2", "--checkpoint.every=1", "--validation.generated.prompts=2"),
        *("--validation.generated.max_new_tokens=4", "--schedule.warmup_steps=1"),
    ]
    return [
        ["scripts.make_random_model", "--output-dir", folder / "meta"],
        [
            "scripts.convert_from_meta_weights",
            *("--llama3-dir", folder / "meta", "--output-dir", base),
        ],
        [
            "scripts.clean_dataset",
            *("--source-file", folder / "raw.jsonl", "--save-file", folder / "clean.jsonl"),
            "--skip-malformed",
        ],
        ["scripts.generate_dataset", "--save-file", folder / "made.jsonl", "--count", 6],
        ["scripts.replay_dataset", "--source-file", folder / "made.jsonl"],
        [
            "scripts.build_dataset",
            *("--tokenizer-file", base / "tokenizer.model", "--source-file", rows),
            *("--save-dir", folder / "set", "--val-ratio", 0.5, "--chat-format", "llama3"),
        ],
        ["scripts.inspect_dataset", "--dataset-dir", folder / "set"],
        [
            "scripts.inspect_dataset",
            *("--dataset-dir", folder / "set", "--index", 0, "--html", folder / "page.html"),
        ],
        ["scripts.plan", *training[:2], "--save-file", folder / "plan.json"],
        ["finetune", "--config-file", ROOT / "configs/finetune.json", *training],
        [
            "scripts.convert_lora_weights",
            *("--base-ckpt-path", base, "--lora-ckpt-path", adapter),
            *("--output-dir", folder / "merged"),
        ],
        [
            "scripts.export_adapter",
            *("--lora-ckpt-path", adapter, "--output-dir", folder / "peft"),
        ],
        [
            "scripts.import_adapter",
            *("--peft-dir", folder / "peft", "--base-ckpt-path", base),
            *("--output-dir", folder / "adapter"),
        ],
        [
            "scripts.convert_to_hf_weights",
            *("--ckpt-dir", folder / "merged", "--output-dir", folder / "hf"),
        ],
        [
            "scripts.convert_from_hf_weights",
            *("--hf-dir", folder / "hf", "--output-dir", folder / "again"),
        ],
        [
            "scripts.convert_to_meta_weights",
            *("--config-file", base, "--ckpt-file", base, "--output-dir", folder / "shards"),
        ],
        ["scripts.quantize", "--ckpt-dir", base, "--output-dir", folder / "nf4"],
        [
            "scripts.evaluate",
            *("--ckpt-dir", folder / "merged", "--dataset-file", rows, *short, "--limit", 3),
            *("--output-file", folder / "scores.json", "--failures-file", folder / "failures.txt"),
        ],
        [
            "scripts.evaluate",
            *("--predictions", folder / "predictions.jsonl", "--dataset-file", rows),
        ],
        [
            "scripts.evaluate_checkpoints",
            *("--checkpoint-dir", run, "--data-path", rows, "--num-examples", 2, *short),
            *("--output-file", folder / "compared.json"),
        ],
        [
            "scripts.sample_replies",
            *("--ckpt-dir", base, "--dataset-file", rows, "--chat-format", "llama3"),
            *("--save-file", folder / "right.jsonl", "--limit", 2, "--replies", 1, *short),
        ],
        [
            "scripts.make_pairs",
            *("--from", "generator", "--save-file", folder / "pairs.jsonl", "--count", 6),
        ],
        [
            "scripts.complete_text",
            *("--ckpt-dir", base, "--prompts-file", folder / "prompts.json", *short),
        ],
        [
            "chat_completion",
            *("--ckpt-dir", folder / "merged", "--dialogs", folder / "dialogs.json"),
            *("--max-gen-len", 4),
        ],
    ]


@pytest.mark.long
def test_every_command_prints_hostile_rows_and_paths_printable(
    folder: Path, command: Command
) -> None:
    for module, *flags in lines_of(folder):
        done = command(str(module), *flags)
        # No reply of a model of noise is right.
        ends = 1 if module == "scripts.sample_replies" else 0
        assert done.code == ends, (module, done.error)
        assert "�[2J" in done.out + done.error, module
    row = json.loads((folder / "clean.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert row["tools"][0]["function"]["description"] == IN_TEXT
