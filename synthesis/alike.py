"""Tools that resemble another one and do something else: what a model has to tell apart."""

from collections.abc import Mapping
from typing import Any

from chat.conversation import Tool
from synthesis.dice import Dice
from synthesis.names import joined_as

_TEXT = {"type": "string"}
_JOB = {"job_id": {"type": "string", "description": "Number of the earlier job."}}
# Where the name goes, what it does, and its own parameters; None stands for the tool's own.
VARIANTS: tuple[tuple[tuple[str, str], str, Mapping[str, Any] | None], ...] = (
    (("{}", "history"), "List when {} was used before, and by whom.", {"since": _TEXT}),
    (("{}", "status"), "Tell how far an earlier job of {} is that runs in the background.", _JOB),
    (("undo", "{}"), "Take back an earlier {} by the number of its job.", _JOB),
    (("approve", "{}"), "For supervisors only: approve a {} that waits for approval.", _JOB),
    (("simulate", "{}"), "Dry run of {} for developers: checks the arguments, does nothing.", None),
    (("{}", "template"), "Save a label under which arguments of {} are kept.", {"label": _TEXT}),
    (("{}", "permissions"), "Tell which groups of the company may use {}.", {}),
    (("{}", "help"), "Show the manual page of {} in a language.", {"language": _TEXT}),
)


def alike(tool: Tool, dice: Dice, count: int) -> list[Tool]:
    """Return tools whose names and texts resemble the tool's and whose purposes do not."""
    return [_variant(tool, *variant) for variant in dice.sample(VARIANTS, count)]


def _variant(
    tool: Tool, name: tuple[str, str], about: str, properties: Mapping[str, Any] | None
) -> Tool:
    named = joined_as(tool.name, *(part.format(tool.name) for part in name))
    if properties is None:
        return Tool(named, about.format(tool.name), tool.parameters)
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return Tool(named, about.format(tool.name), schema)
