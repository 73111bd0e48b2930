"""Turn canonical conversations into a tokenised dataset: render, tokenise, split, write.

Files with weights are mixed. A build that is interrupted is continued by the same command.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chat.formats.known import find_format
from chat.formats.rendering import check_special_tokens
from chat.tokenizers.tokenizer import copy_tokenizer
from console.progress import byte_bar
from data import parallel
from data.building.encoding import Job, encode, load_tokenizer
from data.building.mixture import BYTES, ROWS, Part, read_parts, works
from data.building.splitting import SPLITS_BY, group_tools, ratio_between, save_places
from data.building.tally import LISTS, Tally
from data.building.trained_turns import TRAIN_ON
from data.building.unfinished import Unfinished, unfinished
from data.conversations import read_conversation
from data.pairs import read_prompt
from data.reading.rows import counted, read_rows, size_of
from data.split_files import (
    FILES,
    FORMAT_VERSION,
    KIND,
    SPLITS,
    Counts,
    Encoding,
    SplitWriter,
    describe,
    file_sizes,
    sha256s_of,
    write_description,
)
from storage.atomic import check_own_directory, new_directory
from storage.manifest import sha256_of_file

# How many blocks of rows an interrupted build loses at most; saving waits for the disk. Where the
# tally grows with the rows, it is a tenth of them: else saving would take most of the time.
SAVE_EVERY = 40
ENTRIES_A_BLOCK = 10 * ROWS
# An error names so many of the conversations that cannot be written.
MOST_NAMED = 5


@dataclass(frozen=True)
class Settings:
    """What a user chooses; the flags of scripts/build_dataset.py say what each does."""

    val_ratio: float = 0.15
    chat_format: str = "llama3"
    max_seq_len: int = 8192
    skip_overlong: bool = False
    weights: str | None = None
    seed: int = 3
    split_by: str = "conversation"
    train_on: str = "assistant"
    skip_unwritable: bool = True
    pairs: bool = False

    def __post_init__(self) -> None:
        if self.train_on not in TRAIN_ON:
            raise ValueError(f"--train-on is {self.train_on!r}, wanted {' or '.join(TRAIN_ON)}")
        if self.pairs and self.train_on != "assistant":
            raise ValueError(
                f"--train-on {self.train_on} goes with --source-file; of a pair the two replies "
                "alone are trained"
            )
        if self.split_by not in SPLITS_BY:
            raise ValueError(f"--split-by is {self.split_by!r}, wanted {' or '.join(SPLITS_BY)}")
        if not isinstance(self.val_ratio, float | int) or not 0 < self.val_ratio < 1:
            raise ValueError(
                f"--val-ratio is {self.val_ratio!r}, wanted more than 0 and less than 1"
            )
        if not isinstance(self.max_seq_len, int) or self.max_seq_len < 2:
            raise ValueError(f"--max-seq-len is {self.max_seq_len!r}, wanted a number from 2 up")


def build_dataset(
    source_file: Path | str,
    tokenizer_file: Path | str,
    save_dir: Path | str,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Write the dataset of one or more files of conversations and return its description.

    `source_file` may name several files, with commas between; with `settings.pairs` each of their
    rows is a pair, and becomes two conversations that belong together. Nothing is written, and
    ValueError says what to do, when a row cannot be read, when conversations are too long, train
    nothing or cannot be written and are not to be skipped, or a split is empty.
    """
    settings = settings or Settings()
    if settings.pairs and settings.split_by == "conversation":
        # A turn's pair must not stand beside the conversation that goes on from it.
        settings = replace(settings, split_by="prompt")
    directory = Path(save_dir)
    check_own_directory(directory, KIND)
    format = find_format(settings.chat_format)
    tokenizer = load_tokenizer(Path(tokenizer_file), format.name)
    check_special_tokens(format, tokenizer)
    specials, file = dict(tokenizer.special_tokens), str(tokenizer_file)
    encoding = Encoding(format.name, tokenizer.sha256, tokenizer.vocab_size, specials, file)
    build = _Build(read_parts(source_file, settings.weights), encoding, settings)
    job = Job(
        parts=build.parts,
        tokenizer_file=Path(tokenizer_file),
        chat_format=format.name,
        max_seq_len=settings.max_seq_len,
        val_ratio=settings.val_ratio,
        seed=settings.seed,
        train_on=settings.train_on,
        split_by=settings.split_by,
        pairs=settings.pairs,
    )
    with unfinished(directory, build.key()) as work, TemporaryDirectory() as temporary:
        if settings.split_by == "tools":
            job = replace(job, places_file=build.place_tools(Path(temporary) / "places.npy"))
        splits = build.encode_all(work, job)
        build.check_left_out()
        build.check_splits_filled()
        description = describe(encoding, splits, build.notes())
        with new_directory(directory, KIND) as complete:
            for split in SPLITS:
                for name in FILES.values():
                    (work.path / f"{split}.{name}").replace(complete / f"{split}.{name}")
            # With it, the dataset can be inspected without the original tokenizer file.
            copy_tokenizer(tokenizer, complete)
            write_description(complete, description)
    return description


