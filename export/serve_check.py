"""The serve check: replies as a chat format writes them, read by the rules of servers' parsers."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from chat.conversation import Message
from chat.formats.format import ChatFormat
from chat.formats.rendering import parse_reply, written_reply
from export.derived import derived_losses
from export.parsers import Reading, read_as
from export.response_templates import OPENINGS, read_by_template, response_template
from export.servers import (
    BLANK_AFTER,
    DERIVED_PARSER,
    LOST_WHEN_STREAMED,
    LOST_WITHOUT_TOKENS,
    PARSER_FLAGS,
    PARSERS,
    PLUGIN_PARSER,
    TEMPLATE_PARSERS,
    TITLES,
    row_name,
)
from export.shapes import SHAPES, TOOLS

_TOOL_NAMES = frozenset(tool.name for tool in TOOLS)


@dataclass(frozen=True)
class Outcome:
    """Which shapes of replies the parser of a server reads and which it loses, by their names.

    `streamed_lost` are those that it reads as a whole and loses when the reply is streamed.
    """

    server: str
    parser: str
    read: tuple[str, ...]
    lost: tuple[str, ...]
    streamed_lost: tuple[str, ...]

    @property
    def losses(self) -> int:
        """How many shapes this parser loses, whole or streamed."""
        return len(self.lost) + len(self.streamed_lost)


@dataclass(frozen=True)
class ServeCheck:
    """The outcomes of a chat format; `unwritable` are the shapes that the format cannot write."""

    format_name: str
    outcomes: tuple[Outcome, ...]
    unwritable: tuple[str, ...]

    @property
    def has_calls(self) -> bool:
        """Whether the format can write any call."""
        return any(name not in self.unwritable for name, turn in SHAPES if turn.tool_calls)

    def of(self, server: str) -> tuple[Outcome, ...]:
        """Return the outcomes of a server, the parser that loses the fewest shapes first."""
        own = (outcome for outcome in self.outcomes if outcome.server == server)
        return tuple(sorted(own, key=lambda outcome: outcome.losses))

    def best_parser(self, server: str) -> str | None:
        """Return the parser of a server that loses the fewest shapes, None where none reads any."""
        outcomes = (found for found in self.of(server) if self.reads_calls(found))
        return next((outcome.parser for outcome in outcomes), None)

    def reads_calls(self, outcome: Outcome) -> bool:
        """Whether a parser reads any shape of reply that has calls."""
        return any(turn.tool_calls and name in outcome.read for name, turn in SHAPES)


def check_serving(format: ChatFormat) -> ServeCheck:
    """Write each shape of reply through a format, and read it as each server's parsers do."""
    replies, unwritable = written_replies(format)
    outcomes = [
        _outcome(server, parser, format, replies)
        for server, parsers in PARSERS.get(row_name(format), {}).items()
        for parser in parsers
    ]
    if derived := derived_losses(format):
        lost = tuple(name for name in replies if name in derived.lost)
        read = tuple(name for name in replies if name not in lost)
        outcomes.append(Outcome("llama.cpp", DERIVED_PARSER, read, lost, ()))
    return ServeCheck(format.name, tuple(outcomes), unwritable)


def format_serve_table(check: ServeCheck) -> str:
    """Return a table of servers, their parsers, and how many shapes each reads and loses."""
    if not check.has_calls:
        return f"The format {check.format_name} has no calls, so a server needs no parser."
    rows: list[tuple[str, ...]] = [("server", "parser", "reads", "loses", "loses streamed")]
    for server, title in TITLES.items():
        outcomes = check.of(server)
        if not outcomes and server in PARSER_FLAGS:
            rows.append((title, "none", "0", "all calls"))
        for outcome in outcomes:
            counts = (len(outcome.read), len(outcome.lost), len(outcome.streamed_lost))
            rows.append((title, outcome.parser, *map(str, counts)))
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([f"Replies in the format {check.format_name}, as servers read them:", *lines])


def written_replies(format: ChatFormat) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the reply of each shape by its name, and the shapes that the format cannot write.

    Replies are as servers decode their tokens.
    """
    replies, unwritable = dict[str, str](), list[str]()
    for name, message in SHAPES:
        try:
            replies[name] = _decoded(written_reply(message, format), format)
        except ValueError:
            unwritable.append(name)
    return replies, tuple(unwritable)


def read_reply(server: str, parser: str, format: ChatFormat, text: str) -> Reading:
    """Read a reply by the rules of a server's parser."""
    if parser == PLUGIN_PARSER:
        reply = parse_reply(text, format)
        calls = ((call.name, call.arguments) for call in reply.tool_calls)
        return Reading(reply.content, tuple(calls))
    if parser == TEMPLATE_PARSERS.get(server):
        template = format_response_template(format)
        assert template is not None, "PARSERS names formats that have a template"
        return read_by_template(template, text)
    return read_as(server, parser, text, _TOOL_NAMES)


def format_response_template(format: ChatFormat) -> dict[str, Any] | None:
    """Return the response template of a format, None for one without calls of its own."""
    name = row_name(format)
    openings = OPENINGS.get(name, (format.reply_opening,))
    return response_template(name, openings, (*format.stop_tokens, *format.end_tokens))


def _outcome(server: str, parser: str, format: ChatFormat, replies: Mapping[str, str]) -> Outcome:
    same = {
        name: _is_same(message, read_reply(server, parser, format, replies[name]))
        for name, message in SHAPES
        if name in replies
    }
    read = tuple(name for name in same if same[name])
    lost = tuple(name for name in same if not same[name])
    streamed = LOST_WHEN_STREAMED.get((server, parser), ())
    if not format.calls.special_tokens:
        streamed += LOST_WITHOUT_TOKENS.get((server, parser), ())
    return Outcome(server, parser, read, lost, tuple(name for name in read if name in streamed))


def _decoded(text: str, format: ChatFormat) -> str:
    """Return a reply as servers decode its tokens: SentencePiece puts a blank after a special."""
    special = BLANK_AFTER.get(row_name(format))
    return text.replace(special, special + " ", 1) if special and text.startswith(special) else text


def _is_same(message: Message, reading: Reading) -> bool:
    """Return whether a server read what was written; white space around the content is nothing."""
    written = tuple((call.name, dict(call.arguments)) for call in message.tool_calls)
    return written == reading.calls and message.content.strip() == reading.content.strip()
