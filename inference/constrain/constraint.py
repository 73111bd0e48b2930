"""Constrained decoding: text stays free until a call opens; from there every call is valid.

llguidance keeps the grammar: that of the chat format's tool syntax, with the JSON Schemas of the
offered tools in it. Arguments come in the order of their schema, without white space but one
blank after commas and colons, and control characters only as \\n, \\t, \\r, \\b and \\f. Near the
limit of its length a call takes the tokens that still leave room to end it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from chat.conversation import Conversation, Tool
from chat.formats.call_grammar import CallGrammar, call_grammar
from chat.formats.format import ChatFormat
from chat.formats.rendering import special_id, stop_ids
from chat.tokenizers.tokenizer import Tokenizer
from inference.constrain.ending import Vocabulary, find_ending
from inference.constrain.json_text import JsonText
from inference.constrain.schemas import enforceable, refuse, subschemas
from inference.constrain.vocabulary import prepare_vocabulary, vocabulary_source

if TYPE_CHECKING:
    from llguidance import LLMatcher

# How the tool syntaxes write JSON. Without \u, one text has one spelling and no half surrogates.
_WRITING = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}
# After this many tokens that were refused one by one, the call is ended.
MOST_REFUSALS = 16
# How many schemas of a tool are tried one by one to say which of them is refused.
MOST_LOCATED = 1000


def constraint_for(
    tools: Sequence[Tool],
    format: ChatFormat,
    tokenizer: Tokenizer,
    forced: bool | str = False,
    single: bool = False,
) -> "CallConstraint":
    """Return what makes one reply's calls valid; a new one for every reply.

    Args:
        tools: The tools that may be called.
        format: The chat format, whose calls state the grammar.
        tokenizer: The model's tokenizer, with a token for each character of ASCII.
        forced: True opens a call at once, a name allows calls of that tool only.
        single: Whether one call is the most.

    Raises ValueError for a schema that cannot be enforced, with the path of the keyword.
    """
    if isinstance(forced, str):
        tools = [_named(tools, forced)]
    if forced and not tools:
        raise ValueError("a call cannot be forced where no tools are offered")
    vocabulary = prepare_vocabulary(vocabulary_source(tokenizer), stop_ids(format, tokenizer))
    blank = format.reply_joins or vocabulary.blank
    grammar = call_grammar(format.calls, [tool.name for tool in tools], blank, single)
    schemas = [json.dumps(enforceable(tool) | {"x-guidance": _WRITING}) for tool in tools]
    specials = [special_id(token, tokenizer) for token in format.calls.special_tokens]
    text = _lark(grammar.forced if forced else grammar.free, grammar, schemas, specials)
    matcher = _prepared(vocabulary, text)
    if problem := matcher.get_error():
        raise _located(vocabulary, tools, problem)
    return CallConstraint(vocabulary, matcher.deep_copy(), grammar.opening.encode())


def content_constraint(
    schema: Mapping[str, Any], name: str, format: ChatFormat, tokenizer: Tokenizer
) -> "CallConstraint":
    """Return what makes one reply a JSON object of this schema and nothing else.

    Raises ValueError as `constraint_for` does, which calls the schema by its name.
    """
    vocabulary = prepare_vocabulary(vocabulary_source(tokenizer), stop_ids(format, tokenizer))
    wanted = Tool(name, "", schema)
    text = json.dumps(enforceable(wanted) | {"x-guidance": _WRITING})
    blank = '" "? ' if format.reply_joins or vocabulary.blank else ""
    matcher = _prepared(vocabulary, f"start: {blank}content\ncontent: %json {text}")
    if problem := matcher.get_error():
        raise _located(vocabulary, [wanted], problem)
    return CallConstraint(vocabulary, matcher.deep_copy(), b"{")


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
        seconds = sorted(self.seconds)
        if not seconds:
            return "constrained decoding: no token was generated"
        median, tail = (seconds[int(share * (len(seconds) - 1))] * 1e3 for share in (0.5, 0.99))
        return (
            f"constrained decoding took {median:.3f} ms a token at the median, {tail:.3f} ms at "
            f"the 99th percentile, of {len(seconds):,} tokens"
        )


def _named(tools: Sequence[Tool], name: str) -> Tool:
    for tool in tools:
        if tool.name == name:
            return tool
    offered = ", ".join(tool.name for tool in tools) or "none"
    raise ValueError(f"the tool {name} cannot be forced: it is not offered (offered: {offered})")


def _lark(start: str, grammar: CallGrammar, schemas: Sequence[str], specials: Sequence[int]) -> str:
    arguments = [f"arguments_{i}: %json {schema}" for i, schema in enumerate(schemas)]
    tokens = [f"token_{i}: <[{id}]>" for i, id in enumerate(specials)]
    return "\n".join([f"start: {start}", grammar.rules, *tokens, *arguments])


@lru_cache(maxsize=256)
def _prepared(vocabulary: Vocabulary, lark: str) -> "LLMatcher":
    """Compile a grammar; kept, because data sets offer the same tools again and again."""
    from llguidance import LLMatcher

    return LLMatcher(vocabulary.made, LLMatcher.grammar_from_lark(lark), log_level=0)


def _located(vocabulary: Vocabulary, tools: Sequence[Tool], problem: str) -> ValueError:
    """Return the error of the innermost schema that llguidance refuses."""
    for tool in tools:
        schema = enforceable(tool)
        shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        for pointer, inner in islice(subschemas(schema), MOST_LOCATED):
            own = json.dumps({**shared, **inner})
            error = _prepared(vocabulary, f"start: %json {own}").get_error()
            if error:
                return refuse(tool.name, pointer, f"is not enforced: {_reason(error)}")
    return ValueError(f"these tools cannot be constrained together: {_reason(problem)}")


def _reason(error: str) -> str:
    """Return the first line of llguidance's message, without the place in its own grammar."""
    return error.strip().splitlines()[0].rpartition("JSON schema: ")[2][:200]


