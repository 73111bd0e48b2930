"""Pairs of replies as JSON Lines: a prompt, the reply to prefer and the one to avoid.

One pair is one JSON object a line:
`{"id", "source", "sha256", "tools", "messages", "chosen", "rejected", "kind", "made_by"}`
where `messages` end with the turn of a user or a tool that both replies answer, and `chosen` and
`rejected` are one assistant's message each, as in canonical conversations.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chat.conversation import Conversation, Message, to_json, to_sorted_json
from chat.schemas.validation import schema_problem, validate_arguments
from console.command import shell_quote
from data.conversations import content_sha256, named
from data.reading.rows import RawRow
from storage.atomic import new_file

# The kind of a pair of which nobody said what is wrong with the rejected reply.
USER = "user"
SIDES = ("chosen", "rejected")
_SHOWN = 60


class UnusablePair(ValueError):
    """A pair that nothing can be learnt from: the rule that says so, and why."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


# What each rule of UnusablePair says.
RULES = {
    "no-layout": "the row holds no two replies in a known layout",
    "no-prompt": "there is no turn of a user or a tool that the replies answer",
    "no-reply": "a side is no assistant's message, or the chosen one is empty",
    "equal-sides": "chosen and rejected say and call the same",
    "unfit-call": "the chosen reply, or an earlier turn, calls what the tools do not allow",
    "unusable-tool": "the schema of a tool cannot check a call, or two tools share a name",
}


@dataclass(frozen=True)
class ReplyPair:
    """Two replies to one prompt; `prompt` has the id, source and sha256 of the pair.

    kind: What is wrong with the rejected reply, one of evaluation.failures.TYPES, or USER.
    made_by: What made the pair, and with which settings.
    """

    prompt: Conversation
    chosen: Message
    rejected: Message
    kind: str = USER
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of the pair."""
        return self.prompt.id

    @property
    def prompt_sha256(self) -> str:
        """The sha256 of what is said and declared before the replies, whatever its origin."""
        return content_sha256(replace(self.prompt, messages=not_learnt(self.prompt.messages)))

    @property
    def sides(self) -> tuple[Conversation, Conversation]:
        """The prompt with the chosen, and with the rejected reply; only the reply is learnt."""
        asked = not_learnt(self.prompt.messages)
        return (
            replace(self.prompt, messages=(*asked, replace(self.chosen, trained=True))),
            replace(self.prompt, messages=(*asked, replace(self.rejected, trained=True))),
        )

    @property
    def line(self) -> str:
        """The pair as one line of JSON, its end included; ValueError for NaN and Infinity."""
        return to_json(self.to_record()) + "\n"

    def to_record(self) -> dict[str, Any]:
        """Return the JSON object of this pair."""
        record = self.prompt.to_record()
        sides = {"chosen": self.chosen.to_record(), "rejected": self.rejected.to_record()}
        return {**record, **sides, "kind": self.kind, "made_by": dict(self.made_by)}

    @staticmethod
    def from_record(record: Any) -> "ReplyPair":
        """Read the JSON object of a pair and check it; UnusablePair says what is wrong."""
        if not isinstance(record, Mapping) or not all(side in record for side in SIDES):
            found = f"the keys {', '.join(record)}" if isinstance(record, Mapping) else record
            shown = str(found)[:_SHOWN]
            raise UnusablePair("no-layout", f"wanted messages, chosen and rejected, found {shown}")
        made_by = record.get("made_by", {})
        kind = record.get("kind", USER)
        if not isinstance(kind, str) or not isinstance(made_by, Mapping):
            raise UnusablePair("no-layout", "kind must be a text, and made_by an object")
        try:
            prompt = Conversation.from_record({"messages": [], **record})
            chosen, rejected = (read_reply(record, side) for side in SIDES)
            pair = ReplyPair(prompt, chosen, rejected, kind, made_by)
            check_pair(pair)
            pair.line.encode()
        except UnusablePair:
            raise
        except (ValueError, RecursionError) as error:
            raise UnusablePair("no-layout", str(error)) from None
        return pair


def not_learnt(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return messages of which none is learnt."""
    return tuple(
        replace(message, trained=False) if message.role == "assistant" else message
        for message in messages
    )


