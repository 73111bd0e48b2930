"""Train the demo's tuned model further in four ways on the same fresh conversations; score each.

    make demo
    python benchmarks/verdicts.py --seed 4

Supervised training on them, rewards, three rounds of rejection sampling, and preference between the
model's own right and wrong replies. Scores are on the demo's held-out prompts. A way that is done
is not run again. Each command is one that a user could type. docs/rewards.md has the figures.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.about_run import about_run
from benchmarks.demo_variants import SCORE, command
from benchmarks.verdicts_picture import RESULTS, draw
from console.command import run
from console.output import Console
from evaluation.behaviours import ALL_CALLS, ASKING, NO_CALL, figures_by_behaviour
from evaluation.figures import BALANCED, Figure, percent, records
from storage.json_file import write_json

QUOTAS = "parallel_calls=0.18 missing_argument=0.32 tool_error=0.04 invalid_value=0.04"
# Nothing is scored while a way trains, and its last step is what counts.
PLAIN = "--validation.every=null --validation.generated=null --validation.best_metric=loss"
WARM = f"--schedule.learning_rate=1e-3 --schedule.warmup_steps=10 {PLAIN}"
PROMPTS = {"seen": "Tools seen in training", "unseen": "Tools never seen"}
SHOWN = {BALANCED: "balanced", ALL_CALLS: "calls", ASKING: "asking", NO_CALL: "not calling"}


@dataclass(frozen=True)
class Place:
    """Where a run lies: the demo, its own directory, and the seed of its rows and its training."""

    demo: Path
    own: Path
    seed: int

    @property
    def model(self) -> Path:
        """The demo's tuned model, which every way begins with."""
        return self.demo / "merged"

    @property
    def rows(self) -> str:
        """The fresh conversations, as flags take several files."""
        return f"{self.own}/everyday.jsonl,{self.own}/made_up.jsonl"

    def outputs(self, name: str) -> str:
        """Return the flags that name a training run and where it writes."""
        where = (
            f"--checkpoint.output_dir={self.own}/checkpoints --logging.output_dir={self.own}/logs"
        )
        return f"--model.checkpoint_dir={self.model} --name={name} --seed={self.seed} {where}"

    def adapter(self, name: str, step: str = "final") -> Path:
        """Return where a step of a training run lies."""
        return self.own / "checkpoints" / name / step


# An adapter to score: its name in the table, where it lies, and the CPU seconds until then.
Trained = tuple[str, Path, float]


def main(demo_dir: str = "runs/demo", seed: int = 4, results_file: str | None = None) -> None:
    """Run every way, print the tables and write the figures and docs/images/verdicts.svg.

    Args:
        demo_dir: What `scripts/run_demo.py` left behind.
        seed: Of the conversations (900 more), the draws and the training.
        results_file: By default benchmarks/results/verdicts_seedSEED.json.
    """
    demo = Path(demo_dir)
    if not (demo / "summary.json").is_file():
        raise FileNotFoundError(
            f"{demo}/summary.json is missing; make it: python scripts/run_demo.py"
        )
    place = Place(demo, demo / f"verdicts-{seed}", seed)
    tuned = {prompts: figures(demo / f"scores/tuned-{prompts}.json") for prompts in PROMPTS}
    found = [{"way": "fine-tuned", "cpu_seconds": 0.0, **tuned}]
    write_conversations(place)
    for way in (supervised, rewards, rejection_sampling, preference):
        found += done_once(place, way)
    file = Path(results_file or RESULTS / f"verdicts_seed{seed}.json")
    write_json(file, {**about_run(), "threads": 1, "seed": seed, "ways": found})
    draw()
    for prompts, title in PROMPTS.items():
        Console().print(table(found, prompts, title))
    print(f"Written to {file}")


def done_once(place: Place, way: Callable[[Place], Iterator[Trained]]) -> list[dict[str, Any]]:
    """Run a way and score what it trained, unless that was done before."""
    file = place.own / f"{way.__name__}.json"
    if not file.is_file():
        found = [
            {"way": name, "cpu_seconds": round(seconds, 1), **scores(place, adapter)}
            for name, adapter, seconds in way(place)
        ]
        write_json(file, found)
    done: list[dict[str, Any]] = json.loads(file.read_text())
    return done


def write_conversations(place: Place) -> None:
    """Generate conversations with the tools and the values of training, that it never had."""
    quotas = " ".join(f"--quota.{quota}" for quota in QUOTAS.split())
    for tools in ("everyday", "made_up"):
        if not (place.own / f"{tools}.jsonl").is_file():
            command(
                "scripts/generate_dataset.py --domains custom --most-tools 3 --mixture plain "
                f"--values seen --count 1800 --seed {900 + place.seed} {quotas} "
                f"--tools-file demo/tools/{tools}.py --save-file {place.own}/{tools}.jsonl"
            )
    if not (place.own / "dataset").is_dir():
        command(
            f"scripts/build_dataset.py --source-file {place.rows} --tokenizer-file {place.model} "
            f"--save-dir {place.own}/dataset --val-ratio 0.03"
        )


