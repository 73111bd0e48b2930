"""The commands that train on a dataset, as building and inspecting it print them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.command import shell_quote
from model.config import PARAMS_FILE
from weights.chat_record import read_chat_record
from weights.shard_names import shard_file


def training_commands(dataset_dir: Path | str, description: Mapping[str, Any]) -> list[str]:
    """Return the commands that train, on a dataset, the model whose tokenizer built it.

    `description` is what its dataset.json says. Where that names no tokenizer, or no model lies
    beside it, they name no model. Meta's shards are converted first.
    """
    before = []
    words = ["python finetune.py", f"--data.dataset_dir={shell_quote(dataset_dir)}"]
    if description.get("group_size", 1) > 1:
        words.append("--preference.beta=0.1")
    if not description.get("tokenizer_file"):
        return [" ".join(words)]
    tokenizer = Path(description["tokenizer_file"])
    model = tokenizer if tokenizer.is_dir() else tokenizer.parent
    if (model / shard_file(0)).is_file():
        shards, model = model, model.with_name(f"{model.name}-native")
        if not model.exists():
            before.append(
                f"python scripts/convert_from_meta_weights.py --llama3-dir {shell_quote(shards)} "
                f"--output-dir {shell_quote(model)}"
            )
    if before or (model / PARAMS_FILE).is_file():
        words.append(f"--model.checkpoint_dir={shell_quote(model)}")
    record = read_chat_record(model)
    if record is not None and record.name not in (None, description["chat_format"]):
        words.append("--data.chat_format_anyway=true")
    return [*before, " ".join(words)]