class CallConstraint:
    """One reply under way; see inference.generate.RowConstraint.

    seconds: What each token cost so far: its mask, and the search for an end when one is needed.
    """

    def __init__(self, vocabulary: Vocabulary, matcher: "LLMatcher", opening: bytes) -> None:
        self.seconds: list[float] = []
        self._vocabulary, self._matcher, self._opening = vocabulary, matcher, opening
        self._bits = numpy.zeros((vocabulary.size + 31) // 32, dtype=numpy.int32)
        self._text: JsonText | None = None
        self._before = b""
        self._ending: list[int] | None = None
        self._refusals = 0
        self._spent = 0.0

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
        return accepted

    def _allowed(self, room: int) -> Any:
        """Return which tokens may come, as an array of bool [V]."""
        ending = self._ending
        if ending and (len(ending) >= room or self._refusals >= MOST_REFUSALS):
            allowed = numpy.zeros(self._vocabulary.size, dtype=bool)
            allowed[ending[0]] = True
            return allowed
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        bits = numpy.unpackbits(self._bits.view(numpy.uint8), bitorder="little")
        return bits[: self._vocabulary.size].view(bool)

    def _take(self, token: int, room: int) -> bool:
        written = self._vocabulary.texts[token]
        if self._text is None or token in self._vocabulary.stops:
            self._consume(token)
            self._look_for_opening(written)
            return True
        text = self._text.copy().feed(written)
        if text.wrong:
            return False
        self._consume(token)
        if self._ending and token == self._ending[0]:
            ending: list[int] | None = self._ending[1:]
        else:
            ending = find_ending(self._vocabulary, self._matcher, text)
        if self._ending and ending and len(ending) > room >= len(self._ending) - 1:
            self._matcher.rollback(1)
            return False
        self._text, self._ending = text, ending
        return True

    def _consume(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def _look_for_opening(self, written: bytes) -> None:
        self._before = self._before[-len(self._opening) :] + written
        place = self._before.find(self._opening)
        if place >= 0:
            self._text = JsonText().feed(self._before[place:])
            self._ending = find_ending(self._vocabulary, self._matcher, self._text)

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = self._matcher.get_error().strip().splitlines()[0]
            raise ValueError(
                f"constrained decoding cannot go on: {reason}; generate without --constrain"
            )
