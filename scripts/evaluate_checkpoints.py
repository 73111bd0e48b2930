"""Score the base and all checkpoints of a run on the same items, and say which is best.

python scripts/evaluate_checkpoints.py --checkpoint-dir checkpoints/NAME --data-path F

What is finished is kept beside the output file; the same command goes on from there.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.command import print_next, run, shell_quote, typed_flags
from console.flags import UsageError, check_idle_flags
from console.output import Console
from evaluation.checkpoints.candidates import BASE, Run, Setting
from evaluation.checkpoints.comparison import Comparison, comparison_table
from evaluation.checkpoints.run import ComparisonFiles, compare
from evaluation.figures import BALANCED
from evaluation.items import read_items
from evaluation.results import refusal_lines
from evaluation.trained_on import trained_on_warning
from inference.chat_choice import FORMAT_FLAGS, format_flags
from inference.generate import Decoding
from inference.storage import merge_command
from weights.chat_record import proposed_format, read_chat_record

# Flags that would do nothing without another one.
_GOES_WITH = {"answers_file": "benchmark", "tools_file": "benchmark"}
# How models are asked; scripts/evaluate.py has the same defaults.
_ASKING = (
    *("tokenizer_path", "max_seq_len", "max_new_tokens", "batch_size"),
    *("top_p", "seed", "constrain", "quantization"),
)


def main(
    checkpoint_dir: str,
    data_path: str,
    base_model_name: str | None = None,
    num_examples: int = 10,
    output_file: str = "checkpoint_evaluation.json",
    report_file: str | None = None,
    failures_file: str | None = None,
    metric: str = BALANCED,
    held_out_of: str | None = None,
    benchmark: str | None = None,
    answers_file: str | None = None,
    tools_file: str | None = None,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    tokenizer_path: str | None = None,
    max_seq_len: int = 4096,
    max_new_tokens: int = 512,
    batch_size: int = 16,
    temperature: float = 0.1,
    top_p: float = 1.0,
    seed: int = 1,
    constrain: bool = False,
    quantization: str | None = None,
) -> None:
    """Compare the checkpoints of a run, and its base, by the calls they make.

    What is scored:
        checkpoint_dir: The run's directory, such as checkpoints/NAME, of finetune.py or
            ds_finetune.py.
        base_model_name: The base's directory, where it is no longer where the checkpoints say.
        metric: The figure that says which is best: balanced (of exact_match and irrelevance; where
            all or no items want calls, the one there is), correct, call_or_not, valid_json,
            valid_schema, name, argument_precision, argument_recall, exact_match, parallel_match,
            irrelevance or json_equal.

    On which items:
        data_path: Conversations to score, of any layout that scripts/clean_dataset.py reads, or the
            questions of --benchmark.
        held_out_of: A dataset made by build_dataset.py; of data_path, only the conversations it
            keeps for validation are scored.
        num_examples: Score the first so many items; differences among few are luck.
        benchmark: bfcl or nexusraven, where data_path holds the questions of one.
        answers_file: BFCL's answers to them, from its folder possible_answer.
        tools_file: NexusRaven's standardized_api_list.

    What comes out:
        output_file: Where to write figures and differences, JSON; the verdicts on each checkpoint
            go to a folder of the same name that ends in .verdicts.
        report_file: Where to write everything as one HTML page with plots that needs nothing else.
        failures_file: Where to write what each model failed, side by side with what was wanted.

    Replies:
        temperature: 0 takes the likeliest token each time, higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        seed: Another number draws other replies.
        constrain: Make every call valid by the schemas of the tools offered; items with a schema
            that cannot be enforced are listed and count in no figure.
        max_new_tokens: The most tokens of a reply.
        max_seq_len: The most tokens of a prompt and its reply together.
        batch_size: How many items are answered at once.

    The model:
        chat_format: How conversations are written for these models, the base included; by default
            the one that the checkpoints were trained in.
        chat_format_anyway: Use --chat-format also where they were trained in another.
        tokenizer_path: The models' tokenizer file; by default the base's.
        quantization: Store the linear layers of all models, the base included, in nf4 or
            nf4_double, or none; by default as when the adapters were trained.
    """
    about = {name: value for name, value in locals().items() if value is not None}
    if num_examples < 1:
        raise UsageError(f"--num-examples is {num_examples}, wanted 1 or more")
    check_idle_flags(about, _GOES_WITH | FORMAT_FLAGS)
    if benchmark and held_out_of:
        raise UsageError("--held-out-of goes with conversations, not with --benchmark")
    dataset, questions = (None, data_path) if benchmark else (data_path, None)
    items = read_items(
        dataset, held_out_of, benchmark, questions, answers_file, tools_file, num_examples
    )
    if any(item.task is not None for item in items):
        raise UsageError("tasks of several turns are scored by scripts/evaluate.py, a model a call")
    sampling = temperature, top_p, seed
    decoding = Decoding((), max_new_tokens, max_seq_len, batch_size, *sampling)
    compared = Run.open(checkpoint_dir, base_model_name, quantization)
    about["chat_format"] = compared.format(chat_format, chat_format_anyway).name
    if compared.quantization is not None:
        about["quantization"] = compared.quantization
    trained = next((c.saved.directory for c in compared.candidates if c.saved), None)
    if dataset and trained and (warning := trained_on_warning(trained, items)):
        print(f"warning: {warning}")
    setting = Setting(decoding, about["chat_format"], tokenizer_path, constrain)
    page, failures = (Path(name) if name else None for name in (report_file, failures_file))
    files = ComparisonFiles(Path(output_file), page, failures, about)
    comparison = compare(compared, items, setting, metric, files)
    _show(comparison, files)
    print_next(_next_command(comparison, compared.base, about))
    if comparison.unread:
        name, reason = next(iter(comparison.unread.items()))
        count = f"{len(comparison.unread)} of the checkpoints"
        raise ValueError(f"{count} could not be scored, the first is {name}: {reason}")


def _show(comparison: Comparison, files: ComparisonFiles) -> None:
    console = Console()
    console.print(comparison_table(comparison))
    named = {"Results": files.output_file, "Verdicts": files.folder, "Page": files.report_file}
    named["Failures"] = files.failures_file
    paths = [f"{name}: {path}" for name, path in named.items() if path is not None]
    for line in (*comparison.verdict(), *refusal_lines(comparison.refused), *paths):
        console.print(line, soft_wrap=True)


def _next_command(comparison: Comparison, base: Path, about: Mapping[str, Any]) -> str:
    """Return how to use the best checkpoint, or how to look at what it gets wrong."""
    best = comparison.best
    saved = None if best is None else best.candidate.saved
    gain = comparison.difference(best.candidate.name, BASE) if best else None
    spoken = format_flags(
        about["chat_format"],
        read_chat_record(base if saved is None else saved.directory),
        proposed_format(base),
    )
    if saved is None:
        return _look(shell_quote(base), about, spoken)
    where = f"--lora-ckpt-path {shell_quote(saved.directory)}"
    if gain is not None and gain.value <= 0:
        model = f"{shell_quote(base)} {where}" if saved.is_adapter else shell_quote(saved.directory)
        return _look(model, about, spoken)
    if saved.is_adapter:
        return merge_command(base, saved.directory)
    flags = typed_flags(spoken)
    return f"python chat_completion.py --ckpt-dir {shell_quote(saved.directory)} {flags}".rstrip()


def _look(model: str, about: Mapping[str, Any], spoken: Mapping[str, Any]) -> str:
    """Return how to look at what a model gets wrong."""
    names = ("benchmark", "answers_file", "tools_file", "held_out_of")
    items = {name: about.get(name) for name in names}
    items["benchmark_file" if "benchmark" in about else "dataset_file"] = about["data_path"]
    chosen = {"limit": about["num_examples"], "temperature": about["temperature"]}
    defaults = inspect.signature(main).parameters
    asked = {name: about.get(name) for name in _ASKING if about.get(name) != defaults[name].default}
    flags = typed_flags({**items, **chosen, **spoken, **asked})
    return f"python scripts/evaluate.py --ckpt-dir {model} {flags} --failures-file failures.txt"


if __name__ == "__main__":
    run(main)
