"""Run the whole journey on bundled files, each command as a user would type it.

    make demo
    make demo-zero   the same, fine-tuning on two ranks with DeepSpeed

From random weights in Meta's format over cleaning, building, fine-tuning, merging and chatting
back to Meta's format, on the CPU and offline. Everything it writes lies under runs/demo, or
runs/demo-zero.
"""

import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from console import outcomes
from console.command import print_next, run
from console.journey import Done, Stage, closing_table, run_journey
from storage.atomic import new_file, refuse_foreign_directory
from storage.manifest import sha256_of_file, write_manifest

ROOT = Path(__file__).resolve().parents[1]
KIND = "demo"
OUTPUT_DIR = "runs/demo"
ZERO_OUTPUT_DIR = "runs/demo-zero"
LAUNCH = "--quiet --num_gpus=2 ds_finetune.py"
# DeepSpeed would leave tensors as small as the demo's whole.
ZERO_3 = (
    "--deepspeed_config.zero_optimization.stage=3 "
    "--deepspeed_config.zero_optimization.stage3_param_persistence_threshold=0"
)
SUMMARY_FILE = "summary.json"
HONESTY = """\
What this shows: the commands fit together, every conversion is exact, and the adapter learns.
What it does not show: a model that calls tools. The base is noise and the training rows are few, so
it learns them by heart: the training loss falls far below the validation loss. The first dialog of
the chat is such a row; the others are not, and what it calls there is not to be trusted.
For the real thing run the same commands on Llama 3."""
WITH_YOUR_OWN_WEIGHTS = (
    "python scripts/convert_from_meta_weights.py --llama3-dir "
    "~/models/Llama3/Meta-Llama-3-8B-Instruct --output-dir ~/models/Llama3/Llama-3-8B-Instruct",
    "python scripts/clean_dataset.py --source-file YOUR_ROWS.json "
    "--save-file ./datasets/cleaned.json --remove-no-fc",
)


def main(output_dir: str | None = None, zero: bool = False) -> None:
    """Run every command of the journey and stop at the first that fails, with its exit code.

    Args:
        output_dir: The directory to write to; an earlier demo there is removed first.
            By default runs/demo, or runs/demo-zero.
        zero: Fine-tune with DeepSpeed's launcher on two processes that share the model (ZeRO-3).
    """
    # Commands run in the project's root and print paths as they are typed there.
    shown = Path(os.path.relpath(output_dir or (ZERO_OUTPUT_DIR if zero else OUTPUT_DIR), ROOT))
    output = ROOT / shown
    start_anew(output)
    # The demo computes on the processor; DeepSpeed need not look for a GPU and warn that none is.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    done = [*run_journey(journey(shown, zero), output, ROOT)]
    write_summary(output, done)
    console = Console(highlight=False)
    console.rule("what came out")
    console.print(closing_table(done))
    text = f"\n{HONESTY}\n\nSeconds, losses and sizes: {shown / SUMMARY_FILE}"
    console.print(text, soft_wrap=True, markup=False)
    print_next(*WITH_YOUR_OWN_WEIGHTS)


def journey(output: Path, zero: bool = False) -> list[Stage]:
    """Return the stages in order, writing to `output`; `zero` fine-tunes on two ranks."""
    meta, base, cleaned = output / "meta", output / "base", output / "cleaned.json"
    dataset, final, merged = (
        output / "dataset",
        output / "checkpoints/demo/final",
        output / "merged",
    )
    exported, returned = output / "exported", output / "returned"
    return [
        Stage(
            "a random Llama in two shards, as Meta ships one",
            f"scripts/make_random_model.py --output-dir {meta} --num-shards 2",
            lambda root: f"noise, {outcomes.size(root / 'meta')}",
        ),
        Stage(
            "Meta's shards to a native directory",
            f"scripts/convert_from_meta_weights.py --llama3-dir {meta} --output-dir {base}",
            lambda root: f"{outcomes.size(root / 'base')}, every bit compared",
        ),
        Stage(
            "what the base says: noise",
            f"chat_completion.py --ckpt_dir {base} --tokenizer_path {base}/tokenizer.model "
            "--dialogs demo/dialogs.json --temperature 0 --max_gen_len 32",
            lambda root: "read its replies above",
        ),
        Stage(
            "clean the raw rows",
            f"scripts/clean_dataset.py --source-file demo/glaive-sample.json --save-file {cleaned} "
            "--remove-no-fc",
            outcomes.cleaned,
        ),
        Stage(
            "tokens and training mask",
            f"scripts/build_dataset.py --source-file {cleaned} "
            f"--tokenizer-file {base}/tokenizer.model --save-dir {dataset}",
            outcomes.built,
        ),
        _finetune(output, zero),
        Stage(
            "merge the adapter, with proof",
            f"scripts/convert_lora_weights.py --config-dir {final} --base-ckpt-path {base} "
            f"--lora-ckpt-path {final} --output-dir {merged}",
            outcomes.merged,
        ),
        Stage(
            "chat with tools",
            f"chat_completion.py --ckpt_dir {merged} --tokenizer_path {merged}/tokenizer.model "
            "--dialogs demo/dialogs.json --temperature 0 --max_gen_len 96",
            lambda root: "read its replies above",
        ),
        Stage(
            "back to Meta's format",
            f"scripts/convert_to_meta_weights.py --config-file {merged}/params.json "
            f"--ckpt-file {merged}/consolidated.safetensors --num-shards 2 --output-dir {exported}",
            lambda root: f"2 shards, {outcomes.size(root / 'exported')}",
        ),
        Stage(
            "read the export as if it were Meta's",
            f"scripts/convert_from_meta_weights.py --llama3-dir {exported} --output-dir {returned}",
            _returned,
        ),
    ]


def start_anew(output: Path) -> None:
    """Remove an earlier demo; refuse a directory that is not one."""
    refuse_foreign_directory(output, KIND)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    # The manifest marks the directory as the demo's own, also if the demo stops half-way.
    write_manifest(output, KIND)


def write_summary(output: Path, done: Sequence[Done]) -> None:
    """Write what was measured to `summary.json`, and the manifest of the whole directory."""
    summary = {
        "seconds": round(sum(stage.seconds for stage in done), 1),
        "stages": [{**asdict(stage), "seconds": round(stage.seconds, 2)} for stage in done],
        "losses": outcomes.losses(output),
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
        partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    write_manifest(output, KIND)


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


def _returned(root: Path) -> str:
    merged, returned = (
        sha256_of_file(root / name / "consolidated.safetensors") for name in ("merged", "returned")
    )
    if merged != returned:
        raise ValueError(
            f"{root / 'returned'} does not hold the bits of {root / 'merged'}; the export lost some"
        )
    return "the same bits as the merged model"


if __name__ == "__main__":
    run(main)
