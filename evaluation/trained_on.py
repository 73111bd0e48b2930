"""Was a model trained on the very conversations that it is scored on?"""

from collections.abc import Sequence
from pathlib import Path

from console.command import shell_quote
from data.tokenized import TokenizedDataset
from evaluation.items import Item
from storage.json_file import read_json_object
from weights.merge import MERGE_FILE
from weights.run_directory import PROGRESS_FILE


def trained_on_warning(directory: Path, items: Sequence[Item]) -> str:
    """Return how many items are of conversations that weights were trained on; empty for none.

    `directory` holds a checkpoint, or what one was merged into. It is empty too where the dataset
    is not known, is no longer whole, or was built anew since.
    """
    try:
        dataset = trained_dataset(directory)
        place, trained = shell_quote(dataset.directory), {o.sha256 for o in dataset.origins()}
    except (OSError, ValueError, LookupError, TypeError):
        # A warning is no reason to end what it warns of.
        return ""
    known = sum(item.conversation_id in trained for item in items)
    if not known:
        return ""
    return (
        f"{known:,} of {len(items):,} items are of conversations that these weights were trained "
        f"on ({place}): their figures tell what was learnt by heart; score what was held out with "
        f"--held-out-of {place}"
    )


def trained_dataset(directory: Path) -> TokenizedDataset:
    """Return the training split of the dataset that a checkpoint's settings name.

    `directory` is as in `trained_on_warning`. Raises OSError, ValueError, LookupError or TypeError
    where the dataset is not known, is gone, or was built anew since.
    """
    if (directory / MERGE_FILE).is_file():
        directory = Path(read_json_object(directory / MERGE_FILE)["adapter"]).parent
    settings = read_json_object(directory / "config.json")
    progress = read_json_object(directory / PROGRESS_FILE)
    dataset = TokenizedDataset.open(settings["data"]["dataset_dir"], "train")
    if dataset.fingerprint not in progress["data"]:
        raise ValueError(f"{dataset.directory} was built anew since")
    return dataset
