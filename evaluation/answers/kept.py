"""Answers of an earlier run, read from its results: they are used again where all was the same.

What affects the answers are the inputs, kept in the results under `about`. Answers are judged anew.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from chat.formats.known import find_format
from chat.formats.rendering import parse_reply
from evaluation.answers.predictions import read_turns
from evaluation.items import Item
from inference.chat_model import Answer, SkippedItem
from inference.generate import Decoding

Record = Mapping[str, Any]


def read_results(file: Path) -> Record | None:
    """Return the results that a file holds; None for no file, or one that holds none."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return record if isinstance(record["summary"]["about"], dict) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def changed_inputs(record: Record, inputs: Mapping[str, Any]) -> list[str]:
    """Return the names of the inputs that were others in earlier results."""
    was, now = record["summary"]["about"].get("inputs"), json.loads(json.dumps(inputs))
    if not isinstance(was, dict):
        return list(now)
    return [name for name in {**now, **was} if was.get(name) != now.get(name)]


def kept_answers(
    record: Record | None, inputs: Mapping[str, Any], items: Sequence[Item], chat_format: str
) -> list[tuple[int, Answer | SkippedItem]] | None:
    """Return (index, answer) of all items from earlier results.

    None where the answer to an item is missing, or an input was another.
    """
    try:
        if record is None or changed_inputs(record, inputs):
            return None
        found: dict[str, Answer | SkippedItem] = {
            refusal["id"]: SkippedItem(refusal["reason"]) for refusal in record["refused"]
        }
        verdicts = {verdict["id"]: verdict for verdict in record["verdicts"]}
        for item in items:
            if item.id not in found:
                found[item.id] = _answer(verdicts[item.id], item, chat_format)
        return [(index, found[item.id]) for index, item in enumerate(items)]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _answer(verdict: Record, item: Item, chat_format: str) -> Answer:
    text, whole = verdict["text"], not verdict["cut_off"]
    if item.task is not None:
        return read_turns(json.loads(text), verdict["stopped"], whole)
    return Answer(text, parse_reply(text, find_format(chat_format)), whole)


def inputs_of(
    items: Sequence[Item],
    decoding: Decoding,
    chat_format: str,
    tokenizer: Path | str,
    constrain: bool,
    quantization: str | None,
) -> dict[str, Any]:
    """Return the inputs that affect the answers of a model, but for its weights.

    `tokenizer` is a tokenizer's file, or the directory of a model.
    """
    # Left out where nothing is quantised, as in answers that were stored before it was known.
    storage = {} if quantization is None else {"quantization": quantization}
    return storage | {
        "tokenizer": find_format(chat_format).load_tokenizer(tokenizer).sha256,
        "items": _items_sha256(items),
        "chat_format": chat_format,
        "constrain": constrain,
        "max_seq_len": decoding.max_length,
        "max_new_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": decoding.seed,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }


def _items_sha256(items: Sequence[Item]) -> str:
    """Return the sha256 of the ids and of all that is asked."""
    content = hashlib.sha256()
    for item in items:
        asked: list[Any] = [item.id, item.conversation.to_record()]
        if item.task is not None:
            # The first turn alone is in the conversation.
            asked += [dict(item.task.row), {**item.task.added}]
        text = json.dumps(asked, ensure_ascii=False)
        content.update(text.encode("utf-8", "surrogatepass"))
    return content.hexdigest()
