"""Named mixtures: how often each behaviour comes, and what else a conversation may bring."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from synthesis.phrasing import FIRST, Frames
from synthesis.wider import WIDER


@dataclass(frozen=True)
class Mixture:
    """What a generated file is made of; chances are from 0 to 1.

    shares: Each behaviour's share; one that is not named does not come.
    fewest_tools, most_tools: How many tools a conversation offers.
    most_at_once: The most calls in one turn.
    most_requests: The most requests of several in a row.
    system: Chance of a system text where no behaviour wants one.
    beside: Chance that a turn with calls says something too.
    casual: Chance that a user writes chat language, with typos.
    background: Chance that a user tells more than is needed.
    alike: Chance that tools on offer resemble the called ones.
    few: Chance that no more than eight tools are offered, as most products have.
    any_question: Whether questions that need no tool are of all kinds; else they ask for sums.
    frames: The sentences around what is asked for.
    """

    shares: Mapping[str, float]
    fewest_tools: int = 1
    most_tools: int = 8
    most_at_once: int = 3
    most_requests: int = 3
    system: float = 0.0
    beside: float = 0.0
    casual: float = 0.0
    background: float = 0.0
    alike: float = 0.0
    few: float = 0.0
    any_question: bool = False
    frames: Frames = FIRST


PLAIN = Mixture(
    {
        "single_call": 0.26,
        "parallel_calls": 0.12,
        "call_sequence": 0.10,
        "missing_argument": 0.12,
        "invalid_value": 0.08,
        "tool_error": 0.08,
        "no_suitable_tool": 0.10,
        "small_talk": 0.06,
        "answer_from_result": 0.08,
    }
)
BROAD = Mixture(
    {
        "single_call": 0.12,
        "parallel_calls": 0.09,
        "call_sequence": 0.07,
        "missing_argument": 0.09,
        "invalid_value": 0.05,
        "tool_error": 0.06,
        "no_suitable_tool": 0.10,
        "small_talk": 0.04,
        "answer_from_result": 0.05,
        "step_by_step": 0.05,
        "several_requests": 0.08,
        "confirm_first": 0.05,
        "limit": 0.04,
        "preset": 0.04,
        "forbidden_tool": 0.04,
        "harmful_request": 0.03,
    },
    fewest_tools=2,
    most_tools=30,
    most_at_once=5,
    system=0.5,
    beside=0.25,
    casual=0.25,
    background=0.2,
    alike=0.5,
    few=0.6,
    any_question=True,
    frames=WIDER,
)
SHORT = Mixture(
    {
        "single_call": 0.12,
        "parallel_calls": 0.04,
        "call_sequence": 0.03,
        "missing_argument": 0.18,
        "invalid_value": 0.02,
        "tool_error": 0.02,
        "no_suitable_tool": 0.11,
        "small_talk": 0.03,
        "answer_from_result": 0.03,
        "several_requests": 0.42,
    },
    most_tools=4,
    most_requests=4,
    casual=0.1,
    any_question=True,
)
MixtureName = Literal["plain", "short", "broad"]
MIXTURES: dict[str, Mixture] = {"plain": PLAIN, "short": SHORT, "broad": BROAD}


def find_mixture(name: str) -> Mixture:
    """Return the mixture of that name; ValueError names the known ones."""
    if name not in MIXTURES:
        raise ValueError(f"--mixture is {name!r}, wanted one of {', '.join(MIXTURES)}")
    return MIXTURES[name]
