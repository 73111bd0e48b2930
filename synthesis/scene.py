"""One conversation while it is made: draws arguments, runs the tools, writes the turns."""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from chat.conversation import Conversation, Message, Tool, ToolCall
from synthesis.alike import alike
from synthesis.catalogue import Catalogue
from synthesis.declaration import (
    Parameter,
    SyntheticTool,
    fitting,
    is_error,
    result_text,
)
from synthesis.dice import Dice
from synthesis.grammar import (
    bare,
    denies,
    expand,
    in_plural,
    plain,
    skeleton,
)
from synthesis.kinds import drawn_after
from synthesis.language import background, casual, greets
from synthesis.mixtures import PLAIN, Mixture
from synthesis.phrasing import BESIDE, BESIDE_AFTER_ERROR, BESIDE_NEXT, LEADS, request
from synthesis.prompts import draw_names, draw_sign_off, write_system
from synthesis.requests import nouns_of
from synthesis.roles import plural
from synthesis.use import Use, tell
from synthesis.world import fact

GIVE_OPTIONAL = 0.35
ASK_AS_QUESTION = 0.35
TRIES = 300
FEW_TOOLS = 8
# How often a system text demands a last sentence of every answer.
SIGN_OFF = 0.15
# Which values are drawn: any, those for training, or those that training never contains.
Values = Literal["all", "seen", "unseen"]
VALUES: tuple[str, ...] = get_args(Values)
# One value in this many is unseen.
UNSEEN_ONE_IN = 4


