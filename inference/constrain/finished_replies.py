"""The last check of a reply: jsonschema validates each call or the JSON in it before it leaves."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chat.conversation import Tool
from chat.formats.format import ChatFormat
from chat.formats.rendering import parse_reply
from chat.schemas.validation import validate_arguments
from chat.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class FinishedValue:
    """An object in a reply, the tool whose schema it must fit, and what the object is called."""

    told: str
    tool: Tool
    value: Mapping[str, Any]


class FinishedReply:
    """The tokens of one reply, whose objects must fit their schemas; `read` finds them in it."""

    def __init__(
        self, read: Callable[[str], Iterator[FinishedValue]], tokenizer: Tokenizer
    ) -> None:
        self._read, self._tokenizer = read, tokenizer
        self._tokens: list[int] = []

    def take(self, token: int, ends: bool) -> None:
        """Take the next token of the reply, or its end, at which its objects are checked.

        Raises ValueError where one does not fit its schema.
        """
        if not ends:
            self._tokens.append(token)
            return
        for found in self._read(self._tokenizer.decode(self._tokens)):
            for problem in validate_arguments(found.tool, found.value, formats=True):
                # What a schema does not name it may let in, and what costs too much is not told.
                if problem.rule not in ("undeclared", "costly"):
                    raise ValueError(
                        f"{found.told} is not valid at {problem.pointer or 'its root'}: "
                        f"{problem.message}; ask again, or generate without --constrain"
                    )


def calls_read(
    tools: Sequence[Tool], format: ChatFormat
) -> Callable[[str], Iterator[FinishedValue]]:
    """Return what reads the calls of these tools in a reply."""
    named = {tool.name: tool for tool in tools}

    def read(text: str) -> Iterator[FinishedValue]:
        for call in parse_reply(text, format).tool_calls:
            if call.name in named:
                yield FinishedValue(f"the call of {call.name}", named[call.name], call.arguments)

    return read


def content_read(wanted: Tool) -> Callable[[str], Iterator[FinishedValue]]:
    """Return what reads a reply that is one JSON object, of a schema called as this tool is."""

    def read(text: str) -> Iterator[FinishedValue]:
        yield FinishedValue("the content", wanted, json.loads(text))

    return read
