"""Every command that ends by itself, on files so small that it ends in a second.

A step's paths are relative to the folder in which it runs. What others wrote for it is not there:
it copies from a prepared folder, so that each attack begins with the same bytes.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attacks.children import ROOT, Ended, run_command
from speaking_model import write_speaking_model
from talking_runs import FORMAT, KNOWN, called

from data.conversations import write_conversations

TRAINING = (
    "--model.checkpoint_dir=base",
    "--data.dataset_dir=set",
    "--checkpoint.output_dir=runs",
    "--logging.output_dir=logs",
    "--name=run",
    "--model.device=cpu",
    "--training.max_steps=5",
    "--training.batch_size=2",
    "--training.epochs=2",
    "--validation.every=2",
    "--checkpoint.every=1",
    "--checkpoint.keep_last=2",
    "--schedule.warmup_steps=1",
    "--validation.generated.prompts=1",
    "--validation.generated.max_new_tokens=4",
)
SHORT = ("--max-new-tokens", "12")
CITIES = ("Nice", "Lyon", "Oslo", "Rome", "Bern", "Kyiv", "Riga", "Cork")


@dataclass(frozen=True)
class Step:
    """A command: its flags, what it reads and writes; `owned` are read files that a user writes.

    A user's own file has no record of what it should hold: changed, it is another input. `begun` is
    a place that is there once the work has begun.
    """

    name: str
    module: str
    flags: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    owned: tuple[str, ...] = ()
    begun: str = ""

    def run(
        self, folder: Path, kill_after: float | None = None, largest_file: int | None = None
    ) -> Ended:
        """Run it in `folder`, as `run_command` does."""
        return run_command(
            self.module,
            self.flags,
            folder,
            kill_after=kill_after,
            largest_file=largest_file,
            begun=self.begun,
        )


def _step(
    name: str, words: Iterable[str], reads: str = "", writes: str = "", owned: str = ""
) -> Step:
    module, *flags = words
    return Step(
        name,
        module,
        tuple(flags),
        tuple(reads.split()),
        tuple(writes.split()),
        tuple(owned.split()),
    )


CONFIG = ("--config-file", "config.json")
STEPS = (
    _step(
        "make random weights",
        (
            "scripts.make_random_model",
            *("--output-dir", "meta", "--tokenizer-file", "base/tokenizer.model"),
        ),
        "base/tokenizer.model",
        "meta",
        owned="base/tokenizer.model",
    ),
    _step(
        "convert from Meta",
        ("scripts.convert_from_meta_weights", "--llama3-dir", "meta", "--output-dir", "from_meta"),
        "meta",
        "from_meta",
    ),
    _step(
        "generate",
        ("scripts.generate_dataset", "--save-file", "made.jsonl", "--count", "6"),
        writes="made.jsonl",
    ),
    _step(
        "generate with tools",
        (
            "scripts.generate_dataset",
            *("--save-file", "own.jsonl", "--count", "6", "--tools-file", "tools.json"),
        ),
        "tools.json",
        "own.jsonl",
        owned="tools.json",
    ),
    _step(
        "replay",
        ("scripts.replay_dataset", "--source-file", "made.jsonl"),
        "made.jsonl",
        owned="made.jsonl",
    ),
    _step(
        "clean",
        ("scripts.clean_dataset", "--source-file", "raw.jsonl", "--save-file", "clean.jsonl"),
        "raw.jsonl",
        "clean.jsonl",
        owned="raw.jsonl",
    ),
    _step(
        "build",
        (
            "scripts.build_dataset",
            *("--tokenizer-file", "base/tokenizer.model", "--source-file", "rows.jsonl"),
            *("--save-dir", "set", "--val-ratio", "0.4", "--chat-format", FORMAT),
        ),
        "rows.jsonl base/tokenizer.model",
        "set",
        owned="rows.jsonl base/tokenizer.model",
    ),
    _step("inspect", ("scripts.inspect_dataset", "--dataset-dir", "set"), "set"),
    _step(
        "plan",
        ("scripts.plan", *CONFIG, *TRAINING[:2]),
        "base set config.json",
        owned="config.json",
    ),
    _step(
        "train",
        ("finetune", *CONFIG, *TRAINING),
        "base set config.json",
        "runs",
        owned="config.json",
    ),
    _step(
        "resume",
        ("finetune", *CONFIG, *TRAINING, "--training.max_steps=7", "--resume"),
        "base set config.json runs logs",
        "runs",
        owned="config.json",
    ),
    _step(
        "merge",
        (
            "scripts.convert_lora_weights",
            *("--base-ckpt-path", "base", "--lora-ckpt-path", "runs/run/final"),
            *("--output-dir", "merged"),
        ),
        "base runs/run/final",
        "merged",
    ),
    _step(
        "export adapter",
        ("scripts.export_adapter", "--lora-ckpt-path", "runs/run/final", "--output-dir", "peft"),
        "runs/run/final",
        "peft",
    ),
    _step(
        "import adapter",
        (
            "scripts.import_adapter",
            *("--peft-dir", "peft", "--base-ckpt-path", "base", "--output-dir", "adapter"),
        ),
        "peft base",
        "adapter",
    ),
    _step(
        "convert to Hugging Face",
        ("scripts.convert_to_hf_weights", "--ckpt-dir", "merged", "--output-dir", "hf"),
        "merged",
        "hf",
    ),
    _step(
        "convert from Hugging Face",
        ("scripts.convert_from_hf_weights", "--hf-dir", "hf", "--output-dir", "from_hf"),
        "hf",
        "from_hf",
    ),
    _step(
        "convert to Meta",
        (
            "scripts.convert_to_meta_weights",
            *("--config-file", "merged", "--ckpt-file", "merged", "--output-dir", "shards"),
        ),
        "merged",
        "shards",
    ),
    _step(
        "quantize",
        ("scripts.quantize", "--ckpt-dir", "merged", "--output-dir", "nf4"),
        "merged",
        "nf4",
    ),
    _step(
        "evaluate a model",
        (
            "scripts.evaluate",
            *("--ckpt-dir", "merged", "--dataset-file", "rows.jsonl", *SHORT, "--limit", "2"),
            *("--output-file", "scores.json"),
        ),
        "merged rows.jsonl",
        "scores.json",
        owned="rows.jsonl",
    ),
    _step(
        "evaluate a file",
        (
            "scripts.evaluate",
            *("--predictions", "predictions.jsonl", "--dataset-file", "rows.jsonl"),
            *("--output-file", "read.json"),
        ),
        "predictions.jsonl rows.jsonl",
        "read.json",
        owned="predictions.jsonl rows.jsonl",
    ),
    _step(
        "evaluate checkpoints",
        (
            "scripts.evaluate_checkpoints",
            *("--checkpoint-dir", "runs/run", "--data-path", "rows.jsonl", "--num-examples", "2"),
            *(*SHORT, "--output-file", "compared.json"),
        ),
        "runs base rows.jsonl",
        "compared.json",
        owned="rows.jsonl",
    ),
    _step(
        "sample replies",
        (
            "scripts.sample_replies",
            *("--ckpt-dir", "base", "--dataset-file", "rows.jsonl", "--chat-format", FORMAT),
            *("--save-file", "right.jsonl", "--limit", "2", "--replies", "1"),
            *("--temperature", "0.01", "--max-new-tokens", "60"),
        ),
        "base rows.jsonl",
        "right.jsonl",
        owned="rows.jsonl",
    ),
    _step(
        "make pairs",
        (
            "scripts.make_pairs",
            *("--from", "generator", "--save-file", "pairs.jsonl", "--count", "6"),
        ),
        writes="pairs.jsonl",
    ),
    _step(
        "complete text",
        (
            "scripts.complete_text",
            *("--ckpt-dir", "merged", "--prompts-file", "prompts.json", *SHORT),
        ),
        "merged prompts.json",
        owned="prompts.json",
    ),
    _step(
        "chat",
        (
            "chat_completion",
            *("--ckpt-dir", "merged", "--dialogs", "dialogs.json", "--max-gen-len", "12"),
        ),
        "merged dialogs.json",
        owned="dialogs.json",
    ),
)


def write_inputs(folder: Path) -> None:
    """Write what a user has before the first command: a base, rows, prompts, tools, settings."""
    folder.mkdir(parents=True)
    rows = [*KNOWN, *map(called, CITIES)]
    write_speaking_model(folder / "native", rows[:3], chat_format=FORMAT)
    write_conversations(folder / "rows.jsonl", rows)
    records = [row.to_record() for row in rows]
    raw = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "raw.jsonl").write_text(raw, encoding="utf-8")
    _write_json(folder / "prompts.json", ["Once upon a time"])
    dialogs = [{"tools": r["tools"], "messages": r["messages"][:1]} for r in records[2:4]]
    _write_json(folder / "dialogs.json", dialogs)
    predictions = [{"id": f"{row.id}/1", "text": row.messages[1].content} for row in rows]
    lines = "".join(json.dumps(prediction) + "\n" for prediction in predictions)
    (folder / "predictions.jsonl").write_text(lines, encoding="utf-8")
    _write_json(folder / "tools.json", [_tool("find_tide", "port"), _tool("book_ferry", "line")])
    shutil.copyfile(ROOT / "configs/finetune.json", folder / "config.json")


def _tool(name: str, parameter: str) -> dict[str, object]:
    """Return a tool as a user describes one for whom conversations are generated."""
    return {
        "name": name,
        "description": f"{name.replace('_', ' ').capitalize()} by its {parameter}.",
        "parameters": {
            "type": "object",
            "properties": {parameter: {"type": "string", "description": f"The {parameter}."}},
            "required": [parameter],
        },
        "examples": {parameter: ["Brest", "Dover", "Genoa", "Gdynia", "Aarhus"]},
        "results": [{"ok": True}, {"ok": False}],
    }


def prepare(folder: Path) -> dict[str, Ended]:
    """Write the inputs and run every step once, so that each finds what the others write.

    Return how the steps ended. Raises RuntimeError where one fails without any attack.
    """
    write_inputs(folder)
    # By a conversion there and back, the base gets the records that our commands keep.
    for module, *flags in (
        (
            "scripts.convert_to_meta_weights",
            *("--config-file", "native", "--ckpt-file", "native", "--output-dir", "native_meta"),
        ),
        (
            "scripts.convert_from_meta_weights",
            *("--llama3-dir", "native_meta", "--output-dir", "base"),
        ),
    ):
        _must_end(run_command(module, flags, folder), module)
    ends = {}
    for step in STEPS:
        # To resume the run would change what later steps read.
        if step.name != "resume":
            ends[step.name] = _must_end(step.run(folder), step.name)
    return ends


def copy_inputs(step: Step, prepared: Path, folder: Path) -> None:
    """Put a copy of what a step reads, and nothing else, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    # The folder itself may be where a file system is mounted.
    for place in folder.iterdir():
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
    for name in step.reads:
        source, target = prepared / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)


def read_files(step: Step, folder: Path) -> list[str]:
    """Return the files that a step reads, in order."""
    found: list[str] = []
    for name in step.reads:
        place = folder / name
        files = sorted(file for file in place.rglob("*") if file.is_file())
        found += [str(file.relative_to(folder)) for file in files] if place.is_dir() else [name]
    return list(dict.fromkeys(found))


def _must_end(ended: Ended, name: str) -> Ended:
    if ended.code != 0:
        raise RuntimeError(f"{name} fails without an attack: exit {ended.code}: {ended.error}")
    return ended


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")
