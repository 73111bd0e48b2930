"""Draw several replies to each training prompt, judge them, and keep the right ones as a dataset.

python scripts/sample_replies.py --ckpt-dir D --dataset-file F --save-file kept.jsonl
python scripts/sample_replies.py --ckpt-dir D --lora-ckpt-path A --dataset-file F,G \
    --replies 8 --temperature 0.7 --constrain --never-from scored.jsonl --save-file kept.jsonl
python scripts/sample_replies.py --ckpt-dir D --dataset-file F --save-file kept.jsonl \
    --verdicts-file verdicts.jsonl

Rejection sampling: what is right by the scorer of scripts/evaluate.py is trained on as any other
conversation. scripts/improve.py does several rounds of it. docs/rejection-sampling.md tells more.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from console.command import print_next, run, shell_quote
from console.flags import UsageError, check_idle_flags, listed
from console.output import Console
from inference.chat_choice import FORMAT_FLAGS
from rewards.held_out import HeldOut, check_places, validation_of
from rewards.prompts import read_prompts
from rewards.replayed import replayed
from rewards.replies import Drawing
from rewards.sampling import Outputs, Sampling


def main(
    ckpt_dir: str,
    dataset_file: str,
    save_file: str,
    lora_ckpt_path: str | None = None,
    tokenizer_path: str | None = None,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    quantization: str | None = None,
    never_from: str | None = None,
    named_only: bool = False,
    categories: str | None = None,
    limit: int | None = None,
    replies: int = 4,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 1,
    constrain: bool = False,
    max_new_tokens: int = 256,
    max_seq_len: int = 4096,
    batch_size: int = 64,
    cuda_graphs: bool = False,
    most_kept: int = 2,
    skip_easy: bool = False,
    replay: float = 0.0,
    verdicts_file: str | None = None,
) -> None:
    """Draw replies to the prompts of training conversations, and keep those that are right.

    The model:
        ckpt_dir: A native model directory: a base, or a merged model.
        lora_ckpt_path: A LoRA checkpoint to use on top of ckpt_dir without merging it.
        tokenizer_path: The model's tokenizer file; by default the one in ckpt_dir.
        chat_format: How conversations are written for this model; by default the one that it was
            trained in, or llama3 for a model as Meta ships it.
        chat_format_anyway: Use --chat-format also where the model was trained in another.
        quantization: Store the linear layers in nf4 or nf4_double, or none; by default as when the
            adapter was trained, or as ckpt_dir holds them.
        cuda_graphs: Record passes over single tokens as CUDA graphs.

    Prompts:
        dataset_file: Training conversations of any layout that scripts/clean_dataset.py reads,
            several files with commas between; each assistant's turn after a user or a tool is one
            prompt.
        never_from: What is held out, with commas between: files of conversations, and datasets that
            build_dataset.py made, of which the validation split is meant. A prompt that stands
            there is not used; that of the dataset that the weights were trained on never is.
        named_only: Hold out what --never-from names and no more, also where the weights validated
            on something else: for rounds that validate on the same prompts each time.
        categories: Use only prompts of these categories, with commas between: call, parallel,
            no_call, call_after_result, parallel_after_result, no_call_after_result, no_tools.
        limit: Use only so many prompts, drawn by the seed.

    Replies:
        replies: How many replies are drawn to each prompt.
        temperature: Higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        seed: Another number draws other replies, and with --limit other prompts.
        constrain: Make every call valid by the schemas of the tools offered.
        max_new_tokens: The most tokens of a reply.
        max_seq_len: The most tokens of a prompt and its reply together.
        batch_size: How many replies are under way at once; a prompt is read once where all its
            replies fit.

    What is kept:
        save_file: Where right replies go with their prompts, canonical conversations as JSON Lines;
            the counts go to a .report.json beside it.
        most_kept: How many right replies of a prompt are kept at most, of those that differ.
        skip_easy: Keep none of a prompt whose replies are all right.
        replay: For each kept reply, write so many conversations of dataset_file as they stand, too,
            drawn by the seed; none that is held out. It is against forgetting.
        verdicts_file: Where every reply goes with the verdict on it, right or wrong, JSON Lines;
            scripts/make_pairs.py --from replies reads it.
    """
    flags = dict(locals())
    check_idle_flags(flags, FORMAT_FLAGS | {"named_only": "never_from"})
    for name, least in (("most_kept", 1), ("replies", 1), ("limit", 1)):
        if flags[name] is not None and flags[name] < least:
            raise UsageError(f"--{name.replace('_', '-')} is {flags[name]}, wanted {least} or more")
    if replay < 0:
        raise UsageError(f"--replay is {replay}, wanted 0 or more")
    drawing = Drawing(
        replies,
        temperature,
        top_p,
        max_new_tokens,
        max_seq_len,
        batch_size,
        seed,
        constrain,
        cuda_graphs,
    )
    outputs = Outputs(
        Path(save_file),
        Path(verdicts_file) if verdicts_file else None,
        most_kept,
        skip_easy,
        replay,
    )
    outputs.check()
    sampling = _sampling(flags, drawing, outputs)
    console = Console()
    console.print(sampling.tally.table())
    for line in _closing(sampling):
        console.print(line, soft_wrap=True)
    if not sampling.tally.kept:
        raise ValueError(
            f"no reply to {len(sampling.prompts):,} prompts was kept: the table says whether none "
            "was right, or all were and --skip-easy leaves them out; raise --replies or --limit, "
            "or change --temperature"
        )
    print_next(_next_command(flags))


def _sampling(flags: dict[str, Any], drawing: Drawing, outputs: Outputs) -> Sampling:
    """Draw and judge; prompts and their held-out ones are read before the weights."""
    from evaluation.subject import model_source
    from inference.loading import load_chat_model
    from inference.passes import check_cuda_graphs
    from storage.manifest import sha256_of_file
    from weights.adapter import adapter_file
    from weights.directory import hash_weights, weights_file

    check_cuda_graphs(flags["cuda_graphs"])
    source = model_source(flags)
    named = listed(flags["never_from"])
    check_places(named)
    own = [] if flags["named_only"] else validation_of(source.weights_directory())
    held_out = HeldOut([*named, *own])
    files, seed = listed(flags["dataset_file"]), flags["seed"]
    categories = listed(flags["categories"]) or None
    prompts = read_prompts(files, held_out, categories, flags["limit"], seed)
    for line in held_out.lines():
        print(line)
    weights = [hash_weights(weights_file(flags["ckpt_dir"]))]
    if flags["lora_ckpt_path"]:
        weights.append(sha256_of_file(adapter_file(flags["lora_ckpt_path"])))
    chosen = ("ckpt_dir", "lora_ckpt_path", "temperature", "top_p", "seed", "constrain")
    made_by = {name: flags[name] for name in chosen if flags[name] is not None}
    sampling = Sampling(
        prompts,
        drawing,
        outputs,
        {**made_by, "sha256": weights[-1]},
        weights,
        lambda count: replayed(files, held_out, count, seed),
    )
    sampling.run(load_chat_model(source))
    return sampling


def _closing(sampling: Sampling) -> Iterator[str]:
    yield from sampling.tally.lines(sampling.drawn, sampling.seconds)
    if sampling.skipped:
        first = sampling.skipped[min(sampling.skipped)]
        yield f"Not asked: {len(sampling.skipped):,} prompts, the first because {first}"
    more = f" and {sampling.replayed:,} training conversations" if sampling.replayed else ""
    yield f"{sampling.tally.kept:,} right replies{more}: {sampling.outputs.save_file}"
    if sampling.outputs.verdicts_file:
        yield f"All verdicts: {sampling.outputs.verdicts_file}"


def _next_command(flags: dict[str, Any]) -> str:
    directory = Path(flags["save_file"]).with_suffix("")
    tokenizer = flags["tokenizer_path"] or flags["ckpt_dir"]
    return (
        f"python scripts/build_dataset.py --source-file {shell_quote(flags['save_file'])} "
        f"--tokenizer-file {shell_quote(tokenizer)} --save-dir {shell_quote(directory)} "
        "--split-by prompt --val-ratio 0.05"
    )


if __name__ == "__main__":
    run(main)