class _Build:
    """One build: what was taken so far, what was left out, and what dataset.json says of it."""

    def __init__(self, parts: tuple[Part, ...], encoding: Encoding, settings: Settings) -> None:
        self.parts = parts
        self.settings, self.encoding = settings, encoding
        self.source = ", ".join(str(part.file) for part in parts)
        self.sha256s = [sha256_of_file(part.file) for part in parts]
        self.tally = Tally.empty(len(parts))

    def key(self) -> dict[str, Any]:
        """Return what must be the same for an interrupted build to be continued."""
        settings = asdict(self.settings)
        del settings["skip_overlong"], settings["skip_unwritable"]
        return {
            "files": [
                [str(part.file), part.weight, sha256]
                for part, sha256 in zip(self.parts, self.sha256s, strict=True)
            ],
            "encoding": asdict(self.encoding),
            "settings": settings,
            "version": FORMAT_VERSION,
            "blocks": [ROWS, BYTES],
        }

    def place_tools(self, path: Path) -> Path:
        """Read all conversations once, and write the place of each tool to `path`."""
        with byte_bar("Grouping tools", sum(size_of(part.file) for part in self.parts)) as advance:
            read = read_prompt if self.settings.pairs else read_conversation
            conversations = (
                read(row, part.file)
                for part in self.parts
                for row in counted(read_rows(part.file), advance)
            )
            save_places(path, group_tools(conversations).places(self.settings.val_ratio))
        return path

    def encode_all(self, work: Unfinished, job: Job) -> dict[str, Any]:
        """Write the files of all splits on all cores; return what dataset.json says of them."""
        with ExitStack() as files:
            writers, blocks = self._writers(work, files)
            title = "Tokenising" if blocks == 0 else "Tokenising, continued"
            total = sum(size_of(part.file) for part in self.parts)
            saved = blocks
            rest = islice(works(self.parts), blocks, None)
            few = parallel.FEW // ROWS
            with byte_bar(title, total) as advance:
                for encoded in parallel.in_order(partial(encode, job=job), rest, few, chunk=1):
                    advance(encoded.size)
                    self.tally.add(encoded.tally)
                    for split, block in encoded.blocks.items():
                        writers[split].add(block)
                    blocks += 1
                    if blocks - saved >= max(SAVE_EVERY, self.tally.entries // ENTRIES_A_BLOCK):
                        self._save(work, writers, blocks)
                        saved = blocks
            return {split: writer.finish() for split, writer in writers.items()}

    def _writers(self, work: Unfinished, files: ExitStack) -> tuple[dict[str, SplitWriter], int]:
        """Open the files of all splits, as far as an earlier run came; return its blocks too."""
        saved = work.progress
        counts = {s: Counts(**saved["splits"][s]) for s in SPLITS} if saved else {}
        if saved and work.holds(file_sizes(counts)):
            writers = {s: SplitWriter(work.path, s, files, counts[s]) for s in SPLITS}
            if sha256s_of(writers) == saved["sha256s"]:
                self.tally = Tally(**saved["tally"])
                return writers, saved["blocks"]
            files.close()
        work.start_anew()
        return {split: SplitWriter(work.path, split, files) for split in SPLITS}, 0

    def _save(self, work: Unfinished, writers: Mapping[str, SplitWriter], blocks: int) -> None:
        for writer in writers.values():
            writer.flush()
        progress = {"blocks": blocks, "tally": self.tally.record(), "sha256s": sha256s_of(writers)}
        work.save(progress | {"splits": {s: asdict(w.counts) for s, w in writers.items()}})

    def notes(self) -> dict[str, Any]:
        """Return the provenance, the rejected and the repaired conversations."""
        files = [
            {"file": part.file.name, "sha256": sha256, "weight": part.weight, **counts}
            for part, sha256, counts in zip(self.parts, self.sha256s, self.tally.files, strict=True)
        ]
        return {
            **({"group_size": 2} if self.settings.pairs else {}),
            "provenance": {
                "files": files,
                "conversations": self.tally.rows,
                "sources": self.tally.sources,
                "val_ratio": self.settings.val_ratio,
                "max_seq_len": self.settings.max_seq_len,
                "seed": self.settings.seed,
                "split_by": self.settings.split_by,
                "train_on": self.settings.train_on,
            },
            "rejected": {
                "overlong": self.tally.overlong,
                "untrained": self.tally.untrained,
                "unwritable": self.tally.unwritable,
            },
            "repaired": {"tools_dropped": self.tally.tools_dropped},
            **self._not_named(),
        }

    def _not_named(self) -> dict[str, Any]:
        """Return how many entries the lists of the notes are short of, where they are."""
        lists = {name: len(getattr(self.tally, name)) for name in LISTS}
        short = {name: self.tally.counts[name] - length for name, length in lists.items()}
        return {"not_named": short} if any(short.values()) else {}

    def check_left_out(self) -> None:
        """Raise ValueError when something was left out that was not to be skipped."""
        counts, longest, rows = self.tally.counts, self.tally.longest, self.tally.rows
        if self.tally.unwritable and not self.settings.skip_unwritable:
            raise ValueError(
                f"{self.source}: {self._unwritable()}; leave them out with --skip-unwritable, or "
                f"find them at cleaning with --chat-format {self.settings.chat_format}"
            )
        if self.settings.skip_overlong:
            return
        if longest:
            raise ValueError(
                f"{self.source}: {counts['overlong']} of {rows} conversations are longer than "
                f"--max-seq-len {self.settings.max_seq_len}, the longest, {longest['id']}, has "
                f"{longest['tokens']} tokens; raise --max-seq-len, or leave them out with "
                "--skip-overlong"
            )
        if untrained := self.tally.untrained:
            raise ValueError(
                f"{self.source}: {counts['untrained']} of {rows} conversations have no "
                f"assistant turn to train on, the first is {untrained[0]}; clean the file "
                "with scripts/clean_dataset.py, or leave them out with --skip-overlong"
            )

    def check_splits_filled(self) -> None:
        """Raise ValueError when all that was taken falls into one split."""
        ratio, count = self.settings.val_ratio, sum(self.tally.sources.values())
        least, greatest = self.tally.least, self.tally.greatest
        if least < ratio <= greatest:
            return
        if least >= greatest:
            unwritable = f"; {self._unwritable()}" if self.tally.unwritable else ""
            raise ValueError(
                f"{self.source} holds {count} conversations that can be trained on; training and "
                f"validation need two that differ{unwritable}"
            )
        empty = "validation" if ratio <= least else "train"
        raise ValueError(
            f"{self.source}: with --val-ratio {ratio} the {empty} split of {count} conversations "
            f"would be empty; use --val-ratio {ratio_between(least, greatest)}"
        )

    def _unwritable(self) -> str:
        """Return what the chat format could not write, for an error."""
        count = self.tally.counts["unwritable"]
        some = self.tally.unwritable[:MOST_NAMED]
        named = ", ".join(f"{entry['id']} ({entry['reason']})" for entry in some)
        more = count - len(some)
        return (
            f"{self.settings.chat_format} cannot write {count} of "
            f"{self.tally.rows} conversations: {named}" + (f" and {more} more" if more else "")
        )
