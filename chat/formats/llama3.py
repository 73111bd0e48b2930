"""`llama3`: Llama 3 with tools announced as a TypeScript-like namespace.

A call is one JSON object, `{"tool_uses": [{"recipient_name": "functions.x", "parameters": {}}]}`.
No server's own parser reads it: an export carries one for vLLM. `llama3_short` leaves out the
declaration of the wrapper, 200 tokens of every prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from chat.conversation import Conversation, Message, Tool
from chat.formats.call_syntax import CallSyntax
from chat.formats.format import ChatFormat, Piece, Settings, content, own, reply
from chat.formats.typescript import describe_function

CALLS = CallSyntax(
    opening='{"tool_uses": [',
    between=", ",
    closing="]}",
    starts=('{ "tool_uses"', '{ "recipient_name"'),
    name_key="recipient_name",
    arguments_key="parameters",
    prefix="functions.",
    begins="line",
)

_HEAD = """\
# Tools

## functions

namespace functions {"""

_WRAPPER = """\
## multi_tool_use

// Calls go through this wrapper, whether there is one or several. Answer with one JSON object on a
// line of its own and write nothing after it. Only tools of the namespace functions can be called,
// and the parameters of each call must fit the type of its tool.
namespace multi_tool_use {

// Runs the listed tools side by side. List several when none needs the result of another.
type parallel = (_: {
// The calls to run, in order
tool_uses: {
// The tool to call: "functions." followed by its name
recipient_name: string,
// The arguments, as an object of the tool's own type
parameters: object,
}[],
}) => any;

} // namespace multi_tool_use"""


def describe_namespace(tools: Sequence[Tool]) -> str:
    """Announce tools as a TypeScript-like namespace, followed by the wrapper that calls them."""
    return f"{describe_tools_alone(tools)}\n\n{_WRAPPER}"


def describe_tools_alone(tools: Sequence[Tool]) -> str:
    """Announce tools as a TypeScript-like namespace; how to call them is left to training."""
    return "\n\n".join([_HEAD, *map(describe_function, tools), "} // namespace functions"])


def header(role: str) -> str:
    """Return what opens a turn of a role."""
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n"


def _write(
    conversation: Conversation, settings: Settings, describe: Callable[[Sequence[Tool]], str]
) -> Iterator[Piece]:
    """Write the tools at the end of the system text, and every text without white space around."""
    yield own("<|begin_of_text|>")
    messages = conversation.messages
    if conversation.tools:
        if not messages or messages[0].role != "system":
            messages = (Message("system"), *messages)
        texts = (messages[0].content.strip(), describe(conversation.tools))
        system = Message("system", "\n\n".join(filter(None, texts)))
        messages = (system, *messages[1:])
    for message in messages:
        yield own(header(message.role), message.role)
        if message.role == "assistant":
            yield from reply(message, CALLS)
        else:
            yield content(message.content.strip(), message.role)
        yield own("<|eot_id|>", message.role, message.role == "assistant" and message.trained)


LLAMA3 = ChatFormat(
    name="llama3",
    write=partial(_write, describe=describe_namespace),
    special_tokens=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    begin="<|begin_of_text|>",
    reply_opening=header("assistant"),
    stop_tokens=("<|eot_id|>",),
    calls=CALLS,
    # Meta's base models end a document with the first, and later ones a message with the second.
    # Llama 3's tiktoken table has a reserved token at the second's place, which is the third.
    end_tokens=("<|end_of_text|>", "<|eom_id|>", "<|reserved_special_token_4|>"),
)

LLAMA3_SHORT = replace(
    LLAMA3, name="llama3_short", write=partial(_write, describe=describe_tools_alone)
)
