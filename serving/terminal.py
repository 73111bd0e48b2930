"""A chat at the terminal: replies as they are written, calls as they form, results, history."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.transcript import call_lines
from console.output import ask
from inference.chat_model import ChatModel, token_limits
from inference.constrain.constraint import Constraints
from inference.generate import Decoding, stream
from inference.streaming import Event, TextDelta, Unreadable, WholeCall, assemble
from serving.reading import ReplyReader
from serving.screen import Screen
from serving.toolbox import Toolbox

# After so many rounds of calls in one turn, the user is asked again.
MOST_ROUNDS = 8
PROMPT = "> "
HELP, TOOLS, NEW, EXIT = "/help", "/tools", "/new", "/exit"
# Spelled as commands of other programs; none is a message by itself.
_SPELLINGS = {"exit": EXIT, "quit": EXIT, "/quit": EXIT, "help": HELP, "?": HELP}
_COMMANDS = {
    HELP: "lists the commands",
    TOOLS: "lists the tools that are offered, with their parameters",
    NEW: "starts over, with the same tools",
    EXIT: "ends the chat, as exit, quit and Ctrl-D do",
}
_LIKE_A_COMMAND = re.compile("/[a-z]+")
# Tokens of a conversation beside its tools, and of what the length is a multiple.
_ROOM, _STEP = 3072, 1024


def roomy_length(chat_model: ChatModel, tools: Sequence[Tool]) -> int:
    """Return a length of conversations, in tokens, that leaves room beside the tools' own."""
    offered = Conversation((Message("user", "Hi"),), tuple(tools))
    return -(-(len(chat_model.prompt(offered)) + _ROOM) // _STEP) * _STEP


class Chat:
    """A conversation with a model, and the tools it may call."""

    def __init__(
        self, chat_model: ChatModel, toolbox: Toolbox, decoding: Decoding, constrain: bool = False
    ) -> None:
        self.history: tuple[Message, ...] = ()
        self._chat_model, self._toolbox, self._screen = chat_model, toolbox, Screen()
        limits = token_limits(chat_model.format, chat_model.tokenizer)
        self._decoding = replace(decoding, **limits)
        offered = [Conversation((), toolbox.tools)]
        self._constraints = (
            Constraints(offered, chat_model.format, chat_model.tokenizer) if constrain else None
        )

    def run(self) -> None:
        """Answer messages until the input ends, then print the cost of constraining."""
        names = ", ".join(tool.name for tool in self._toolbox.tools)
        self._screen.line(f"Tools: {names or 'none'}")
        self._screen.line(f"Ctrl-C stops a reply, {HELP} lists commands, {EXIT} ends", "dim")
        with suppress(ImportError):
            import readline  # noqa: F401  (gives input() its line editing)
        with suppress(EOFError):
            text = ""
            while text != EXIT:
                try:
                    text = ask(PROMPT).strip()
                except KeyboardInterrupt:
                    self._screen.line()
                    continue
                if not sys.stdin.isatty():
                    self._screen.line(text)
                text = _SPELLINGS.get(text.lower(), text)
                self._take(text)
        self._screen.line()
        if self._constraints is not None:
            self._screen.line(self._constraints.cost())

    def _take(self, text: str) -> None:
        """Answer a message; a turn that is stopped before any text is removed from the history."""
        if text in _COMMANDS:
            self._obey(text)
        elif _LIKE_A_COMMAND.fullmatch(text):
            self._screen.line(f"(no command {text}; {HELP} lists them)", "yellow")
        elif text:
            try:
                self.history = tuple(self._turn(text))
            except KeyboardInterrupt:
                self._screen.line("(stopped; this turn is forgotten)", "dim")
            except ValueError as error:
                self._screen.line(f"error: {error}; this turn is forgotten", "red")

    def _obey(self, command: str) -> None:
        if command == NEW:
            self.history = ()
            self._screen.line("(a new conversation)", "dim")
        elif command == HELP:
            for name, sentence in _COMMANDS.items():
                self._screen.line(f"  {name:<8}{sentence}")
            self._screen.line("  Ctrl-C  stops a reply; anything else is said to the model")
        elif command == TOOLS:
            for tool in self._toolbox.tools:
                self._screen.line(self._toolbox.describe(tool))
            if not self._toolbox.tools:
                self._screen.line("no tools; --tools and --tools-file offer some")

    def _turn(self, text: str) -> list[Message]:
        """Return the history after a user's message, the calls and results, and the answer."""
        messages = [*self.history, Message("user", text)]
        for _ in range(MOST_ROUNDS):
            answer = self._answer(messages)
            messages.append(answer)
            if not answer.tool_calls:
                return messages
            messages += [self._result(call) for call in answer.tool_calls]
        self._screen.line(f"({MOST_ROUNDS} rounds of calls; it is your turn)", "dim")
        return messages

    def _answer(self, messages: Sequence[Message]) -> Message:
        """Print the next reply while it is generated; a stopped one keeps its text so far."""
        reader = ReplyReader(self._chat_model)
        events: list[Event] = []
        try:
            for event in self._events(messages, reader):
                events.append(event)
                self._show(event)
            if not reader.ended:
                most = self._decoding.max_new_tokens
                told = f"(cut off: raise --max-gen-len ({most:,}) or --max-seq-len for more)"
                self._screen.line(told, "dim")
        except KeyboardInterrupt:
            events = [event for event in events if isinstance(event, TextDelta)]
            if not events:
                raise
            self._screen.line("(stopped)", "dim")
        finally:
            self._screen.settle()
        self._screen.end_line()
        reply = assemble(events)
        return Message("assistant", reply.content, reply.tool_calls)

    def _events(self, messages: Sequence[Message], reader: ReplyReader) -> Iterator[Event]:
        prompt = self._chat_model.prompt(Conversation(tuple(messages), self._toolbox.tools))
        limit = self._decoding.max_length
        if limit is not None and len(prompt) >= limit:
            raise ValueError(
                f"the conversation has {len(prompt):,} tokens, and with its reply it may have "
                f"{limit:,}; {NEW} starts over, --max-seq-len allows more"
            )
        # Another seed each turn, so that the same question may get another answer.
        decoding = replace(self._decoding, seed=self._decoding.seed + len(messages))
        for _, token in stream(self._chat_model.model, [prompt], decoding, self._constraints):
            yield from reader.feed(token)
            self._screen.show_partial_call(reader.forming)
        yield from reader.finish()

    def _show(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._screen.write(event.text)
        elif isinstance(event, WholeCall):
            for line in call_lines([event.call]):
                self._screen.line(line, "bold cyan")
        elif isinstance(event, Unreadable):
            self._screen.line(f"(not read as a call, nothing is run: {event.problem})", "yellow")

    def _result(self, call: ToolCall) -> Message:
        """Run a call, or ask the user for its result."""
        result = self._toolbox.result(call)
        if result is None:
            problem = self._toolbox.problem(call)
            if problem is not None:
                self._screen.line(f"  (its arguments do not fit: {problem})", "yellow")
            result = ask(f"  {call.name} gives? ").strip() or json.dumps(None)
        else:
            self._screen.line(f"  {call.name} gives {result}", "green")
        return Message("tool", result, name=call.name)
