"""What a tool is for, in words that stand inside a sentence."""

import re

from synthesis.declaration import SyntheticTool
from synthesis.pools import listed

# First words of the names of tools that change something.
CHANGING = frozenset(
    listed(
        "add apply approve assign block book borrow buy call cancel change close create delete "
        "disable enable feed file hire invite join leave lock log make merge mow move open order "
        "pay play post publish put refund remove rename rent reserve reset return run schedule "
        "send set share skip start stop submit switch transfer turn unlock update upload use "
        "visit water write"
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


def is_changing(tool: SyntheticTool) -> bool:
    """Return whether a tool's name says that it changes something."""
    first = re.match(r"[A-Z]?[a-z]+", tool.name)
    return first is not None and first[0].lower() in CHANGING


def purpose(tool: SyntheticTool) -> str:
    """Return what a tool does as an imperative: 'order a taxi'."""
    about = harmless(re.split(r"[;:]|\. ", tool.tool.description)[0])
    for user, you in _SPOKEN_TO:
        about = about.replace(user, you)
    words = harmless(re.sub(r"[_.-]", " ", tool.name))
    return imperative(about) if 0 < len(about) <= MOST_LETTERS else f"use {words}"


def harmless(text: str) -> str:
    """Leave out what is special in templates."""
    return " ".join(re.split(r"[()\[\]{}|.?!\n]", text)[0].split())


def imperative(sentence: str) -> str:
    """Turn 'Gets the status' into 'get the status'."""
    first, _, rest = sentence.partition(" ")
    verb = first[:1].lower() + first[1:]
    if re.fullmatch(r"[a-z]+(ch|sh|ss|x|zz)es", verb):
        verb = verb[:-2]
    elif re.fullmatch(r"[a-z]+[^aeiou]ies", verb):
        verb = verb[:-3] + "y"
    elif re.fullmatch(r"[a-z]+[^s]s", verb):
        verb = verb[:-1]
    return f"{verb} {rest}".strip()
