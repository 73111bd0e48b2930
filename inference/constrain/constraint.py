"""Constrained decoding: text stays free until a call opens; from there every call is valid.

llguidance keeps the grammar: that of the chat format's tool syntax, with the JSON Schemas of the
offered tools in it. Arguments come in the order of their schema, with one blank after commas and
colons, control characters only as \\n, \\t, \\r, \\b and \\f. Near its limit a call ends itself.
"""

import time
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from chat.conversation import Conversation, Tool
from chat.formats.call_grammar import call_grammar
from chat.formats.format import ChatFormat
from chat.formats.rendering import special_id, stop_ids
from chat.tokenizers.tokenizer import Tokenizer
from inference.constrain.completions import Completions, completions_of
from inference.constrain.costs import cost_text
from inference.constrain.ending import LONGEST_ENDING, find_ending, still_ends
from inference.constrain.finished_replies import FinishedReply, calls_read
from inference.constrain.fitting import (
    fitting,
    free_tool,
    no_room,
    prepared,
    refusal_of,
    too_costly,
    write_grammar,
    write_schema,
)
from inference.constrain.json_text import JsonText
from inference.constrain.preparation import TooMuchWork, bounded_work
from inference.constrain.schemas import enforceable
from inference.constrain.vocabulary import Vocabulary, prepare_vocabulary, vocabulary_source

if TYPE_CHECKING:
    from llguidance import LLMatcher

# After this many tokens that were refused one by one, the call is ended.
MOST_REFUSALS = 16


@bounded_work()
def constraint_for(
    tools: Sequence[Tool],
    format: ChatFormat,
    tokenizer: Tokenizer,
    forced: bool | str = False,
    room: int = LONGEST_ENDING,
    free: Container[str] = (),
    single: bool = False,
) -> "CallConstraint":
    """Return what makes one reply's calls valid; a new one for every reply.

    Args:
        tools: The tools that may be called.
        format: The chat format, whose calls state the grammar.
        tokenizer: The model's tokenizer, with a token for each character of ASCII.
        forced: True opens a call at once, a name allows calls of that tool only.
        room: How many tokens the reply may have, its stop token included; a forced call must fit.
        free: The names of tools whose arguments are free where their schema cannot be enforced.
        single: Whether one call is the most.

    Raises ToolRefused for a schema that cannot be enforced, whose shortest value has no room or
    which takes too much work to prepare, with the path of the keyword.
    """
    if isinstance(forced, str):
        tools = [_named(tools, forced)]
    if forced and not tools:
        raise ValueError("a call cannot be forced where no tools are offered")
    vocabulary = prepare_vocabulary(vocabulary_source(tokenizer), stop_ids(format, tokenizer))
    tools = [free_tool(vocabulary, tool) if tool.name in free else tool for tool in tools]
    tools = fitting(vocabulary, tools, room, bool(forced))
    schemas = tuple(write_schema(enforceable(tool)) for tool in tools)
    blank = format.reply_joins or vocabulary.blank
    grammar = call_grammar(format.calls, [tool.name for tool in tools], blank, single)
    specials = [special_id(token, tokenizer) for token in format.calls.special_tokens]
    text = write_grammar(grammar.forced if forced else grammar.free, grammar, schemas, specials)
    matcher = prepared(vocabulary, text)
    if problem := matcher.get_error():
        raise refusal_of(vocabulary, tools, problem)
    opening = grammar.opening.encode()
    constraint = CallConstraint(vocabulary, matcher.deep_copy(), opening, completions_of(schemas))
    constraint.finished = FinishedReply(calls_read(tools, format), tokenizer)
    if forced:
        constraint.force(tools[0], room)
    return constraint


def refusals(
    conversations: Sequence[Conversation], format: ChatFormat, tokenizer: Tokenizer
) -> dict[int, str]:
    """Return which conversations offer a tool that cannot be enforced, each with the reason.

    Raises ValueError where the tokenizer cannot be constrained at all.
    """
    prepare_vocabulary(vocabulary_source(tokenizer), stop_ids(format, tokenizer))
    found: dict[int, str] = {}
    for index, conversation in enumerate(conversations):
        try:
            constraint_for(conversation.tools, format, tokenizer)
        except ValueError as error:
            found[index] = str(error)
    return found


