"""Train the demo's model in several ways for the same time, and score each on the same prompts.

    python scripts/run_demo.py
    python benchmarks/demo_variants.py --jobs 2

LoRA with three seeds, all weights of the same base, and all weights of a model of the same size
that was never trained, on the data, base and prompts that this journey left behind. The last two
stop where they have had the CPU seconds of the first. Each command is one that a user could type.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.about_run import about_run
from console.command import run
from console.output import Console
from demo.making.base_directory import base_config, write_base
from demo.making.induction import initialise
from evaluation.behaviours import ALL_CALLS, figures_by_behaviour
from evaluation.figures import Figure, percent, records
from model.transformer import Transformer
from storage.atomic import new_file
from storage.json_file import write_json
from weights.tokenizer_file import token_count

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
# Steps of the shorter of two timed runs; its time is subtracted, and with it start and warm-up.
TRIED = 24
SCORE = "--categories call,parallel,call_after_result,no_call --max-new-tokens 176 --batch-size 64"


@dataclass(frozen=True)
class Variant:
    """A way to train: settings beside those of configs/demo.json, and the base it starts from."""

    name: str
    settings: str
    base: str = "base"
    lora: bool = True


LORA = tuple(Variant(f"LoRA, seed {seed}", f"--seed={seed}") for seed in (3, 4, 5))
FULL = (
    Variant("all weights", "--lora=null --schedule.learning_rate=1e-3", lora=False),
    Variant(
        "all weights, from scratch",
        "--lora=null --schedule.learning_rate=2e-3",
        "untrained",
        lora=False,
    ),
)


def main(demo_dir: str = "runs/demo", jobs: int = 1) -> None:
    """Train and score every variant; print a table and write the figures to benchmarks/results.

    Args:
        demo_dir: What `scripts/run_demo.py` left behind.
        jobs: How many variants to train at a time, each on one thread.
    """
    demo = Path(demo_dir)
    if not (demo / "summary.json").is_file():
        raise FileNotFoundError(
            f"{demo}/summary.json is missing; make it: python scripts/run_demo.py"
        )
    write_untrained(demo)
    with ThreadPoolExecutor(jobs) as pool:
        tuned = list(pool.map(partial(measured, demo, None), LORA))
        budget = tuned[0]["training_cpu_seconds"]
        tuned += pool.map(partial(measured, demo, budget), FULL)
    record = {**about_run(), "threads": 1, "jobs": jobs, "variants": tuned}
    file = RESULTS / f"demo_variants_{record['date']}.json"
    with new_file(file) as partial_file:
        write_json(partial_file, record)
    Console().print(table(tuned))
    print(f"Written to {file}")


def write_untrained(demo: Path) -> None:
    """Write a model of the base's size with the weights that the base itself began with."""
    vocabulary = demo / "base/tokenizer.model"
    model = Transformer(base_config(token_count(vocabulary)))
    initialise(model, seed=0)
    weights = {name: parameter.detach().bfloat16() for name, parameter in model.named_parameters()}
    write_base(demo / "variants/untrained", weights, vocabulary)


def measured(demo: Path, budget: float | None, variant: Variant) -> dict[str, Any]:
    """Train one variant, for `budget` CPU seconds where given, and return its figures."""
    steps = None if budget is None else steps_within(demo, budget, variant)
    seconds = train(demo, variant, variant.name, steps)
    where = _place(demo, variant.name) / "checkpoints/demo/final"
    model = f"--ckpt-dir {where}"
    if variant.lora:
        model = f"--ckpt-dir {_base(demo, variant)} --lora-ckpt-path {where}"
    found: dict[str, Any] = {}
    for prompts in ("seen", "unseen"):
        for way, flag in (("free", ""), ("constrained", " --constrain")):
            scores = _place(demo, variant.name) / f"{prompts}-{way}.json"
            command(
                f"scripts/evaluate.py {model} --dataset-file {demo}/{prompts}_prompts.jsonl "
                f"{SCORE}{flag} --output-file {scores}"
            )
            found.setdefault(prompts, {})[way] = records(figures_by_behaviour(scores))
    return {
        "variant": variant.name,
        "settings": variant.settings,
        "steps": steps or "all",
        "training_cpu_seconds": seconds,
        "accuracy": found,
    }


def steps_within(demo: Path, budget: float, variant: Variant) -> int:
    """Return for how many steps of this variant the CPU seconds suffice, from two short runs."""
    short, long = (train(demo, variant, f"{variant.name} {n}", n) for n in (TRIED, 3 * TRIED))
    return round((budget - short) / (long - short) * 2 * TRIED) + TRIED


def train(demo: Path, variant: Variant, name: str, steps: int | None) -> float:
    """Fine-tune in a directory of its own; return the CPU seconds of the whole command."""
    place = _place(demo, name)
    settings = (
        f"--config-file configs/demo.json {variant.settings} "
        f"--model.checkpoint_dir={_base(demo, variant)} --data.dataset_dir={demo}/dataset "
        f"--checkpoint.output_dir={place}/checkpoints --logging.output_dir={place}/logs"
    )
    return command(f"finetune.py {settings}{f' --training.max_steps={steps}' if steps else ''}")


def command(line: str) -> float:
    """Run a command on one thread; return its CPU seconds; ValueError where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        [sys.executable, *shlex.split(line)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert started.stderr is not None
    with started.stderr as told:
        said = told.read().decode()
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise ValueError(f"python {line}\n{said}")
    return round(used.ru_utime + used.ru_stime, 1)


def table(measured: Sequence[dict[str, Any]]) -> Table:
    """Return the figures as a table: seen and unseen tools, free and constrained."""
    shown = Table(title="The demo's model, trained in several ways")
    shown.add_column("variant")
    shown.add_column("CPU-s", justify="right")
    for prompts in ("seen", "unseen"):
        for way in ("free", "constrained"):
            shown.add_column(f"calls, {prompts} tools, {way}", justify="right")
    for measurement in measured:
        figures = [
            Figure(**measurement["accuracy"][prompts][way][ALL_CALLS])
            for prompts in ("seen", "unseen")
            for way in ("free", "constrained")
        ]
        cells = [f"{percent(figure.value)} of {figure.count}" for figure in figures]
        shown.add_row(measurement["variant"], f"{measurement['training_cpu_seconds']:.0f}", *cells)
    return shown


def _place(demo: Path, name: str) -> Path:
    return demo / "variants" / name.replace(", ", "-").replace(" ", "_")


def _base(demo: Path, variant: Variant) -> Path:
    return demo / ("base" if variant.base == "base" else "variants/untrained")


if __name__ == "__main__":
    run(main)
