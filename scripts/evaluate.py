"""Score the tool calls, or the plain text, of a model, an endpoint, or recorded outputs.

python scripts/evaluate.py --ckpt-dir D --dataset-file F --output-file results.json
python scripts/evaluate.py --ckpt-dir D --text-file F
python scripts/evaluate.py --predictions F --benchmark bfcl --benchmark-file F --answers-file F
"""

from collections.abc import Mapping
from typing import Any

from console.command import print_next, run, shell_quote, typed_flags
from console.flags import UsageError, check_idle_flags
from console.output import Console
from data.plain_text import WINDOW, Text
from evaluation.base import find_base
from evaluation.items import Item, read_items
from evaluation.judging import Outputs
from evaluation.results import Results
from evaluation.subject import model_source, score_subject, spoken_format
from evaluation.terminal import terminal_parts
from evaluation.trained_on import trained_on_warning
from inference.chat_choice import FORMAT_FLAGS, format_flags

# Flags that would do nothing without another one.
_GOES_WITH = {
    "lora_ckpt_path": "ckpt_dir",
    "tokenizer_path": "ckpt_dir",
    "chat_format_anyway": "ckpt_dir",
    "quantization": "ckpt_dir",
    "cuda_graphs": "ckpt_dir",
    "model": "endpoint",
    "held_out_of": "dataset_file",
    "benchmark_file": "benchmark",
    "answers_file": "benchmark",
    "tools_file": "benchmark",
    "text_file": "ckpt_dir",
    "text_window": "text_file",
}
# What is scored, and which of its items.
_SCORED = (
    *("dataset_file", "held_out_of", "benchmark", "benchmark_file", "benchmark_dir"),
    *("answers_file", "tools_file"),
)
_CHOOSING = ("limit", "categories")


def main(
    ckpt_dir: str | None = None,
    lora_ckpt_path: str | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    predictions: str | None = None,
    dataset_file: str | None = None,
    held_out_of: str | None = None,
    benchmark: str | None = None,
    benchmark_file: str | None = None,
    benchmark_dir: str | None = None,
    answers_file: str | None = None,
    tools_file: str | None = None,
    text_file: str | None = None,
    text_window: int | None = None,
    against: str | None = None,
    limit: int | None = None,
    categories: str | None = None,
    output_file: str | None = None,
    failures_file: str | None = None,
    report_file: str | None = None,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    tokenizer_path: str | None = None,
    max_seq_len: int = 4096,
    max_new_tokens: int = 512,
    batch_size: int = 16,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 1,
    constrain: bool = False,
    quantization: str | None = None,
    cuda_graphs: bool = False,
) -> str:
    """Score the tool calls of a model, an endpoint or a file, and how it predicts plain text.

    What is scored:
        ckpt_dir: A native model directory to be scored: a base, or a merged model.
        lora_ckpt_path: A LoRA checkpoint to use on top of ckpt_dir without merging it.
        endpoint: Instead of a model, the URL of an OpenAI-compatible server, such as
            http://localhost:8000/v1; a key is taken from OPENAI_API_KEY.
        model: The name of the model at the endpoint.
        predictions: Instead of a model, its recorded outputs, JSON Lines of id and calls or text.

    On which items:
        dataset_file: Conversations of any layout that scripts/clean_dataset.py reads; each
            assistant's turn after a user or a tool is one item. With --benchmark, its questions.
        held_out_of: A dataset made by build_dataset.py; of dataset_file, only the conversations
            it keeps for validation are scored.
        benchmark: Instead of a dataset, bfcl or nexusraven.
        benchmark_file: Its questions: a BFCL_v4_*.json, or NexusRaven's standardized_queries.
        benchmark_dir: Instead of a file, BFCL's own folder: every category in it is scored, and the
            leaderboard's figures are given. Tasks of several turns need the package bfcl-eval.
        answers_file: BFCL's answers to them, from its folder possible_answer.
        tools_file: NexusRaven's standardized_api_list.
        limit: Score only the first so many items; of benchmark_dir, of each category.
        categories: Score only the items of these categories, with commas between. A dataset has
            call, parallel, no_call, call_after_result, parallel_after_result,
            no_call_after_result and no_tools; BFCL has simple_python, simple_java,
            simple_javascript, multiple, parallel, parallel_multiple, irrelevance, live_simple,
            live_multiple, live_parallel, live_parallel_multiple, live_irrelevance,
            live_relevance, multi_turn_base, multi_turn_miss_func, multi_turn_miss_param and
            multi_turn_long_context; NexusRaven has the data sets that its queries name.

    On plain text:
        text_file: A plain text in UTF-8, beside or instead of items: the model's perplexity on it,
            and its loss a token and a byte, the latter for models with other tokenizers.
        text_window: The most bytes of a window of that text, 2048 unless given; a window sees
            nothing of the others.

    What comes out:
        against: A base to compare with, on the same items and text: its native directory, or the
            --output-file of an earlier run. Each line is better, worse, or not told apart.
        output_file: Where to write the summary and the verdict on every id, JSON.
        failures_file: Where to write what failed, side by side with what was wanted, text.
        report_file: Where to write everything as one HTML page with plots that needs nothing else.

    Replies:
        temperature: 0 takes the likeliest token each time, higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        seed: Another number draws other replies.
        constrain: Make every call of the model valid by the schemas of the tools offered; items
            with a schema that cannot be enforced are listed and count in no figure.
        max_new_tokens: The most tokens of a reply.
        max_seq_len: The most tokens of a prompt and its reply together.
        batch_size: How many items are answered at once.

    The model:
        chat_format: How conversations are written for this model; by default the one that it was
            trained in, or llama3 for a model as Meta ships it and for predictions.
        chat_format_anyway: Use --chat-format also where the model was trained in another.
        tokenizer_path: The model's tokenizer file; by default the one in ckpt_dir.
        quantization: Store the linear layers in nf4 or nf4_double, or none; by default as when the
            adapter was trained, or as ckpt_dir holds them.
        cuda_graphs: Record passes over single tokens as CUDA graphs, so that small batches need not
            wait for the host; replies are the same but for near ties.
    """
    if benchmark and not benchmark_file and not benchmark_dir:
        dataset_file, benchmark_file = None, dataset_file
    flags = dict(locals())
    _check_clear(flags)
    flags["chat_format"] = spoken_format(flags)
    window = WINDOW if text_window is None else text_window
    text = Text.read(text_file, window) if text_file else None
    items = _items(flags)
    outputs = Outputs(output_file, failures_file, report_file)
    outputs.check()
    trained = model_source(flags).weights_directory() if ckpt_dir and dataset_file else None
    if trained and (warning := trained_on_warning(trained, items)):
        print(f"warning: {warning}")
    base = find_base(flags | {"chat_format": chat_format}, items, text) if against else None
    results = score_subject(items, text, flags, outputs, base)
    _show(results, outputs)
    print_next(_next_command(flags))
    return results.headline if results.items or results.text is None else results.text.line


