"""Run the whole journey on bundled files, each command as a user would type it.

    make demo
    make demo-zero   the same, fine-tuning on two ranks with DeepSpeed
    make demo-reward the same, and then learning on from rewards for the model's own replies

A tiny Llama, as Meta ships one, learns to call tools: weights converted, data generated, cleaned
and built, the base scored, fine-tuned, merged and scored again on prompts and tools it never saw, a
chat in which calls run, and back to Meta's format. On the CPU and offline; everything it writes
lies under runs/demo, runs/demo-zero or runs/demo-reward.
"""

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from console import outcomes
from console.command import print_next, run
from console.journey import Done, Stage, closing_table, run_journey
from console.output import Console
from console.stages import merge
from demo.exporting import back_to_meta
from demo.rewarding import rewarding
from evaluation.behaviours import behaviours_line, behaviours_table, figures_by_behaviour
from evaluation.figures import Figures, records
from storage.atomic import check_own_directory, new_file
from storage.json_file import write_json
from storage.manifest import write_manifest

ROOT = Path(__file__).resolve().parents[1]
KIND = "demo"
BASE_DIR = "demo/base"
OUTPUT_DIR = "runs/demo"
LAUNCH = "--quiet --num_gpus=2 ds_finetune.py"
# DeepSpeed would leave tensors as small as the demo's whole.
ZERO_3 = (
    "--deepspeed_config.zero_optimization.stage=3 "
    "--deepspeed_config.zero_optimization.stage3_param_persistence_threshold=0"
)
# Given for the dataset and the base only: weights trained on the dataset record its format.
FORMAT = "--chat-format llama3_short"
# Few tools to a conversation: a tiny model has few tokens to learn from.
GENERATE = "scripts/generate_dataset.py --domains custom --most-tools 3 --mixture plain"
# All behaviours are trained, those that are scored more than the others.
TRAINED = (
    "--quota.parallel_calls=0.18 --quota.missing_argument=0.32 --quota.tool_error=0.04 "
    "--quota.invalid_value=0.04"
)
# At least two hundred prompts of calls, of questions to ask first, and of no fitting tool.
SCORED = (
    "--quota.single_call=0.18 --quota.parallel_calls=0.1 --quota.call_sequence=0.08 "
    "--quota.missing_argument=0.32 --quota.no_suitable_tool=0.22 --quota.small_talk=0.1"
)
# Each set of prompts with its tools and the seed that draws it.
PROMPTS = {"seen": ("everyday", 4), "unseen": ("unseen", 5)}
CATEGORIES = "call,parallel,call_after_result,no_call"
COLUMNS = {
    "base": "base",
    "tuned": "fine-tuned",
    "constrained": "constrained",
    "rewarded": "after rewards",
}
SUMMARY_FILE = "summary.json"
HONESTY = """\
Right means right as a whole: the tool, every argument and every value, and every call where several
are wanted; where none is wanted any text is right, but no empty reply. `balanced` is the harmonic
mean of what is right where calls are wanted and where none is: 0 for the base, which never calls.
In brackets is the 95% interval. Prompts of the first table use tools of the training data with
values that it does not hold; the tools of the second, and all their names, it never shows.
This is a model of two million weights: what it shows is that the whole way works. For a model
that understands people run the same commands on Llama 3."""
WITH_YOUR_OWN_WEIGHTS = (
    "python scripts/convert_from_meta_weights.py --llama3-dir "
    "~/models/Llama3/Meta-Llama-3-8B-Instruct --output-dir ~/models/Llama3/Llama-3-8B-Instruct",
    "python scripts/clean_dataset.py --source-file YOUR_ROWS.json "
    "--save-file ./datasets/cleaned.json --remove-no-fc",
)


