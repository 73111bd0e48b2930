"""Was a model trained on the very conversations that it is scored on?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from console.command import shell_quote
from data.tokenized import TokenizedDataset
from evaluation.items import Item
from weights.merge import MERGE_FILE
from weights.run_directory import PROGRESS_FILE


def trained_on_warning(directory: Path, items: Sequence[Item]) -> str:
    """Return how many items are of conversations that weights were trained on; empty for none.

    `directory` holds a checkpoint, or what one was merged into. It is empty too where the dataset
    is not known, is no longer there, or was built anew since.
    """
    dataset = _dataset(directory)
    if dataset is None:
        return ""
    trained = {origin.sha256 for origin in dataset.origins()}
    known = sum(item.conversation_id in trained for item in items)
    if not known:
        return ""
    place = shell_quote(dataset.directory)
    return (
        f"{known:,} of {len(items):,} items are of conversations that these weights were trained "
        f"on ({place}): their figures tell what was learnt by heart; score what was held out with "
        f"--held-out-of {place}"
    )


def _dataset(directory: Path) -> TokenizedDataset | None:
    """Return the training split of the dataset that a checkpoint's settings name."""
    try:
        if (directory / MERGE_FILE).is_file():
            directory = Path(_read(directory / MERGE_FILE)["adapter"]).parent
        settings, progress = _read(directory / "config.json"), _read(directory / PROGRESS_FILE)
        dataset = TokenizedDataset.open(settings["data"]["dataset_dir"], "train")
        return dataset if dataset.fingerprint in progress["data"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
