"""Make pairs of a chosen and a rejected reply, for preference training.

    python scripts/make_pairs.py --from generator --save-file pairs.jsonl --count 2000
    python scripts/make_pairs.py --from generator --source-file right.jsonl --save-file pairs.jsonl
    python scripts/make_pairs.py --from user --source-file mine.jsonl --save-file pairs.jsonl
    python scripts/make_pairs.py --from negatives --source-file clean.jsonl --save-file pairs.jsonl
    python scripts/make_pairs.py --from replies --source-file verdicts.jsonl --save-file pairs.jsonl

docs/pairs.md tells about the file, the sources and what each costs.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from chat.conversation import Conversation
from console.command import print_next, run, shell_quote
from console.flags import UsageError, check_known, unknown_flag
from console.output import Console
from data.conversations import read_conversations
from data.pairs import ReplyPair, write_pairs
from rewards.held_out import HeldOut, check_places
from rewards.pair_sources import negative_pairs, reply_pairs, user_pairs
from rewards.pair_tally import PairTally, counted_pairs
from rewards.pairs import SHARES, flag_of_kind, mistaken_pairs, read_quotas
from synthesis.generation import Settings, generate
from synthesis.mixtures import MixtureName

SOURCES = ("user", "negatives", "generator", "replies")
# Up to so many conversations are generated for each pair, until all quotas are full.
MOST_GENERATED = 10


def main(
    from_: str,
    save_file: str,
    source_file: str | None = None,
    count: int = 1000,
    seed: int = 3,
    per_prompt: int = 2,
    tools_file: str | None = None,
    mixture: MixtureName = "broad",
    never_from: str | None = None,
    **quotas: object,
) -> None:
    """Write pairs as scripts/build_dataset.py --pairs-file reads them, and say what was left out.

    Where pairs come from:
        from_: Where the pairs come from. user: a file of pairs, in our layout or as TRL, OpenAI and
            others write them. negatives: what scripts/clean_dataset.py found wrong, beside what is
            right. generator: right conversations, with a typed mistake in place of each reply.
            replies: the verdicts of scripts/sample_replies.py --verdicts-file.
        source_file: The file to read: of pairs (user), the cleaned conversations (negatives), or
            verdicts (replies). For generator right conversations; without it they are generated.
        tools_file: Your own tools for generated conversations, as scripts/generate_dataset.py
            takes them (only generator); a Python file is executed.
        mixture: The mixture of generated conversations: broad, short or plain (only generator).
        never_from: Datasets, of which the validation split is meant, and files of conversations,
            with commas between, none of whose prompts may come into a pair.

    What comes out:
        save_file: The pairs to write, JSON Lines.
        count: How many pairs are made from right conversations (only generator).
        per_prompt: The most pairs of right and wrong replies to one prompt (only replies).
        seed: Another number makes other mistakes and other pairs; the same number the same bytes.
        **quotas: The share of a kind of mistake, as --quota.wrong_value=0.4; the others share what
            is left (only generator).
    """
    check_known("--from", from_, SOURCES)
    _check_flags(from_, source_file, tools_file, quotas)
    for flag, number in (("--count", count), ("--per-prompt", per_prompt)):
        if number < 1:
            raise UsageError(f"{flag} is {number}, wanted 1 or more")
    places = [name.strip() for name in (never_from or "").split(",") if name.strip()]
    check_places(places)
    tally, held_out = PairTally(), HeldOut(places)
    wanted = read_quotas({_kind(name): share for name, share in quotas.items()}, count)
    file = Path(source_file) if source_file else None
    pairs = _pairs(from_, file, wanted, seed, per_prompt, tools_file, mixture, tally)
    written = write_pairs(save_file, counted_pairs(pairs, tally, lambda p: _is_held(held_out, p)))
    console = Console()
    table = Table("what is wrong with the rejected reply", "pairs")
    for kind, number in tally.made.most_common():
        table.add_row(kind, f"{number:,}")
    console.print(table)
    for line in tally.lines():
        console.print(line, soft_wrap=True)
    if from_ == "generator" and written < count:
        console.print(_lacking(wanted, tally, file is not None), soft_wrap=True)
    console.print(f"{written:,} pairs: {save_file}", soft_wrap=True)
    print_next(
        f"python scripts/build_dataset.py --pairs-file {shell_quote(save_file)} "
        "--tokenizer-file MODEL_DIR --save-dir ./datasets/NAME"
    )


def _check_flags(
    source: str, source_file: str | None, tools_file: str | None, quotas: dict[str, object]
) -> None:
    """Raise UsageError for a flag that the source has no use for, or that it lacks."""
    if source != "generator":
        if source_file is None:
            raise UsageError(f"--from {source} wants --source-file")
        if tools_file or quotas:
            flag = "--tools-file" if tools_file else f"--{next(iter(quotas))}"
            raise UsageError(f"{flag} goes with --from generator")
    elif source_file and tools_file:
        raise UsageError("--tools-file is for generated conversations, and --source-file has some")


def _kind(flag: str) -> str:
    name = flag.removeprefix("quota.")
    if name == flag:
        flags = ("from", "save_file", "source_file", "count", "seed", "per_prompt", "tools_file")
        kinds = (f"quota.{flag_of_kind(kind)}" for kind in SHARES)
        raise unknown_flag(flag, [*flags, "mixture", "never_from", *kinds])
    return name


def _pairs(
    source: str,
    file: Path | None,
    wanted: dict[str, int],
    seed: int,
    per_prompt: int,
    tools_file: str | None,
    mixture: str,
    tally: PairTally,
) -> Iterator[ReplyPair]:
    """Return the pairs of a source; what gives none is counted in `tally`."""
    if source == "generator" or file is None:
        made_by: dict[str, Any] = {"from": "generator", "seed": seed}
        made_by |= {"file": file.name} if file else {"mixture": mixture}
        most = MOST_GENERATED * sum(wanted.values())
        settings = Settings(most, seed, tools_file, mixture=mixture)
        conversations = read_conversations(file) if file else _generated(settings)
        return mistaken_pairs(conversations, wanted, seed, made_by, tally)
    if source == "replies":
        return reply_pairs(file, per_prompt, seed, tally)
    return (user_pairs if source == "user" else negative_pairs)(file, tally)


def _generated(settings: Settings) -> Iterator[Conversation]:
    return (made.conversation for made in generate(settings))


def _lacking(wanted: dict[str, int], tally: PairTally, is_file: bool) -> str:
    """Return the warning that names the kinds whose quotas are not full, and what to do."""
    lacking = {kind: number - tally.made[kind] for kind, number in wanted.items()}
    lacking = {kind: number for kind, number in lacking.items() if number}
    named = ", ".join(f"{number:,} {kind}" for kind, number in lacking.items())
    flags = " ".join(f"--quota.{flag_of_kind(kind)}=0" for kind in lacking)
    instead = f"let the other kinds have their share with {flags}"
    if is_file:
        instead = f"give more conversations for {named}, or {instead}"
    else:
        instead = f"the tools and the mixture show no more for {named}; {instead}"
    total = sum(wanted.values())
    return f"warning: {total - sum(lacking.values()):,} of {total:,} pairs; {instead}"


def _is_held(held_out: HeldOut, pair: ReplyPair) -> bool:
    return held_out.holds(replace(pair.prompt, messages=(*pair.prompt.messages, pair.chosen)))


if __name__ == "__main__":
    run(main)
