"""What a round learns from the failures of the one before: the quotas of its generation."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from evaluation.behaviours import ASK_FIRST
from evaluation.failures import BROKEN, COULD_CALL, failure_type, read_verdicts

# This share of a round follows the failures; the rest are all behaviours, so that none is lost.
FROM_FAILURES = 0.5


def shares_for(results_file: Path, shares: Mapping[str, float]) -> dict[str, float]:
    """Return the next round's shares of behaviours: `shares`, moved towards what failed.

    A behaviour is taught more the more of its prompts failed. Where the model gave text though it
    could call, that is a plain call, and not the conversation in which it learns to ask. A
    behaviour that `shares` has none of stays at none.
    """
    counts = Counter(
        behaviour
        for verdict in read_verdicts(results_file)
        if (type := failure_type(verdict)) is not None
        and shares.get(behaviour := _teaches(type, str(verdict["id"])), 0)
    )
    failed, whole = counts.total(), sum(shares.values())
    if not failed:
        return dict(shares)
    return {
        name: (1 - FROM_FAILURES) * share / whole + FROM_FAILURES * counts[name] / failed
        for name, share in shares.items()
    }


def _teaches(type: str, id: str) -> str:
    """Return the behaviour that teaches what failed; ids are synthetic-BEHAVIOUR-NUMBER/TURN."""
    behaviour = id.split("-")[1]
    gave_text = type in (COULD_CALL, BROKEN)
    return "single_call" if gave_text and behaviour in ASK_FIRST else behaviour
