"""Names of tools, parameters and entries as words: due date, of due_date, due-date or dueDate."""

import re

# Where a word begins inside dueDate, userID and HTTPStatus.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def words_of(name: str) -> list[str]:
    """Return the words of a name in small letters."""
    return [word.lower() for word in _parts(name)] or ["value"]


def in_words(name: str) -> str:
    """Return a name as it is said; what is spelt in capitals stays so: user ID, IBAN."""
    said = [word if len(word) > 1 and word.isupper() else word.lower() for word in _parts(name)]
    return " ".join(said) or "value"


def joined_as(name: str, *parts: str) -> str:
    """Return a name made of names, in capitals inside where `name` is so: orderHistory."""
    if "_" in name or "-" in name or not _HUMP.search(name):
        return "_".join(parts)
    first, *rest = parts
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _parts(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", _HUMP.sub("_", name)) if word]
