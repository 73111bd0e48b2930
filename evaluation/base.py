"""The base that a model is compared with: results of an earlier run, or scored for it."""

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.items import Item
from evaluation.judging import Outputs
from evaluation.regression import Against
from evaluation.results import Results

# Flags that are said of the model to be scored, and not of its base.
_OF_THE_MODEL = ("lora_ckpt_path", "tokenizer_path", "endpoint", "model", "predictions", "against")


def find_base(
    flags: Mapping[str, Any],
    items: Sequence[Item],
    score: Callable[[dict[str, Any], Outputs], Results],
) -> Against:
    """Return the base that the flag `against` names: a file of results, or a model's directory.

    `score` judges a model by flags of its own, on the same items and text; the base's results are
    written beside those of the model. ValueError for a file of results on other items.
    """
    base = Path(flags["against"]).expanduser()
    if not base.exists():
        raise FileNotFoundError(
            f"--against {base} does not exist; wanted a native model directory, or what "
            "scripts/evaluate.py --output-file wrote"
        )
    if base.is_file() and base.suffix != ".safetensors":
        found = Against.read(base)
        found.check(items)
        return found
    own = {**flags, **dict.fromkeys(_OF_THE_MODEL), "ckpt_dir": str(base)}
    if flags["ckpt_dir"] and base == Path(flags["ckpt_dir"]).expanduser():
        own["tokenizer_path"] = flags["tokenizer_path"]
    kept = None
    if flags["output_file"]:
        output = Path(flags["output_file"])
        kept = output.with_name(f"{output.stem}.base.json")
    record = score(own, Outputs(kept, title="Base")).to_record()
    # Memory may not hold two whole models.
    gc.collect()
    return Against(str(base), record)