def main(
    output_dir: str | None = None,
    base_dir: str = BASE_DIR,
    zero: bool = False,
    reward: bool = False,
) -> None:
    """Run every command of the journey and stop at the first that fails, with its exit code.

    Args:
        output_dir: The directory to write to; an earlier demo there is removed first.
            By default runs/demo, runs/demo-zero or runs/demo-reward.
        base_dir: The model to start from, as Meta ships one.
        zero: Fine-tune with DeepSpeed's launcher on two processes that share the model (ZeRO-3).
        reward: At the end train the model on by rewards (docs/rewards.md), and score it again.
    """
    directory = output_dir or f"{OUTPUT_DIR}{'-zero' * zero}{'-reward' * reward}"
    # Commands run in the project's root and print paths as they are typed there.
    shown = Path(os.path.relpath(directory, ROOT))
    output = ROOT / shown
    start_anew(output)
    # The demo computes on the processor; DeepSpeed need not look for a GPU and warn that none is.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    done = [*run_journey(journey(shown, base_dir, zero, reward), output, ROOT)]
    write_summary(output, done)
    console = Console()
    console.rule("what came out")
    console.print(closing_table(done))
    for prompts, models in accuracy(output).items():
        title = f"Tools {prompts} in training; prompts and values never"
        console.print(
            behaviours_table(title, {COLUMNS[model]: figures for model, figures in models.items()})
        )
    text = f"\n{HONESTY}\n\nAll figures, seconds, losses and sizes: {shown / SUMMARY_FILE}"
    console.print(text, soft_wrap=True)
    talk = f"--ckpt-dir {shown}/merged --interactive --temperature 0 --constrain"
    print_next(
        f"python chat_completion.py {talk} --tools-file demo/tools/chat.py", *WITH_YOUR_OWN_WEIGHTS
    )


def journey(
    output: Path, base_dir: str = BASE_DIR, zero: bool = False, reward: bool = False
) -> list[Stage]:
    """Return the stages in order, writing to `output`; the flags are those of `main`."""
    return [
        Stage(
            "Meta's shards to a native directory",
            f"scripts/convert_from_meta_weights.py --llama3-dir {base_dir} "
            f"--output-dir {output}/base",
            lambda root: f"{outcomes.size(root / 'base')}, every bit compared",
        ),
        *_data(output),
        *(_scored(output, prompts, "base") for prompts in PROMPTS),
        _finetune(output, zero),
        merge(f"{output}/base", f"{output}/checkpoints/demo/final", f"{output}/merged"),
        *(_scored(output, prompts, "tuned") for prompts in PROMPTS),
        *(_scored(output, prompts, "constrained") for prompts in PROMPTS),
        _chat(output),
        *back_to_meta(output),
        *(rewarding(output) if reward else ()),
        *(_scored(output, prompts, "rewarded") for prompts in PROMPTS if reward),
    ]


def _data(output: Path) -> list[Stage]:
    files = ",".join(f"{output}/{name}.jsonl" for name in ("cleaned", "everyday", "made_up"))
    return [
        Stage(
            "clean raw rows of Glaive",
            f"scripts/clean_dataset.py --source-file demo/glaive-sample.json "
            f"--save-file {output}/cleaned.jsonl --remove-no-fc",
            lambda root: outcomes.cleaned(root / "cleaned.report.json"),
        ),
        _generated(output, "everyday", "everyday", "seen", 3, f"--count 2500 {TRAINED}"),
        _generated(output, "made_up", "made_up", "seen", 3, f"--count 1700 {TRAINED}"),
        *(
            _generated(output, f"{name}_prompts", tools, "unseen", seed, f"--count 640 {SCORED}")
            for name, (tools, seed) in PROMPTS.items()
        ),
        Stage(
            "tokens and training mask",
            f"scripts/build_dataset.py --source-file {files} --weights 0.3,1,1 "
            f"--tokenizer-file {output}/base/tokenizer.model --save-dir {output}/dataset "
            f"--val-ratio 0.03 {FORMAT}",
            lambda root: outcomes.built(root / "dataset"),
        ),
        Stage(
            "look at one sample: what is trained",
            f"scripts/inspect_dataset.py --dataset-dir {output}/dataset --index 0",
            lambda root: "see its colours above",
        ),
    ]