def supervised(place: Place) -> Iterator[Trained]:
    """Train on the conversations as they stand, once over."""
    seconds = command(
        f"finetune.py --config-file configs/demo.json --data.dataset_dir={place.own}/dataset "
        f"{place.outputs('supervised')} {WARM}"
    )
    yield "supervised", place.adapter("supervised"), seconds


def rewards(place: Place) -> Iterator[Trained]:
    """Take 120 steps of 16 prompts with eight replies, for right calls and for text alone."""
    off = ("name", "argument_precision", "argument_recall", "valid_schema", "words")
    parts = " ".join(f"--reward.parts.{part}=0" for part in off)
    seconds = command(
        f"finetune.py --config-file configs/reward.json --data.dataset_dir={place.own}/dataset "
        f"--reward.prompts_file={place.rows} {place.outputs('rewards')} {PLAIN} {parts} "
        "--reward.kl=0 --schedule.learning_rate=5e-4 --schedule.kind=constant "
        "--training.batch_size=16 --training.max_steps=120 --checkpoint.every=30 "
        "--checkpoint.keep_last=10"
    )
    yield "rewards, 60 steps", place.adapter("rewards", "step-000060"), seconds / 2
    yield "rewards, 120 steps", place.adapter("rewards"), seconds


def rejection_sampling(place: Place) -> Iterator[Trained]:
    """Draw four replies to 1,500 prompts and train on the right ones, three times over."""
    improved = place.own / "improved"
    seconds = command(
        f"scripts/improve.py --ckpt-dir {place.model} --dataset-file {place.rows} "
        f"--held-out-file {place.demo}/seen_prompts.jsonl --output-dir {improved} "
        f"--never-from {place.demo}/unseen_prompts.jsonl --config-file configs/demo.json "
        f"--limit 1500 --rounds 3 --max-new-tokens 96 --seed {place.seed} {WARM}"
    )
    for number in (1, 2, 3):
        adapter = improved / f"checkpoints/improved-{number}/final"
        yield f"rejection sampling, round {number}", adapter, seconds * number / 3


def preference(place: Place) -> Iterator[Trained]:
    """Train on pairs of its own right and wrong replies, at a low rate."""
    own = place.own
    seconds = command(
        f"scripts/sample_replies.py --ckpt-dir {place.model} --dataset-file {place.rows} "
        f"--never-from {place.demo}/seen_prompts.jsonl,{place.demo}/unseen_prompts.jsonl "
        f"--limit 1500 --max-new-tokens 96 --seed {place.seed} --save-file {own}/kept.jsonl "
        f"--verdicts-file {own}/verdicts.jsonl"
    )
    seconds += command(
        f"scripts/make_pairs.py --from replies --source-file {own}/verdicts.jsonl "
        f"--save-file {own}/pairs.jsonl"
    )
    seconds += command(
        f"scripts/build_dataset.py --pairs-file {own}/pairs.jsonl --tokenizer-file {place.model} "
        f"--save-dir {own}/pairs --val-ratio 0.1"
    )
    seconds += command(
        f"finetune.py --config-file configs/demo.json --data.dataset_dir={own}/pairs "
        f"{place.outputs('preference')} {WARM} --schedule.learning_rate=5e-5 "
        "--preference.beta=0.3 --preference.supervised_weight=0.5 --training.batch_size=8"
    )
    yield "preference", place.adapter("preference"), seconds


def scores(place: Place, adapter: Path) -> dict[str, Any]:
    """Score an adapter on prompts with tools seen in training and never seen."""
    found = {}
    for prompts in PROMPTS:
        file = place.own / f"scores/{adapter.parent.name}-{adapter.name}-{prompts}.json"
        command(
            f"scripts/evaluate.py --ckpt-dir {place.model} --lora-ckpt-path {adapter} "
            f"--dataset-file {place.demo}/{prompts}_prompts.jsonl {SCORE} --output-file {file}"
        )
        found[prompts] = figures(file)
    return found


def figures(scores_file: Path) -> dict[str, Any]:
    """Return the figures that are shown, of what scripts/evaluate.py wrote."""
    found = figures_by_behaviour(scores_file)
    return records({kind: found[kind] for kind in SHOWN})


def table(found: list[dict[str, Any]], prompts: str, title: str) -> Table:
    """Return the figures on one kind of prompts as a table."""
    shown = Table("way", "CPU-s", title=title)
    for name in SHOWN.values():
        shown.add_column(name, justify="right")
    for one in found:
        cells = [percent(Figure(**one[prompts][kind]).value) for kind in SHOWN]
        shown.add_row(one["way"], f"{one['cpu_seconds']:.0f}", *cells)
    return shown


if __name__ == "__main__":
    run(main)
