"""The base that a model is compared with: results of an earlier run, or scored for it."""

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.plain_text import Text
from evaluation.answers.kept import changed_inputs, inputs_of, kept_answers, read_results
from evaluation.items import Item
from evaluation.judging import Outputs, judge_all
from evaluation.plain_text import TextScore
from evaluation.regression import Against
from evaluation.results import Results
from evaluation.subject import (
    decoding_of,
    model_source,
    score_subject,
    settings_of,
    spoken_format,
)
from weights.directory import hash_weights, weights_file

# Flags that are said of the model to be scored, and not of its base.
_OF_THE_MODEL = ("lora_ckpt_path", "tokenizer_path", "endpoint", "model", "predictions", "against")


def find_base(
    flags: Mapping[str, Any],
    items: Sequence[Item],
    text: Text | None,
    tell: Callable[[str], None] = print,
) -> Against:
    """Return the base that the flag `against` names: a file of results, or a model's directory.

    A directory is scored on the same items and text, with its results beside those of the model;
    where they lie there already from the same inputs, they are used again. `tell` is called with
    which it is. ValueError for a file of results on other items.
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
    own["chat_format"] = spoken_format(own)
    record = _scored_base(own, items, text, tell).to_record()
    # Memory may not hold two whole models.
    gc.collect()
    return Against(str(base), record)


def _scored_base(
    flags: Mapping[str, Any],
    items: Sequence[Item],
    text: Text | None,
    tell: Callable[[str], None],
) -> Results:
    """Return the results of the base, whose flags these are."""
    if not flags["output_file"]:
        return score_subject(items, text, flags, Outputs(title="Base"))
    output = Path(flags["output_file"]).expanduser()
    file = output.with_name(f"{output.stem}.base.json")
    inputs = _inputs(flags, items, text)
    flags = {**flags, "inputs": inputs}
    outputs, earlier = Outputs(file, title="Base"), read_results(file)
    answers = kept_answers(earlier, inputs, items, flags["chat_format"])
    if earlier is None or answers is None:
        if earlier is not None:
            changed = ", ".join(changed_inputs(earlier, inputs))
            why = f"was made with another {changed}" if changed else "is not whole"
            tell(f"{file} {why}: the base is scored anew")
        return score_subject(items, text, flags, outputs)
    tell(f"{file} has the base's results already: they are used again")
    score = TextScore.from_record(earlier["plain_text"]) if text else None
    return judge_all(items, iter(answers), settings_of(flags), outputs, score)


def _inputs(flags: Mapping[str, Any], items: Sequence[Item], text: Text | None) -> dict[str, Any]:
    """Return what affects the results of the base."""
    weights = weights_file(flags["ckpt_dir"])
    found = inputs_of(
        items,
        decoding_of(flags),
        flags["chat_format"],
        flags["tokenizer_path"] or weights.parent,
        flags["constrain"],
        model_source(flags).storage(),
    )
    windows = None if text is None else [text.sha256, [len(part) for part in text.windows]]
    return found | {"base": hash_weights(weights), "text": windows}
