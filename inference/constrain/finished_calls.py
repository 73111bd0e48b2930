"""The last check of a reply: jsonschema validates each call in it before it leaves."""

from collections.abc import Mapping

from chat.conversation import Tool
from chat.formats.format import ChatFormat
from chat.formats.rendering import parse_reply
from chat.schemas.validation import validate_arguments
from chat.tokenizers.tokenizer import Tokenizer


class FinishedCalls:
    """The tokens of one reply, and the tools whose schemas its calls must fit."""

    def __init__(self, tools: Mapping[str, Tool], format: ChatFormat, tokenizer: Tokenizer) -> None:
        self._tools, self._format, self._tokenizer = tools, format, tokenizer
        self._tokens: list[int] = []

    def take(self, token: int, ends: bool) -> None:
        """Take the next token of the reply, or its end, at which the calls are checked.

        Raises ValueError where an argument does not fit its tool's schema.
        """
        if not ends:
            self._tokens.append(token)
            return
        reply = parse_reply(self._tokenizer.decode(self._tokens), self._format)
        for call in reply.tool_calls:
            tool = self._tools.get(call.name)
            for problem in validate_arguments(tool, call.arguments, formats=True) if tool else ():
                # What a schema does not name it may let in, and what costs too much is not told.
                if problem.rule not in ("undeclared", "costly"):
                    raise ValueError(
                        f"the call of {call.name} is not valid at {problem.pointer or 'its root'}: "
                        f"{problem.message}; ask again, or generate without --constrain"
                    )
