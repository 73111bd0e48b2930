"""Tokenise cleaned conversations into a dataset with a train and a validation split.

    python scripts/build_dataset.py --source-file F --tokenizer-file F --save-dir D
    python scripts/build_dataset.py --source-file A,B --weights 1,0.5 --tokenizer-file F \\
        --save-dir D
    python scripts/build_dataset.py --pairs-file F --tokenizer-file F --save-dir D

Every assistant turn is trained, but those marked `"trained": false`, unless --train-on says
otherwise. No conversation is ever cut. A long build that is interrupted is continued by the same
command.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from chat.formats.format import ChatFormat
from console.command import print_next, run, shell_quote
from console.flags import UsageError, check_idle_flags
from console.output import Console
from data.building.dataset import Settings, build_dataset
from data.building.splitting import SplitBy
from data.building.trained_turns import TrainOn
from inference.chat_choice import FORMAT_FLAGS, choose_format
from training.dataset_command import training_commands
from weights.chat_record import proposed_format, read_chat_record


def main(
    tokenizer_file: str,
    save_dir: str,
    source_file: str | None = None,
    pairs_file: str | None = None,
    val_ratio: float = 0.15,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    max_seq_len: int = 8192,
    skip_overlong: bool = False,
    weights: str | None = None,
    seed: int = 3,
    split_by: SplitBy = "conversation",
    train_on: TrainOn = "assistant",
    skip_unwritable: bool = True,
) -> None:
    """Turn conversations into tokens and training masks, split by a hash of their content.

    Conversations:
        source_file: The conversations that scripts/clean_dataset.py wrote; several files with
            commas between become one dataset.
        pairs_file: Instead, the pairs that scripts/make_pairs.py wrote (docs/pairs.md), for
            preference training: of each, a conversation with the chosen reply and one with the
            rejected reply. All pairs of a prompt validate, or none.
        weights: One number for each source file, with commas between: 0.5 takes half of its
            conversations, 2 trains each of them twice.

    What comes out:
        save_dir: The dataset directory to write; an earlier dataset there is replaced.
        val_ratio: The share of conversations that validate, more than 0 and less than 1.
        split_by: conversation; or prompt: then conversations that are the same up to the first
            reply are in one split, as several replies to one prompt should be; or tools: then no
            tool is in both splits, neither by its name nor by its definition.
        seed: Which conversations a weight takes.

    Tokens:
        tokenizer_file: The model's tokenizer file, or the directory that holds it.
        chat_format: How conversations are written for the model; by default the one that the model
            beside tokenizer_file was trained in, or else that of its family (docs/chat-formats.md).
        chat_format_anyway: Use --chat-format also where the model was trained in another.
        train_on: assistant trains all turns of the assistant, last only the last one, all the whole
            text from the second token to the end of the last reply. What a row marks as not to be
            learnt is trained in no case.
        max_seq_len: The most tokens a conversation may have; a longer one first loses tools that
            it never calls.
        skip_overlong: Leave out longer conversations, and those without anything to train,
            and list them in dataset.json, instead of stopping.
        skip_unwritable: Leave out conversations that the chat format has no way to write, count
            them, and list them in dataset.json; with false they stop the build.
    """
    check_idle_flags(locals(), FORMAT_FLAGS)
    source = _one_of(source_file, pairs_file)
    model = Path(tokenizer_file) if Path(tokenizer_file).is_dir() else Path(tokenizer_file).parent
    record = read_chat_record(model)
    proposed = proposed_format(model)
    chosen = choose_format(chat_format, chat_format_anyway, [record], proposed)
    format = chosen.name
    settings = Settings(
        val_ratio,
        format,
        max_seq_len,
        skip_overlong,
        weights,
        seed,
        split_by,
        train_on,
        skip_unwritable,
        pairs=pairs_file is not None,
    )
    description = build_dataset(source, tokenizer_file, save_dir, settings)
    table = Table()
    for column in ("split", "conversations", "tokens", "trained", "longest"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, counts in description["splits"].items():
        share = counts["trained_tokens"] / counts["tokens"]
        numbers = [f"{counts[key]:,}" for key in ("conversations", "tokens")]
        table.add_row(split, *numbers, f"{share:.1%}", f"{counts['longest']:,}")
    console = Console()
    console.print(table)
    for line in left_out(description, format):
        console.print(line, soft_wrap=True)
    for file in description["provenance"]["files"] if weights or "," in source else []:
        taken = f"{file['train']:,} train, {file['validation']:,} validation"
        console.print(f"{file['file']}, weight {file['weight']:g}: {taken}")
    if chat_format is None:
        why = f"as {record.file} says" if record else "by default; --chat-format names another"
        console.print(f"Chat format: {format}, {why}", soft_wrap=True)
    counts = {name: split["conversations"] for name, split in description["splits"].items()}
    if not weights and (told := share_missed(counts, val_ratio)):
        console.print(f"warning: {told}", soft_wrap=True)
    console.print(f"Dataset: {save_dir}", soft_wrap=True)
    if untrained := _untrained_tokens(chosen, tokenizer_file, model):
        names = ", ".join(f"{name} ({number})" for name, number in untrained.items())
        flag = shell_quote(f"--lora.token_rows={list(untrained.values())}".replace(" ", ""))
        console.print(
            f"warning: {format} uses tokens whose rows of the model's embedding look untrained: "
            f"{names}; to train just those rows, add {flag} to an adapter's run",
            soft_wrap=True,
        )
    print_next(
        f"python scripts/inspect_dataset.py --dataset-dir {shell_quote(save_dir)}",
        *training_commands(save_dir, description),
    )


def share_missed(counts: Mapping[str, int], val_ratio: float) -> str:
    """Return what to say where the share that validates is off by more than half of `val_ratio`."""
    train, validation = counts["train"], counts["validation"]
    share = validation / (train + validation)
    if abs(share - val_ratio) <= val_ratio / 2:
        return ""
    return (
        f"{train:,} conversations train and {validation:,} validate, {share:.0%} where --val-ratio "
        f"asks for {val_ratio:.0%}: what validates is chosen by a hash, which misses the share of "
        "few rows; give more rows, or another --val-ratio"
    )


def _one_of(source_file: str | None, pairs_file: str | None) -> str:
    """Return the file to read; UsageError where none is named, or two are."""
    if source_file and pairs_file:
        raise UsageError("--source-file and --pairs-file are two datasets; name one of them")
    if not source_file and not pairs_file:
        raise UsageError("missing --source-file, or --pairs-file for pairs of replies")
    return source_file or pairs_file or ""


def _untrained_tokens(format: ChatFormat, tokenizer_file: str, model: Path) -> dict[str, int]:
    """Return the format's special tokens that the model beside the tokenizer does not know yet."""
    if not any(model.glob("consolidated.*")):
        return {}  # a tokenizer alone
    # Importing torch takes as long as building thousands of conversations, and each worker imports
    # what stands at the top of this file.
    from weights.directory import weights_file
    from weights.untrained_rows import untrained_rows

    try:
        weights_file(model)
        known = format.load_tokenizer(tokenizer_file).special_tokens
        used = {*format.special_tokens, *format.stop_tokens, *format.calls.special_tokens}
        ids = {known[name]: name for name in used if name in known}
        return {ids[number]: number for number in untrained_rows(model, sorted(ids))}
    except (FileNotFoundError, ValueError):
        # Weights that are not in our layout: there is nothing to look at.
        return {}


def left_out(description: dict[str, Any], format: str) -> Iterator[str]:
    """Yield what the dataset does not have of its sources, in lines."""
    unnamed = description.get("not_named", {})
    for reason, named in description["rejected"].items():
        count = len(named) + unnamed.get(reason, 0)
        listed = "listed" if count == len(named) else f"the first {len(named)} listed"
        if count:
            yield f"Left out as {reason}: {count}, {listed} in dataset.json"
    for reason, count in _reasons(description["rejected"]["unwritable"]):
        yield f"  {count} that {format} cannot write: {reason}"
    if dropped := description["repaired"]["tools_dropped"]:
        count = len(dropped) + unnamed.get("tools_dropped", 0)
        yield f"Lost tools that are never called, to fit: {count} conversations"


def _reasons(unwritable: list[dict[str, str]]) -> list[tuple[str, int]]:
    """Return the most frequent reasons of those listed, without the place in the conversation."""
    reasons = (re.sub(r"^messages\[\d+\][^:]*: ", "", entry["reason"]) for entry in unwritable)
    return Counter(reasons).most_common(5)


if __name__ == "__main__":
    run(main)
