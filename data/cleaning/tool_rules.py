"""Rules about the tools a conversation declares."""

import re
from dataclasses import replace

from chat.conversation import Conversation, Tool
from chat.schemas.validation import schema_problem
from data.outcomes import Change, Draft, Rejected, excerpt_of, pointer

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def distinct_tools(conversation: Conversation) -> Draft:
    """Drop a tool that is declared again; reject another tool of the same name."""
    kept: dict[str, Tool] = {}
    changes = []
    for i, tool in enumerate(conversation.tools):
        if tool.name not in kept:
            kept[tool.name] = tool
            continue
        record = tool.to_record()
        where = pointer("tools", i)
        if kept[tool.name] != tool:
            reason = f"{tool.name} is declared with different definitions"
            raise Rejected("conflicting-tools", where, reason, excerpt_of(record))
        changes.append(Change("repeated-tool", where, record, None))
    if not changes:
        return Draft(conversation)
    return Draft(replace(conversation, tools=tuple(kept.values())), tuple(changes))


def usable_tools(conversation: Conversation) -> Draft:
    """Reject a tool whose name cannot be written on a line, or whose schema checks no call.

    Names with dots, spaces or other signs are names: they stay as they are.
    """
    for i, tool in enumerate(conversation.tools):
        where = f"/tools/{i}/function"
        if _UNPRINTABLE.search(tool.name):
            reason = f"the name {tool.name!r} holds control characters"
            raise Rejected("unusable-name", where + "/name", reason, excerpt_of(tool.name))
        if problem := schema_problem(tool):
            excerpt = excerpt_of(tool.parameters)
            rule = "costly-schema" if problem.rule == "costly" else "invalid-schema"
            raise Rejected(rule, where + "/parameters", problem.message, excerpt)
    return Draft(conversation)