def _show(results: Results, outputs: Outputs) -> None:
    console = Console()
    for part in (*terminal_parts(results), *outputs.lines()):
        console.print(part, soft_wrap=isinstance(part, str))


def _check_clear(flags: dict[str, Any]) -> None:
    """Refuse flags that name two things to score, or none, or two sets of items, or do nothing."""
    named = [name for name in ("ckpt_dir", "endpoint", "predictions") if flags[name]]
    if len(named) != 1:
        raise UsageError("name one of --ckpt-dir, --endpoint and --predictions")
    if flags["constrain"] and not flags["ckpt_dir"]:
        raise UsageError("--constrain wants --ckpt-dir: others choose their tokens themselves")
    if flags["endpoint"] and not flags["model"]:
        raise UsageError("--endpoint wants --model, the name of the model there")
    if flags["dataset_file"] and flags["benchmark"]:
        raise UsageError("name one of --dataset-file and --benchmark")
    if not (flags["dataset_file"] or flags["benchmark"] or flags["text_file"]):
        raise UsageError("name one of --dataset-file and --benchmark, or a --text-file")
    if flags["benchmark_dir"] and flags["benchmark"] != "bfcl":
        raise UsageError("--benchmark-dir is a folder of --benchmark bfcl")
    beside = [name for name in ("benchmark_file", "answers_file", "tools_file") if flags[name]]
    if flags["benchmark_dir"] and beside:
        raise UsageError("--benchmark-dir has its files of questions and answers: name it alone")
    if flags["endpoint"] and flags["chat_format"]:
        raise UsageError("--chat-format does nothing with --endpoint, which has its own")
    check_idle_flags(flags, _GOES_WITH)
    if not flags["benchmark"]:
        check_idle_flags(flags, dict.fromkeys(_CHOOSING, "dataset_file"))
    check_idle_flags(flags, FORMAT_FLAGS)


def _items(flags: Mapping[str, Any]) -> list[Item]:
    """Read the items to score; none where only a text is."""
    if not flags["dataset_file"] and not flags["benchmark"]:
        return []
    return read_items(**{name: flags[name] for name in (*_SCORED, *_CHOOSING)})


def _next_command(flags: dict[str, Any]) -> str:
    if flags["ckpt_dir"] and flags["lora_ckpt_path"]:
        from inference.storage import merge_command

        return merge_command(flags["ckpt_dir"], flags["lora_ckpt_path"])
    if flags["ckpt_dir"]:
        source = model_source(flags)
        spoken = format_flags(flags["chat_format"], source.chat_record(), source.proposed_format())
        command = f"python chat_completion.py --ckpt-dir {shell_quote(flags['ckpt_dir'])}"
        given = typed_flags(spoken | {"quantization": flags["quantization"]})
        return f"{command} {given}".rstrip()
    names = ("endpoint", "model", "predictions", *_SCORED, *_CHOOSING)
    spoken = format_flags(flags["chat_format"], None) if flags["predictions"] else {}
    given = typed_flags({name: flags[name] for name in names} | spoken)
    return f"python scripts/evaluate.py {given} --failures-file failures.txt"


if __name__ == "__main__":
    run(main)