class Constraints:
    """The constraints of many replies, each by the tools of its conversation.

    A schema that cannot be enforced is refused before the first token: ValueError with the path
    of the keyword. What is under way alone is held in memory, 0.2 MB a set of tools.
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        format: ChatFormat,
        tokenizer: Tokenizer,
        forced: bool | str = False,
    ) -> None:
        self.seconds: list[float] = []
        self._conversations = conversations
        self._settings = format, tokenizer, forced
        for conversation in conversations:
            constraint_for(conversation.tools, *self._settings)

    def __call__(self, index: int) -> "CallConstraint":
        """Return the constraint of reply `index`, for `inference.generate.complete`."""
        made = constraint_for(self._conversations[index].tools, *self._settings)
        made.seconds = self.seconds
        return made

    def cost(self) -> str:
        """Return in words what constraining cost per token."""
        return cost_text(self.seconds)


def _named(tools: Sequence[Tool], name: str) -> Tool:
    for tool in tools:
        if tool.name == name:
            return tool
    offered = ", ".join(tool.name for tool in tools) or "none"
    raise ValueError(f"the tool {name} cannot be forced: it is not offered (offered: {offered})")


class CallConstraint:
    """One reply under way; see inference.generate.RowConstraint.

    seconds: What each token cost so far: its mask, and the search for an end when one is needed.
    """

    def __init__(
        self, vocabulary: Vocabulary, matcher: "LLMatcher", opening: bytes, completions: Completions
    ) -> None:
        self.seconds: list[float] = []
        self.finished: FinishedReply | None = None
        self._vocabulary, self._matcher, self._opening = vocabulary, matcher, opening
        self._completions = completions
        self._bits = numpy.zeros((vocabulary.size + 31) // 32, dtype=numpy.int32)
        # The place in the call under way, and a way to end it; None while none is open.
        self._text: JsonText | None = None
        self._ending: list[int] | None = None
        # Whether only the ending may come.
        self._ends = False
        self._before = b""
        self._refusals = 0
        self._spent = 0.0

    def force(self, tool: Tool, room: int) -> None:
        """Open a call or a content of this tool's schema; ToolRefused where none is found."""
        try:
            found = self.open(room)
        except TooMuchWork as error:
            raise too_costly(self._vocabulary, tool, error) from None
        if not found:
            raise no_room(self._vocabulary, tool, room)

    def open(self, room: int, opening: bytes = b"") -> bool:
        """Take it that a call is open; whether an end of it was found in `room` tokens."""
        self._text = JsonText(rules=self._completions.texts).feed(opening)
        self._ending = self._search(self._text, room)
        return self._ending is not None

    def restrict(self, logits: Tensor, room: int) -> None:
        """Set the logits [V] of what must not come next to minus infinity, in place."""
        start = time.perf_counter()
        allowed = torch.from_numpy(self._allowed(room))
        # An embedding may be padded beyond the vocabulary.
        logits[len(allowed) :] = float("-inf")
        logits[: len(allowed)].masked_fill_(
            ~allowed.to(logits.device, non_blocking=True), float("-inf")
        )
        self._spent += time.perf_counter() - start
        if self._refusals and bool((logits == float("-inf")).all()):
            raise ValueError("constrained decoding cannot go on: every token was refused")

    def accept(self, token: int, room: int) -> bool:
        """Take the chosen token, or refuse it; `room` tokens may follow it."""
        start = time.perf_counter()
        accepted = self._take(token, room)
        self._spent += time.perf_counter() - start
        self._refusals = 0 if accepted else self._refusals + 1
        if accepted:
            self.seconds.append(self._spent)
            self._spent = 0.0
            if self.finished is not None:
                self.finished.take(token, token in self._vocabulary.stops)
        return accepted

    def _allowed(self, room: int) -> Any:
        """Return which tokens may come, as an array of bool [V]."""
        if not self._must_end(room):
            self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
            self._check()
        if self._ending and self._must_end(room):
            allowed = numpy.zeros(self._vocabulary.size, dtype=bool)
            allowed[self._ending[0]] = True
            return allowed
        bits = numpy.unpackbits(self._bits.view(numpy.uint8), bitorder="little")
        return bits[: self._vocabulary.size].view(bool)

    def _must_end(self, room: int) -> bool:
        missing = len(self._ending or ())
        return missing > 0 and (self._ends or missing >= room or self._refusals >= MOST_REFUSALS)

    def _take(self, token: int, room: int) -> bool:
        if self._ends and self._ending:
            fits = token == self._ending[0]
            self._ending = self._ending[fits:]
            return fits
        written = self._vocabulary.texts[token]
        if token in self._vocabulary.stops:
            self._consume(token)
            return True
        if self._text is None:
            return self._take_text(token, room)
        text = self._text.copy().feed(written)
        if text.wrong:
            return False
        self._consume(token)
        if self._ends:
            return False
        ending = self._ending and self._next_ending(self._ending, token, text, room)
        if ending is None and self._ending and len(self._ending) - 1 <= room:
            self._matcher.rollback(1)
            return False
        self._text, self._ending = text, ending
        return True

    def _take_text(self, token: int, room: int) -> bool:
        """Take a token of free text; not one that opens a call that has no room."""
        before = self._before[-len(self._opening) :] + self._vocabulary.texts[token]
        self._consume(token)
        place = before.find(self._opening)
        if place >= 0 and not self.open(room, before[place:]):
            self._matcher.rollback(1)
            self._text = None
            return False
        self._before = before
        return True

    def _next_ending(
        self, known: list[int], token: int, text: JsonText, room: int
    ) -> list[int] | None:
        """Return how the reply ends after a token, when `known` ended it before."""
        if token == known[0]:
            return known[1:]
        # In a text, or where as much was written as was missing, what ended it still does.
        for ending in (self._rest(known, len(self._vocabulary.texts[token])), known):
            if len(ending) <= room and still_ends(self._vocabulary, self._matcher, text, ending):
                return ending
        return self._search(text, room)

    def _rest(self, ending: list[int], length: int) -> list[int]:
        """Return an ending without the tokens of its first bytes."""
        place = 0
        while length > 0 and place < len(ending) - 1:
            length -= len(self._vocabulary.texts[ending[place]])
            place += 1
        return ending[place:]

    def _search(self, text: JsonText, room: int) -> list[int] | None:
        return find_ending(self._vocabulary, self._matcher, text, self._completions, room)

    def _consume(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        """Note that the grammar has failed, as where it takes too long; an end is known then."""
        self._ends = self._matcher.is_error()
        if self._ends and not self._ending:
            reason = self._matcher.get_error().strip().splitlines()[0]
            raise ValueError(
                f"constrained decoding cannot go on: {reason}; generate without --constrain"
            )
