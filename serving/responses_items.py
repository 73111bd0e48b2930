"""The items of a responses request's input, and the messages that they tell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from serving.bodies import Part, SentBack
from serving.requests import Arguments, Call, CalledFunction, WireMessage


class SaidText(Part):
    """A part of what a user or a system says."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class TextSentBack(SentBack):
    """A part of a reply or of a result."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class MessageItem(Part):
    """What a user or a system says."""

    type: Literal["message"] = "message"
    role: Literal["developer", "system", "user"]
    content: str | list[SaidText]
    id: Any = None
    status: Any = None


class ReplyItem(SentBack):
    """The text of an earlier reply."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: str | list[TextSentBack]


class CallItem(SentBack):
    """A call of an earlier reply."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: Arguments


class ResultItem(SentBack):
    """The result of a call."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[TextSentBack]


class ReasoningItem(SentBack):
    """What another model thought; it is left out."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str:
    """Return which kind of item is meant."""
    read = item.get if isinstance(item, Mapping) else lambda key: getattr(item, key, None)
    if read("type") in (None, "message"):
        return "reply" if read("role") == "assistant" else "message"
    return str(read("type"))


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[ReplyItem, Tag("reply")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[ResultItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind),
]


@dataclass
class Told:
    """The messages of an input, and for each the place in the request that it comes from."""

    messages: list[WireMessage] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, place: str, **fields: Any) -> None:
        """Add a message."""
        self.messages.append(WireMessage.model_construct(**fields))
        self.places.append(place)


def _text_of(content: str | Sequence[SaidText | TextSentBack]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def tell(items: Sequence[Item], told: Told) -> None:
    """Add the messages of items: the calls that follow one another are those of one reply."""
    for place, run in _runs(items):
        first = run[0]
        where = f"input[{place}]"
        if isinstance(first, MessageItem):
            told.add(where, role=first.role, content=_text_of(first.content))
        elif isinstance(first, ResultItem):
            told.add(where, role="tool", content=_text_of(first.output), tool_call_id=first.call_id)
        else:
            texts = [_text_of(item.content) for item in run if isinstance(item, ReplyItem)]
            calls = [_call(item) for item in run if isinstance(item, CallItem)]
            content = texts[0] if texts else None
            told.add(where, role="assistant", content=content, tool_calls=calls or None)


def _runs(items: Sequence[Item]) -> Iterator[tuple[int, list[Item]]]:
    """Yield the items of each message with the place of the first.

    A reply is its calls and at most one text, before or after them. Reasoning is left out.
    """
    run: list[Item] = []
    start, has_text = 0, False
    for place, item in enumerate(items):
        if isinstance(item, ReasoningItem):
            continue
        is_text = isinstance(item, ReplyItem)
        of_reply = is_text or isinstance(item, CallItem)
        begun = bool(run) and isinstance(run[0], CallItem | ReplyItem)
        if not (of_reply and begun and not (is_text and has_text)):
            if run:
                yield start, run
            run, start, has_text = [], place, False
        run.append(item)
        has_text |= is_text
    if run:
        yield start, run


def _call(item: CallItem) -> Call:
    function = CalledFunction.model_construct(name=item.name, arguments=item.arguments)
    return Call.model_construct(id=item.call_id, type="function", function=function)