def _generated(output: Path, name: str, tools: str, values: str, seed: int, more: str) -> Stage:
    file = f"{name}.jsonl"
    return Stage(
        f"generate conversations: {name.replace('_', ' ')}",
        f"{GENERATE} --tools-file demo/tools/{tools}.py --values {values} --seed {seed} {more} "
        f"--save-file {output}/{file}",
        lambda root: outcomes.lines(root / file),
    )


def _scored(output: Path, prompts: str, model: str) -> Stage:
    directory = output / (model if model in ("base", "rewarded") else "merged")
    file = f"{output}/{prompts}_prompts.jsonl"
    more = {"base": f" {FORMAT}", "constrained": " --constrain"}.get(model, "")
    return Stage(
        f"score the {COLUMNS[model]} model on {prompts} tools",
        f"scripts/evaluate.py --ckpt-dir {directory} --dataset-file {file} "
        f"--categories {CATEGORIES} --max-new-tokens 176 --batch-size 64{more} "
        f"--output-file {output}/{_scores(prompts, model)} "
        f"--failures-file {output}/{_scores(prompts, model).replace('.json', '.txt')}",
        lambda root: behaviours_line(figures_by_behaviour(root / _scores(prompts, model))),
    )


def _scores(prompts: str, model: str) -> str:
    return f"scores/{model}-{prompts}.json"


def _finetune(output: Path, zero: bool) -> Stage:
    settings = "--config-file configs/demo.json"
    if output != Path(OUTPUT_DIR):
        settings += (
            f" --model.checkpoint_dir={output}/base --data.dataset_dir={output}/dataset "
            f"--checkpoint.output_dir={output}/checkpoints --logging.output_dir={output}/logs"
        )
    if not zero:
        return Stage("fine-tune with LoRA", f"finetune.py {settings}", outcomes.trained)
    return Stage(
        "fine-tune with LoRA on two ranks, ZeRO-3",
        f"{LAUNCH} {settings} {ZERO_3}",
        outcomes.trained_on_ranks,
        program="deepspeed",
    )


def _chat(output: Path) -> Stage:
    return Stage(
        "chat with tools that run",
        f"chat_completion.py --ckpt-dir {output}/merged --interactive --temperature 0 "
        "--tools-file demo/tools/chat.py",
        lambda root: "read it above",
        typed="demo/chat.txt",
    )


def start_anew(output: Path) -> None:
    """Remove an earlier demo; refuse a directory that is not one."""
    check_own_directory(output, KIND)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    # The manifest marks the directory as the demo's own, also if the demo stops half-way.
    write_manifest(output, KIND)


def accuracy(output: Path) -> dict[str, dict[str, Figures]]:
    """Return the figures of each set of prompts and each model, as they were scored."""
    return {
        prompts: {
            model: figures_by_behaviour(output / _scores(prompts, model))
            for model in COLUMNS
            if (output / _scores(prompts, model)).is_file()
        }
        for prompts in PROMPTS
    }


def write_summary(output: Path, done: Sequence[Done]) -> None:
    """Write what was measured to `summary.json`, and the manifest of the whole directory."""
    summary = {
        "accuracy": {
            prompts: {model: records(figures) for model, figures in models.items()}
            for prompts, models in accuracy(output).items()
        },
        "seconds": round(sum(stage.seconds for stage in done), 1),
        "stages": [{**asdict(stage), "seconds": round(stage.seconds, 2)} for stage in done],
        "losses": outcomes.losses(output / "logs/demo"),
        "bytes": {
            path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            for path in sorted(output.iterdir())
            if path.is_dir()
        },
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
    }
    with new_file(output / SUMMARY_FILE) as partial:
        write_json(partial, summary)
    write_manifest(output, KIND)


if __name__ == "__main__":
    run(main)
