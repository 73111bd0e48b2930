"""The commands that make the parts of a receipt again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console.command import shell_quote, typed_flags
from receipts.places import Places
from storage.json_file import read_json_object
from training.resuming import CONFIG_FILE
from weights.directory import layout_of, open_weights
from weights.merge import MERGE_FILE

# What build_dataset.py does with what it leaves out, by the name under which it lists it.
_SKIPPED = ("overlong", "untrained")


def base_command(base: Path) -> str:
    """Return the command that makes a base of Meta's download."""
    return (
        "python scripts/convert_from_meta_weights.py --llama3-dir D --output-dir "
        f"{shell_quote(base)}"
    )


def dataset_command(places: Places, description: Mapping[str, Any]) -> str:
    """Return the command that builds the dataset of the files of conversations it was built of."""
    facts = description.get("provenance", {})
    files: Sequence[Mapping[str, Any]] = facts.get("files", [])
    source = "pairs_file" if description.get("group_size", 1) == 2 else "source_file"
    weights = [f"{file['weight']:g}" for file in files]
    skips = any(description.get("rejected", {}).get(name) for name in _SKIPPED)
    flags = {
        source: ",".join(str(file["file"]) for file in files) or "F",
        "tokenizer_file": places.base,
        "save_dir": places.dataset,
        "chat_format": description["chat_format"],
        **{
            name: facts.get(name)
            for name in ("val_ratio", "max_seq_len", "seed", "split_by", "train_on")
        },
        "weights": ",".join(weights) if set(weights) - {"1"} else None,
        "skip_overlong": "true" if skips else None,
    }
    return f"python scripts/build_dataset.py {typed_flags(flags)}"


def training_command(places: Places) -> str:
    """Return the command that trains anew, under another name, with the same settings."""
    alone = places.settings.get("deepspeed_config") is None
    start = "python finetune.py" if alone else "deepspeed --num_gpus=8 ds_finetune.py"
    file = shell_quote(places.checkpoint / CONFIG_FILE)
    return f"{start} --config-file {file} --name=again"


def merge_command(places: Places) -> str:
    """Return the command that merges the checkpoint into its base, as it was merged if it was."""
    flags: dict[str, Any] = {
        "base_ckpt_path": places.base,
        "lora_ckpt_path": places.checkpoint,
        "output_dir": places.merged,
    }
    if (places.merged / MERGE_FILE).is_file():
        flags["target"] = read_json_object(places.merged / MERGE_FILE, as_it_is=True).get("target")
        kept, stored = _dtype(places.base), _dtype(places.merged)
        flags["dtype"] = stored if stored != kept else None
    return f"python scripts/convert_lora_weights.py {typed_flags(flags)}"


def scoring_command(about: Mapping[str, Any]) -> str:
    """Return the command that scores a model as results say they were made."""
    given = {
        name: "true" if value is True else value
        for name, value in about.items()
        if value is not False
    }
    return f"python scripts/evaluate.py {typed_flags(given)}"


def missing_scores_command(places: Places) -> str:
    """Return the command that scores the model on what its dataset held out."""
    flags: dict[str, Any] = {"ckpt_dir": places.checkpoint}
    if (places.merged / MERGE_FILE).is_file():
        flags = {"ckpt_dir": places.merged}
    elif places.is_adapter:
        flags = {"ckpt_dir": places.base, "lora_ckpt_path": places.checkpoint}
    held_out = {"dataset_file": "F", "held_out_of": places.dataset, "output_file": "results.json"}
    return f"python scripts/evaluate.py {typed_flags({**flags, **held_out})}"


def _dtype(directory: Path) -> str | None:
    """Return the dtype of a directory's first weight; None where its weights are not at hand."""
    try:
        ((_, dtype), *_) = layout_of(open_weights(directory)).values()
    except (OSError, ValueError):
        return None
    return str(dtype).removeprefix("torch.")
