"""What a row says of itself: this turn is not to be learnt, this whole row is a bad example.

Turns: OpenAI's and Mistral's `weight`, `loss` of ms-swift, `train` and `training` of axolotl, and
`trained` of our own rows. Rows: `label` of unpaired preferences, `reward` of recorded trials,
`win` of ToolBench, `kto_tag` of LLaMA-Factory.
"""

from collections.abc import Mapping
from typing import Any

from data.outcomes import Rejected, excerpt_of, pointer

_OF_ROWS = frozenset(("label", "reward", "win", "kto_tag"))
_OF_TURNS = ("trained", "weight", "loss", "train", "training")


def is_trained(turn: Mapping[str, Any]) -> bool:
    """Return whether a turn is to be learnt, as far as its row says."""
    return not any(_is_no(turn[key]) for key in _OF_TURNS if key in turn)


def label_of(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key of a turn that is not to be learnt, for a turn that is made of it."""
    return {} if is_trained(turn) else {"trained": False}


def negative_mark(row: Any) -> Rejected | None:
    """Return why a raw row is an example of what not to do; None where it does not say so.

    A number as `label` may be a class of any kind; a `reward` of 0 or less is no success.
    """
    if not isinstance(row, dict) or _OF_ROWS.isdisjoint(row):
        return None
    label: Any = row.get("label")
    reward: Any = row.get("reward")
    says = {
        "label": label is False or (isinstance(label, str) and label.lower() == "false"),
        "reward": _is_no(reward) or (_is_number(reward) and reward <= 0),
        "win": _is_no(row.get("win")),
        "kto_tag": row.get("kto_tag") is False,
    }
    key = next((key for key, is_so in says.items() if is_so), None)
    if key is None:
        return None
    reason = f"{key} is {row[key]!r}: what the row does is not to be learnt"
    return Rejected("negative", pointer(key), reason, excerpt_of(row))


def _is_no(value: Any) -> bool:
    """Whether a value says no: false or 0, also as text."""
    if isinstance(value, str):
        return value.strip().lower() in ("false", "0", "0.0")
    return value is False or (_is_number(value) and value == 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
