"""Was a model trained on the very conversations that it is scored on?"""

from collections.abc import Sequence
from pathlib import Path

from console.command import shell_quote
from data.split_files import SPLITS
from data.tokenized import TokenizedDataset
from evaluation.items import Item
from storage.json_file import read_json_object
from weights.merge import MERGE_FILE
from weights.run_directory import PROGRESS_FILE


class BuiltAnew(ValueError):
    """A dataset is not the one any more that weights were trained on; `directory` has it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} was built anew since")
        self.directory = directory


def trained_on_warning(directory: Path, items: Sequence[Item]) -> str:
    """Return how many items are of conversations that weights were trained on; empty for none.

    `directory` holds a checkpoint, or what one was merged into. Of a dataset that was built anew
    since, any conversation may have been trained. It is empty too where the dataset is not known,
    or no longer whole.
    """
    try:
        return _trained(trained_dataset(directory), items)
    except BuiltAnew as anew:
        return _built_anew(anew.directory, items)
    except (OSError, ValueError, LookupError, TypeError):
        # A warning is no reason to end what it warns of.
        return ""


def _trained(dataset: TokenizedDataset, items: Sequence[Item]) -> str:
    place, known = shell_quote(dataset.directory), _among(items, dataset)
    if not known:
        return ""
    return (
        f"{known:,} of {len(items):,} items are of conversations that these weights were trained "
        f"on ({place}): their figures tell what was learnt by heart; score what was held out with "
        f"--held-out-of {place}"
    )


def _built_anew(directory: Path, items: Sequence[Item]) -> str:
    try:
        known = sum(_among(items, TokenizedDataset.open(directory, name)) for name in SPLITS)
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    if not known:
        return ""
    return (
        f"{known:,} of {len(items):,} items are of {shell_quote(directory)}, which was built anew "
        "since these weights were trained: what it holds out now may be what they have learnt; "
        "train on it as it is, or build it again with the flags of then"
    )


def _among(items: Sequence[Item], dataset: TokenizedDataset) -> int:
    """Return how many items are of conversations of a split."""
    held = {origin.sha256 for origin in dataset.origins()}
    return sum(item.conversation_id in held for item in items)


def trained_dataset(directory: Path) -> TokenizedDataset:
    """Return the training split of the dataset that a checkpoint's settings name.

    `directory` is as in `trained_on_warning`. Raises OSError, ValueError, LookupError or TypeError
    where the dataset is not known or is gone, and BuiltAnew where it was built anew since.
    """
    if (directory / MERGE_FILE).is_file():
        directory = Path(read_json_object(directory / MERGE_FILE)["adapter"]).parent
    settings = read_json_object(directory / "config.json")
    progress = read_json_object(directory / PROGRESS_FILE)
    dataset = TokenizedDataset.open(settings["data"]["dataset_dir"], "train")
    if dataset.fingerprint not in progress["data"]:
        raise BuiltAnew(dataset.directory)
    return dataset
