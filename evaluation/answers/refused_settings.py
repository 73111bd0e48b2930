"""Which setting of a request a server refuses, as its error says, and what is sent instead.

Reasoning models take max_completion_tokens for max_tokens and no temperature but their own; other
servers lack seed. There is no list of which takes what, so it is learnt from the error.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

# A setting that may be left out, and what takes its place; None for nothing.
INSTEAD: Mapping[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": None,
    "temperature": None,
    "top_p": None,
    "seed": None,
}
_REFUSES = re.compile(
    r"(?i)unsupport|not support|unrecogni[sz]ed|unknown|unexpected|not (?:permitted|allowed)|"
    r"extra (?:input|field)|deprecated"
)


def without_refused(body: Mapping[str, Any], refused: Collection[str]) -> dict[str, Any]:
    """Return a request without the settings that are refused, or with others in their place."""
    found = dict(body)
    for name in INSTEAD:
        if name in refused and name in found:
            value, instead = found.pop(name), INSTEAD[name]
            found |= {instead: value} if instead else {}
    return found


def refused_setting(body: Mapping[str, Any], param: str | None, told: str) -> str | None:
    """Return the setting of a request that an error refuses; None where it says something else.

    `param` is the one that the error names, if it does, and `told` its text.
    """
    if not _REFUSES.search(told):
        return None
    sent = [name for name in INSTEAD if name in body]
    if param in sent:
        return param
    places = {name: found.start() for name in sent if (found := re.search(rf"\b{name}\b", told))}
    return min(places, key=lambda name: places[name], default=None)
