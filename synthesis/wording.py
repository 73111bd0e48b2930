"""What a tool is for, in words that stand inside a sentence."""

import re

from chat.conversation import Tool
from synthesis.declaration import SyntheticTool
from synthesis.grammar import parted
from synthesis.names import in_words
from synthesis.pools import listed

# First words of the names of tools that change something.
CHANGING = frozenset(
    listed(
        "add apply approve archive assign attach block book borrow buy call cancel change clear "
        "close create delete disable edit enable feed file give grant hire insert install invite "
        "join leave lock log make mark merge mow move note notify open order pay plant play post "
        "print publish put record refund register remove rename rent reply reserve reset return "
        "ring run save schedule send set share skip start stop submit switch transfer turn unlock "
        "update upload use visit water write"
    )
)


# A longer description is no part of a sentence.
MOST_LETTERS = 70
# A description speaks of the user, a reply to the user.
_SPOKEN_TO = (
    ("the user's", "your"),
    ("the user has", "you have"),
    ("the user is", "you are"),
    ("the user", "you"),
)


_IRREGULAR = {"does": "do", "goes": "go", "has": "have", "undoes": "undo"}


def is_changing(tool: SyntheticTool | Tool) -> bool:
    """Return whether a tool's name says that it changes something."""
    first = re.match(r"[A-Z]?[a-z]+", tool.name)
    return first is not None and first[0].lower() in CHANGING


def purpose(tool: SyntheticTool) -> str:
    """Return what a tool does as an imperative: 'order a taxi'."""
    about = harmless(re.split(r"[;:]|\. ", tool.tool.description)[0])
    for user, you in _SPOKEN_TO:
        about = about.replace(user, you)
    words = harmless(in_words(tool.name))
    return imperative(about) if 0 < len(about) <= MOST_LETTERS else f"use {words}"


def to_user(request: str) -> str:
    """Turn a user's words into an assistant's: for me into for you; marked values stay."""
    pieces = [
        piece if is_value else re.sub(r"\bme\b", "you", re.sub(r"\bmy\b", "your", piece))
        for piece, is_value in parted(request)
    ]
    return "".join(pieces)


def harmless(text: str) -> str:
    """Leave out what is special in templates."""
    return " ".join(re.split(r"[()\[\]{}|.?!\n]", text)[0].split())


def imperative(sentence: str) -> str:
    """Turn 'Gets the status' into 'get the status'."""
    first, _, rest = sentence.partition(" ")
    verb = first if first.isupper() else first[:1].lower() + first[1:]
    if verb in _IRREGULAR:
        verb = _IRREGULAR[verb]
    elif re.fullmatch(r"[a-z]+(ch|sh|ss|x|zz)es", verb):
        verb = verb[:-2]
    elif re.fullmatch(r"[a-z]+[^aeiou]ies", verb):
        verb = verb[:-3] + "y"
    elif re.fullmatch(r"[a-z]+[^s]s", verb):
        verb = verb[:-1]
    return f"{verb} {rest}".strip()
