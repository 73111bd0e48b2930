"""Checks of a dataset before training: its tokenizer, what each conversation trains, its stops."""

from pathlib import Path

import numpy as np

from chat.formats.known import find_format
from chat.tokenizers.tokenizer import tokenizer_sha256
from console.command import shell_quote
from data.tokenized import TokenizedDataset

# Tokens checked at once: they fit into any memory, and numpy does nearly all of the work.
TOKENS = 4_000_000


def check_same_tokenizer(dataset: TokenizedDataset, file: Path) -> None:
    """Raise ValueError unless a dataset was built with the tokenizer in this file."""
    found = tokenizer_sha256(file)
    if dataset.tokenizer_sha256 != found:
        raise ValueError(
            f"{dataset.directory} was built with another tokenizer (sha256 "
            f"{dataset.tokenizer_sha256[:12]}) than the model's ({found[:12]}); rebuild it: "
            f"python scripts/build_dataset.py --source-file F --tokenizer-file {file} "
            f"--save-dir {dataset.directory}"
        )


def check_supervised(dataset: TokenizedDataset) -> None:
    """Raise ValueError for a dataset of pairs, whose rejected replies are not to be learnt."""
    if dataset.group_size > 1:
        directory = shell_quote(dataset.directory)
        raise ValueError(
            f"{dataset.directory} is a dataset of pairs, and supervised training would learn the "
            "rejected replies too; train with a preference: add --preference.beta=0.1, or build "
            "conversations: python scripts/build_dataset.py --source-file F --tokenizer-file F "
            f"--save-dir {directory}"
        )


def check_pairs(dataset: TokenizedDataset) -> None:
    """Raise ValueError for a dataset of conversations, which has no rejected replies."""
    if dataset.group_size == 1:
        directory = shell_quote(dataset.directory)
        raise ValueError(
            f"{dataset.directory} is a dataset of conversations, and preference training takes "
            "pairs; build them: python scripts/build_dataset.py --pairs-file F --tokenizer-file F "
            f"--save-dir {directory}, or add --preference=null"
        )


def check_soundness(dataset: TokenizedDataset) -> None:
    """Raise ValueError when a conversation trains nothing or all, or a turn lacks a trained stop.

    Reads the arrays that batches are made of, a few seconds for a million conversations.
    """
    stops = _stop_ids(dataset)
    whole_texts = dataset.description.get("provenance", {}).get("train_on") == "all"
    for first, tokens, mask, lengths in dataset.pieces(TOKENS):
        ends = np.cumsum(lengths)
        starts = ends - lengths
        trained = np.array(mask)
        # No token of the conversation comes before its first one, so nothing predicts it.
        trained[starts] = False
        silent = ~np.logical_or.reduceat(trained, starts)
        if silent.any():
            _refuse(dataset, first + int(silent.argmax()), "trains nothing")
        if stops:
            full = np.add.reduceat(trained, starts, dtype=np.int64) == lengths - 1
            if full.any() and not whole_texts:
                _refuse(
                    dataset,
                    first + int(full.argmax()),
                    "trains every token, the prompt too, and --train-on all was not given",
                )
            continues = np.append(trained[1:], False)
            continues[ends - 1] = False
            last = np.flatnonzero(trained & ~continues)
            open_ended = last[~np.isin(tokens[last], stops)]
            if len(open_ended):
                place = int(np.searchsorted(ends, open_ended[0], side="right"))
                at = int(open_ended[0] - starts[place])
                _refuse(
                    dataset,
                    first + place,
                    f"has a trained turn without a trained stop token at its end, token {at}",
                )


def _stop_ids(dataset: TokenizedDataset) -> list[int]:
    """Return the format's stop tokens; none where a dataset of bare numbers has no specials."""
    if not dataset.special_tokens:
        return []
    names = find_format(dataset.chat_format).stop_tokens
    return [dataset.special_tokens[name] for name in names]


def _refuse(dataset: TokenizedDataset, index: int, problem: str) -> None:
    raise ValueError(
        f"{dataset.directory}: {dataset.split} conversation {index} "
        f"({dataset.origin(index).id or 'without id'}) {problem}; look at it with: python "
        f"scripts/inspect_dataset.py --dataset-dir {dataset.directory} --split {dataset.split} "
        f"--index {index // dataset.group_size}; then rebuild the dataset with "
        "scripts/build_dataset.py"
    )
