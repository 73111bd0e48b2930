"""Which chat format a model is spoken to in: the one it was trained in, unless it is told."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS, find_format
from chat.formats.rendering import check_special_tokens
from weights.chat_record import PROPOSED_FORMAT, ChatRecord, proposed_format, read_chat_record

# For `console.flags.check_idle_flags`, in every command that takes both.
FORMAT_FLAGS = {"chat_format_anyway": "chat_format"}


def choose_format(
    given: str | None,
    anyway: bool,
    records: Iterable[ChatRecord | None],
    proposed: str = PROPOSED_FORMAT,
) -> ChatFormat:
    """Return the format a user gave, or else the one that the records of the weights name.

    `records` are those of all weights that are to be spoken to alike; None is one of weights that
    nobody trained, which are spoken to in the `proposed` format. ValueError where weights do not
    know theirs and none is given, or where one that is given differs from a record, unless it is
    to be taken `anyway`.
    """
    known = [record for record in records if record is not None]
    stored = {record.name: record for record in known if record.name is not None}
    if given is not None:
        format = find_format(given)
        for name, record in stored.items():
            if name != format.name and not anyway:
                raise ValueError(
                    f"--chat-format is {given}, and {record.file} says that the model was trained "
                    f"in {name}; leave the flag out, or add --chat-format-anyway"
                )
        return format
    if len(stored) > 1:
        (name, one), (another, other) = list(stored.items())[:2]
        raise ValueError(
            f"{one.file} says {name}, and {other.file} says {another}; choose with --chat-format "
            "and --chat-format-anyway"
        )
    for name, record in stored.items():
        try:
            return find_format(name)
        except ValueError as error:
            raise ValueError(f"{record.file}: {error}") from None
    if known:
        raise ValueError(
            f"{known[0].file.parent} was trained in a chat format that nothing there names; add "
            f"--chat-format with the one of its training ({', '.join(FORMATS)})"
        )
    return find_format(proposed)


def check_format(directory: Path, given: str | None = None) -> None:
    """Raise ValueError where a native model's tokenizer cannot write the format it is spoken to in.

    That is the one that a user gave, or else the model's own; the error names those that fit.
    """
    proposed = proposed_format(directory)
    format = choose_format(given, False, [read_chat_record(directory)], proposed)
    check_special_tokens(format, format.load_tokenizer(directory))


def missing_flag(directory: Path) -> str:
    """Return what a command must add for weights that do not know their chat format, else nothing.

    The name is left to the user, as ` --chat-format NAME`.
    """
    record = read_chat_record(directory)
    return " --chat-format NAME" if record is not None and record.name is None else ""


def format_flags(
    name: str, record: ChatRecord | None, proposed: str = PROPOSED_FORMAT
) -> dict[str, Any]:
    """Return the flags with which a command speaks in this format to weights of that record."""
    if name == (proposed if record is None else record.name):
        return {}
    if record is None or record.name is None:
        return {"chat_format": name}
    return {"chat_format": name, "chat_format_anyway": True}
