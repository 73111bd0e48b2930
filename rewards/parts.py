"""What a reply is worth, in parts: each is a number about the calls, the text or the results.

Which parts count for a prompt follows from what is wanted of it and never from the reply: a reply
that leaves out what a part judges earns 0 there, and cannot make the part go away.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.scoring.calls import Verdict

OF_CALLS = ("exact_match", "name", "argument_precision", "argument_recall", "valid_schema")
_WORD = re.compile(r"\w+")

Result = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a reply, or of an episode.

    calls: Whether calls are wanted.
    text: The recorded text that ends it; empty where there is none to compare with.
    results: The name of the tool and the result of each wanted call that does not fail; None where
        tools do not run.
    """

    calls: bool
    text: str = ""
    results: tuple[Result, ...] | None = None


@dataclass(frozen=True)
class Said:
    """What a model said and did.

    verdict: The scorer's, on the calls that count; `fits` is whether all calls fit their schemas.
    text: The text that ends it.
    results: As in `Wanted`, of the calls it made.
    whole: Whether it came to its end; what a limit cut off earns nothing.
    """

    verdict: Verdict
    fits: bool
    text: str = ""
    results: tuple[Result, ...] = ()
    whole: bool = True


def parts_of(wanted: Wanted) -> tuple[str, ...]:
    """Return the parts that can be judged where this is wanted, the user's function left out."""
    reached = ("reached",) if wanted.results else ()
    words = ("words",) if _WORD.search(wanted.text) else ()
    return (*(OF_CALLS if wanted.calls else ("irrelevance",)), *words, *reached)


def judge_parts(wanted: Wanted, said: Said) -> dict[str, float]:
    """Return the value of each part that can be judged, from 0 to 1."""
    values = _values(wanted, said)
    return {name: values[name] if said.whole else 0.0 for name in parts_of(wanted)}


def reward(parts: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the mean of the parts by their weights; ValueError where none of them has one."""
    total = sum(weights.get(name, 0.0) for name in parts)
    if not total:
        raise ValueError(f"none of the parts {', '.join(parts)} has a weight")
    return sum(weights.get(name, 0.0) * value for name, value in parts.items()) / total


def _values(wanted: Wanted, said: Said) -> dict[str, float]:
    verdict = said.verdict
    named = float(bool(verdict.names_right))
    found, right, asked = (
        verdict.arguments_found,
        verdict.arguments_right,
        verdict.arguments_wanted,
    )
    # A text after calls is worth nothing where the calls were not made.
    told = float(verdict.called == verdict.should_call) * shared_words(wanted.text, said.text)
    return {
        "exact_match": float(bool(verdict.exact_match)),
        "name": named,
        # Of calls without arguments the tools alone decide; no call at all has none that is right.
        "argument_precision": right / found if found else named * (not asked),
        "argument_recall": right / asked if asked else named,
        "valid_schema": float(said.fits),
        "irrelevance": float(verdict.correct),
        "words": told,
        "reached": reached(wanted.results or (), said.results),
    }


def shared_words(wanted: str, found: str) -> float:
    """Return the F1 of the words of two texts, whatever their case and order."""
    one, other = (Counter(_WORD.findall(text.lower())) for text in (wanted, found))
    both = (one & other).total()
    return 2 * both / (one.total() + other.total()) if both else 0.0


def reached(wanted: Sequence[Result], found: Sequence[Result]) -> float:
    """Return the results that are both wanted and found, over the more numerous of the two.

    So every needless call that works lowers it, as every missing one does.
    """
    one, other = Counter(wanted), Counter(found)
    most = max(one.total(), other.total())
    return (one & other).total() / most if most else 0.0