class Scene:
    """Collects the messages of one conversation.

    skeletons: The user's turns without digits and values, to measure how varied they are.
    common: Places of turns that many say alike, such as a yes; they are not measured.
    avoid: Domains whose tools must not be offered, because they would suit.
    rules: What the system text demands beside manners.
    """

    def __init__(
        self,
        dice: Dice,
        catalogue: Catalogue,
        most_tools: int | None = None,
        values: str = "all",
        mixture: Mixture = PLAIN,
    ) -> None:
        self.dice = dice
        self.catalogue = catalogue
        self.mixture = mixture
        self.most_tools = most_tools or mixture.most_tools
        self.values = values
        self.messages: list[Message] = []
        self.skeletons: list[str] = []
        self.common: set[int] = set()
        self.used: dict[str, SyntheticTool] = {}
        self.avoid: set[str] = set()
        self.offered: tuple[Tool, ...] = ()
        self.calls = 0
        self.rules: list[str] = []
        self.has_system = self.happens(mixture.system)
        self.is_casual = self.happens(mixture.casual)
        self.names = draw_names(dice) if self.has_system else {}
        signs = self.has_system and dice.chance(SIGN_OFF)
        self.signoff = draw_sign_off(dice, self.names) if signs else ""

    def happens(self, chance: float) -> bool:
        """Return whether something of the mixture comes; what never does costs no draw."""
        return chance > 0 and self.dice.chance(chance)

    def agree(self, frames: tuple[str, ...]) -> None:
        """Let the user say something short that many say, so that it may come again."""
        self.common.add(len(self.messages))
        self.user(expand(self.dice.choice(frames), {}, self.dice))
        self.skeletons.pop()

    def user(self, text: str) -> None:
        """Let the user say something."""
        if not self.messages and self.happens(self.mixture.background):
            more = background(self.dice)
            # Who greets does so at the beginning.
            text = f"{text} {more}" if greets(text) else f"{more} {text}"
        if self.is_casual:
            text = casual(text, self.dice)
        self.messages.append(Message("user", bare(text) if self.is_casual else plain(text)))
        self.skeletons.append(skeleton(text))

    def assistant(self, text: str) -> None:
        """Let the assistant say something."""
        ending = f" {self.signoff}" if self.signoff else ""
        self.messages.append(Message("assistant", plain(text) + ending))

    def call(self, *uses: tuple[SyntheticTool, Mapping[str, Any]]) -> list[Any]:
        """Let the assistant call tools at once; return their results."""
        calls, answers, results = [], [], []
        for tool, arguments in uses:
            self.calls += 1
            # Nine letters and digits: the narrowest form that a chat format wants.
            id = f"call{self.calls:05}"
            self.used[tool.name] = tool
            results.append(tool.run(arguments))
            calls.append(ToolCall(tool.name, arguments, id))
            text = result_text(results[-1])
            answers.append(Message("tool", text, name=tool.name, tool_call_id=id))
        said = self._beside() if self.happens(self.mixture.beside) else ""
        self.messages += [Message("assistant", said, tool_calls=tuple(calls)), *answers]
        return results

    def _beside(self) -> str:
        last = self.messages[-1]
        frames: tuple[str, ...] = BESIDE
        if last.role == "tool":
            failed = is_error(json.loads(last.content))
            frames = BESIDE_AFTER_ERROR if failed else BESIDE_NEXT
        return plain(expand(self.dice.choice(frames), {}, self.dice))

    def any_tool(self) -> SyntheticTool:
        """Return a tool."""
        return self.dice.choice(self.catalogue.tools)

    def use(self, tool: SyntheticTool, fixed: Mapping[str, Any] | None = None) -> Use:
        """Draw arguments, with some of them `fixed`, that the tool answers without an error."""
        for _ in range(TRIES):
            arguments = self._arguments(tool, fixed or {})
            result = tool.run(arguments)
            if not is_error(result):
                return Use(tool, arguments, result)
        raise ValueError(
            f"the tool {tool.name} answers none of {TRIES} drawn examples, the last "
            f"{dict(arguments)} with: {result['error']}"
        )

    def _arguments(self, tool: SyntheticTool, fixed: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {}
        for parameter in tool.parameters:
            if parameter.name in fixed:
                arguments[parameter.name] = fixed[parameter.name]
            elif parameter.required:
                arguments[parameter.name] = self.draw(parameter, arguments)
            elif self.dice.chance(GIVE_OPTIONAL):
                value = self._optional(tool, parameter, arguments)
                # Nothing can be said of what is empty, so nobody gives it.
                if value not in (None, "", [], {}):
                    arguments[parameter.name] = value
        return arguments

    def _optional(
        self, tool: SyntheticTool, parameter: Parameter, others: Mapping[str, Any]
    ) -> Any:
        """Draw a value that a user asks for: of yes and no the one that is not the default."""
        if isinstance(parameter.default, bool):
            return not parameter.default
        value = self.draw(parameter, others)
        # Without a default both are asked for, where the tool's phrases have words for the no.
        return True if value is False and not denies(tool.do, parameter.name) else value

    def draw(self, parameter: Parameter, others: Mapping[str, Any]) -> Any:
        """Draw a value of the wanted ones; a choice and a yes or no are always wanted.

        It fits the `others` that it depends on. ValueError says so when a parameter has none.
        """
        schema = parameter.schema
        any_part = self.values == "all" or "enum" in schema or schema.get("type") == "boolean"
        for _ in range(TRIES):
            value = drawn_after(parameter.kind, others, self.dice)
            if any_part or _part(value) == self.values:
                return value
        raise ValueError(
            f"none of {TRIES} values drawn for {parameter.name} is {self.values}; "
            "give it more values, or generate with --values all"
        )

    def ask_for(self, tool: SyntheticTool, said: Mapping[str, Any], several: str = "") -> None:
        """Let the user ask for a tool's work in words that tell exactly the values `said`.

        `several` names the parameter of which there is more than one value.
        """
        given = frozenset(said)
        asks = fitting(tool.ask, given)
        question = bool(asks) and self.dice.chance(ASK_AS_QUESTION)
        core = expand(
            self.dice.choice(asks if question else fitting(tool.do, given)), said, self.dice
        )
        if several and (tool.subject or self.mixture.frames.mended) and not question:
            nouns = nouns_of(tool.parameter(several))
            core = in_plural(core, {noun: plural(noun) for noun in nouns})
        self.request(core, tool, question)

    def request(self, core: str, tool: SyntheticTool, question: bool = False) -> None:
        """Let the user ask for what `core` says, in a frame."""
        reasons, first = self.catalogue.reasons[tool.domain], not self.messages
        self.user(request(self.dice, core, question, reasons, first, self.mixture.frames))

    def order(self, tool: SyntheticTool, said: Mapping[str, Any]) -> str:
        """Return a tool's request without its frame."""
        return expand(self.dice.choice(fitting(tool.do, frozenset(said))), said, self.dice)

    def answer(self, *uses: Use, naming: str = "") -> None:
        """Let the assistant say what came out, `naming` an argument where its words allow."""
        lead = expand(self.dice.choice(LEADS), {}, self.dice)
        self.assistant(lead + tell(uses, naming, self.dice))

    def offer(self) -> tuple[Tool, ...]:
        """Choose the tools on offer: the called ones among others, in random order."""
        if not self.offered:
            least = max(len(self.used), self.mixture.fewest_tools)
            most = self.most_tools
            if self.happens(self.mixture.few):
                most = min(most, FEW_TOOLS)
            count = self.dice.between(least, max(least, most)) - len(self.used)
            chosen = [*(tool.tool for tool in self.used.values()), *self._distractors(count)]
            self.offered = tuple(self.dice.shuffled(chosen))
        return self.offered

    def _distractors(self, count: int) -> list[Tool]:
        """Choose tools to offer beside the called ones: any, or some that resemble these."""
        others = self.others()
        if not self.used or not self.happens(self.mixture.alike):
            return [tool.tool for tool in self.dice.sample(others, count)]
        domains = {tool.domain for tool in self.used.values()}
        near = self.dice.shuffled([tool for tool in others if tool.domain in domains])
        far = self.dice.shuffled([tool for tool in others if tool.domain not in domains])
        model = self.dice.choice(tuple(self.used.values())).tool
        taken = self.catalogue.by_name
        made = [tool for tool in alike(model, self.dice, 4) if tool.name not in taken]
        return [*made, *(tool.tool for tool in near + far)][:count]

    def others(self) -> list[SyntheticTool]:
        """Return the tools that may be offered beside the called ones."""
        called = {tool.domain for tool in self.used.values()}
        near = {name for domain in called for name in self.catalogue.similar[domain]}
        avoid = self.avoid | (near - called)
        return [
            tool
            for tool in self.catalogue.tools
            if tool.name not in self.used and tool.domain not in avoid
        ]

    def conversation(self, id: str) -> Conversation:
        """Return the conversation."""
        tools = self.offer()
        messages = tuple(self.messages)
        if self.has_system or self.rules:
            names = self.names or draw_names(self.dice)
            text = write_system(self.dice, names, self.rules, self.signoff)
            messages = (Message("system", text), *messages)
        return Conversation(messages, tools, id, source="synthetic")


def _part(value: Any) -> str:
    """Return which part a value belongs to; it follows from the value alone."""
    return "unseen" if fact(1, UNSEEN_ONE_IN, "part", json.dumps(value)) == 1 else "seen"