def read_reply(record: Mapping[str, Any], side: str) -> Message:
    """Read the assistant's message under a key; UnusablePair says what is wrong with it."""
    value = record.get(side)
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise UnusablePair("no-layout", f"{side} must be one message, an object, found {kind}")
    try:
        return Conversation.from_record({"messages": [value]}).messages[0]
    except ValueError as error:
        raise UnusablePair("no-reply", str(error).replace("messages[0]", side, 1)) from None


def check_pair(pair: ReplyPair) -> None:
    """Raise UnusablePair where nothing can be learnt from a pair."""
    _check_prompt(pair.prompt)
    for side, reply in zip(SIDES, (pair.chosen, pair.rejected), strict=True):
        if reply.role != "assistant":
            reason = f"{side} is a turn of role {reply.role!r}, wanted an assistant's"
            raise UnusablePair("no-reply", reason)
    if not pair.chosen.content.strip() and not pair.chosen.tool_calls:
        raise UnusablePair("no-reply", "chosen is empty: it has no text and no call")
    if said(pair.chosen) == said(pair.rejected):
        shown = to_json(pair.chosen.to_record())[:_SHOWN]
        raise UnusablePair("equal-sides", f"chosen and rejected are the same reply, {shown}")
    _check_calls("chosen", pair.chosen, pair.prompt, whole=True)


def said(reply: Message) -> tuple[str, list[tuple[str, str]]]:
    """Return what a reply says and calls: equal where ids, spaces or an order alone differ."""
    calls = sorted((call.name, to_sorted_json(dict(call.arguments))) for call in reply.tool_calls)
    return reply.content.strip(), calls


def _check_prompt(prompt: Conversation) -> None:
    last = prompt.messages[-1].role if prompt.messages else "nothing"
    if last not in ("user", "tool"):
        reason = f"messages end with {last}, wanted a turn of a user or a tool to be answered"
        raise UnusablePair("no-prompt", reason)
    for name, count in Counter(tool.name for tool in prompt.tools).items():
        if count > 1:
            raise UnusablePair("unusable-tool", f"{count} tools have the name {name}")
    for tool in prompt.tools:
        if problem := schema_problem(tool):
            raise UnusablePair("unusable-tool", problem.message)
    for place, message in enumerate(prompt.messages):
        _check_calls(f"messages[{place}]", message, prompt, whole=False)


def _check_calls(where: str, message: Message, prompt: Conversation, whole: bool) -> None:
    """Raise UnusablePair for a call of no offered tool, or as a `whole` with wrong arguments."""
    offered = {tool.name: tool for tool in prompt.tools}
    for call in message.tool_calls:
        if call.name not in offered:
            known = ", ".join(offered) or "none"
            reason = f"{where} calls {call.name}, which is no offered tool (there is {known})"
            raise UnusablePair("unfit-call", reason[:300])
        problems = validate_arguments(offered[call.name], call.arguments) if whole else []
        if problems:
            reason = f"{where} calls {call.name}{problems[0].pointer}: {problems[0].message}"
            raise UnusablePair("unfit-call", reason)


def read_pair(row: RawRow, path: Path) -> ReplyPair:
    """Read the pair of one row of `path`; one without id, source or sha256 is given them."""
    try:
        found = ReplyPair.from_record(row.value)
    except UnusablePair as error:
        raise ValueError(
            f"{path}: row {row.index} ({row.place}) is no pair: {error}; bring other layouts into "
            "this form, and leave out what cannot be used, with: python scripts/make_pairs.py "
            f"--from user --source-file {shell_quote(path)} --save-file F"
        ) from error
    return replace(found, prompt=named(found.prompt, row, path))


def read_prompt(row: RawRow, path: Path) -> Conversation:
    """Read the prompt of the pair of one row of `path`."""
    return read_pair(row, path).prompt


def write_pairs(path: Path | str, pairs: Iterable[ReplyPair]) -> int:
    """Write pairs as JSON Lines and return how many there were."""
    count = 0
    with new_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        for pair in pairs:
            stream.write(pair.line)
            count += 1
    return count
