"""What the commands of a journey left behind, each in a line; `root` is where they wrote."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any


def losses(logs: Path) -> dict[str, dict[str, float]]:
    """Return the first and last training loss, and the first and lowest validation loss.

    `logs` is the run's own folder of logs. The first training loss is the base's own; validation
    comes first after some steps.
    """
    lines = (logs / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    trained = [record["loss"] for record in records if record["kind"] == "train"]
    held_out = {r["step"]: r["loss"] for r in records if r["kind"] == "validation"}
    first = min(held_out)
    return {
        "train": {"first": trained[0], "last": trained[-1]},
        "validation": {
            "first_step": first,
            "first": held_out[first],
            "lowest": min(held_out.values()),
        },
    }


def cleaned(report_file: Path) -> str:
    """Return in words how many rows a cleaning kept, repaired and rejected."""
    report = _read(report_file)
    counts = ", ".join(f"{report[key]} {key}" for key in ("kept", "repaired", "rejected"))
    return f"{report['input']} rows: {counts}"


def built(dataset: Path) -> str:
    """Return in words how many conversations and tokens each split has, and what was left out."""
    about = _read(dataset / "dataset.json")
    parts = [
        f"{name} {counts['conversations']} ({counts['tokens']:,} tokens)"
        for name, counts in about["splits"].items()
    ]
    parts += [
        f"{len(listed) + about.get('not_named', {}).get(reason, 0)} left out as {reason}"
        for reason, listed in about["rejected"].items()
        if listed
    ]
    return ", ".join(parts)


def configured(config_file: Path) -> str:
    """Return in words what a configuration computes with."""
    config = _read(config_file)
    model, tokens = config["model"], config["training"]["micro_batch_tokens"]
    return (
        f"{model['device']}, base in {model['quantization'] or model['dtype']}, {tokens:,} tokens "
        f"at once, learning rate {config['schedule']['learning_rate']:g}"
    )


def trained(root: Path, name: str = "demo") -> str:
    """Return in words the first and the last losses of the run called `name`."""
    figures = losses(root / "logs" / name)
    train, held_out = figures["train"], figures["validation"]
    return (
        f"training loss {train['first']:.2f} to {train['last']:.2f}, "
        f"validation loss {held_out['first']:.2f} after step {held_out['first_step']} to "
        f"{held_out['lowest']:.2f}"
    )


def trained_on_ranks(root: Path) -> str:
    """Return the same for a run with DeepSpeed, and on how many ranks it was."""
    run = root / "checkpoints/demo"
    newest = run / (run / "latest").read_text(encoding="utf-8").strip()
    parts = _read(newest / "deepspeed.json")
    return f"{parts['ranks']} ranks at stage {parts['zero_stage']}, {trained(root)}"


def rewarded(root: Path, name: str) -> str:
    """Return in words the rewards of the run called `name` in its first steps and in its last."""
    lines = (root / "logs" / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rewards = [r["reward"] for r in map(json.loads, lines) if r["kind"] == "train"]
    few = min(5, len(rewards))
    first, last = (fmean(part) for part in (rewards[:few], rewards[-few:]))
    return f"reward {first:.2f} to {last:.2f} in {len(rewards)} steps (means of {few})"


def merged(root: Path, name: str = "merged") -> str:
    """Return in words what is proven of the merged weights in the folder of this name."""
    proof = _read(root / name / "merge.json")["proof"]
    return (
        f"{proof['merged_weights']} weights are base + adapter, rounded once; "
        f"{proof['unchanged_weights']} are the base's bit for bit"
    )


def lines(file: Path) -> str:
    """Return in words how many conversations a file of JSON Lines holds."""
    with file.open("rb") as opened:
        return f"{sum(1 for _ in opened):,} conversations"


def size(directory: Path) -> str:
    """Return in words how many megabytes the files of a directory have."""
    return f"{sum(file.stat().st_size for file in directory.iterdir()) / 1e6:.1f} MB"


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))
