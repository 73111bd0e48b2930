"""Look at a tokenised dataset: its figures, its charts, and the exact mask of any conversation.

python scripts/inspect_dataset.py --dataset-dir D
python scripts/inspect_dataset.py --dataset-dir D --index 12
python scripts/inspect_dataset.py --dataset-dir D --html ./runs/dataset.html
"""

from pathlib import Path
from typing import Literal

from console.command import print_next, run, shell_quote
from console.output import Console
from data.inspection.masks import Reader, view
from data.inspection.page import page
from data.inspection.pairs import pairs_line, show_pair, view_pair
from data.inspection.statistics import open_tokenizer, provenance, statistics
from data.inspection.terminal import sample_view, show
from data.soundness import check_soundness
from data.split_files import SPLITS
from data.tokenized import TokenizedDataset
from storage.atomic import new_file
from training.dataset_command import training_commands


def main(
    dataset_dir: str,
    split: Literal["train", "validation"] = "train",
    index: int | None = None,
    html: str | None = None,
    tokenizer_file: str | None = None,
    micro_batch_tokens: int = 8192,
    batch_size: int = 32,
) -> None:
    """Show what a dataset holds and what of it is trained, from the arrays that training reads.

    Args:
        dataset_dir: The directory that scripts/build_dataset.py wrote.
        split: Which split --index is about, train or validation.
        index: Show only this conversation, its roles and its mask, counted from 0; of a dataset of
            pairs this pair, both replies side by side.
        html: Write everything as one HTML file that needs nothing else.
        tokenizer_file: The tokenizer, where the dataset has no copy of it.
        micro_batch_tokens: Say how full sequences of so many tokens are.
        batch_size: Say how full the micro-batches of a step of so many conversations are.
    """
    console = Console()
    splits = {name: TokenizedDataset.open(dataset_dir, name) for name in SPLITS}
    chosen = TokenizedDataset.open(dataset_dir, split)
    tokenizer = open_tokenizer(chosen, tokenizer_file)
    reader = Reader.of(chosen.chat_format, tokenizer)
    size = chosen.group_size
    if index is not None and size > 1:
        show_pair(console, view_pair(chosen, index, reader))
    elif index is not None:
        console.print(sample_view(view(chosen, index, reader)), soft_wrap=True)
    if index is None or html:
        every = [statistics(s, tokenizer, micro_batch_tokens, batch_size) for s in splits.values()]
        if index is None:
            show(console, every, provenance(chosen))
            for dataset in splits.values() if size > 1 else ():
                console.print(pairs_line(dataset), soft_wrap=True)
    if html:
        groups = [index] if index is not None else range(min(5, len(chosen) // size))
        samples = [view(chosen, size * i + side, reader) for i in groups for side in range(size)]
        with new_file(html) as partial:
            title = f"Dataset {Path(dataset_dir).name}"
            text = page(title, every, provenance(chosen), samples, size)
            partial.write_text(text, encoding="utf-8")
        console.print(f"Page: {html}", soft_wrap=True)
    for dataset in splits.values():
        check_soundness(dataset)
    if index is None:
        print_next(
            f"python scripts/inspect_dataset.py --dataset-dir {shell_quote(dataset_dir)} --index 0"
        )
    else:
        print_next(*training_commands(dataset_dir, chosen.description))


if __name__ == "__main__":
    run(main)
