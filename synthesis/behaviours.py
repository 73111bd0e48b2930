"""The behaviours: how a conversation goes; a mixture says how often each comes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synthesis import phrasing, results
from synthesis.catalogue import Catalogue
from synthesis.cues import cue
from synthesis.declaration import Parameter, SyntheticTool, is_error
from synthesis.detours import invalid_value, missing_argument, tool_error
from synthesis.grammar import expand, joined, marked, slot_of
from synthesis.harm import harmful_request
from synthesis.linked import linked
from synthesis.longer import step_by_step
from synthesis.names import in_words
from synthesis.plain_answers import plain_answer, suitable_topics
from synthesis.policies import confirm_first, forbidden_tool, limit, preset
from synthesis.roles import is_thing, role
from synthesis.scene import TRIES, Scene
from synthesis.small_talk import small_talk as chat
from synthesis.use import Use

# How many tools a reply names that says what can be done.
MOST_NAMED = 8


@dataclass(frozen=True)
class Behaviour:
    """A way for a conversation to go.

    needs: What the tools must offer, in words, when `possible` says they do not.
    """

    play: Callable[[Scene], None]
    meaning: str
    possible: Callable[[Catalogue], object] = lambda catalogue: True
    needs: str = ""


def single_call(scene: Scene) -> None:
    """The user asks, the assistant calls and answers."""
    use = scene.use(scene.any_tool())
    scene.ask_for(use.tool, use.said(scene.dice))
    scene.call((use.tool, use.arguments))
    scene.answer(use)


def parallel_calls(scene: Scene) -> None:
    """Several calls at once: one tool with several values, or several tools."""
    tool = scene.any_tool()
    slots = [parameter for parameter in tool.parameters if _can_be_listed(tool, parameter)]
    if len(scene.catalogue.tools) == 1 or (slots and scene.dice.chance(0.5)):
        slot = scene.dice.choice(slots) if slots else None
        _same_tool(scene, tool, slot)
    else:
        count = _how_many(scene)
        tools = scene.dice.sample(scene.catalogue.tools, count)
        _order(scene, [scene.use(chosen) for chosen in tools])


def _how_many(scene: Scene) -> int:
    """Return how many calls one turn makes: most often two."""
    most = scene.mixture.most_at_once
    if most > 3:
        return 2 if scene.dice.chance(0.4) else scene.dice.between(3, most)
    return 2 if scene.dice.chance(0.75) else 3


def _can_be_listed(tool: SyntheticTool, parameter: Parameter) -> bool:
    """Whether a request for "A and B" means two calls: texts alone, and not quoted.

    Of a tool that brings no phrases it is what names things: nothing is closed for two reasons.
    """
    if parameter.kind.follows or any(p.kind.follows == parameter.name for p in tool.parameters):
        return False
    if tool.subject:
        return parameter.required and is_thing(parameter) and not _describes_one(tool, parameter)
    text = parameter.required and parameter.schema.get("type") == "string"
    slot = slot_of(parameter.name)
    # "between A, B and C and D" says nothing.
    return text and not any(
        f"'{slot}'" in phrase or slot in phrase.partition("between ")[2]
        for phrase in tool.do + tool.ask
    )


def _describes_one(tool: SyntheticTool, parameter: Parameter) -> bool:
    """Whether a value follows as a property of what is spoken of: a new issue called 'Printer'."""
    told_after = any(f"[{cue(parameter)}]" in phrase for phrase in tool.do)
    return told_after and role(parameter) in ("code", "title", "other")


def _same_tool(scene: Scene, tool: SyntheticTool, slot: Parameter | None) -> None:
    uses = [scene.use(tool)]
    said = uses[0].said(scene.dice)
    if slot is None:
        _order(scene, [uses[0], scene.use(tool)])
        return
    values = [said[slot.name]]
    for _ in range(scene.dice.between(1, scene.mixture.most_at_once - 1)):
        others = {name: value for name, value in uses[0].arguments.items() if name != slot.name}
        other = _another(scene, tool, slot, others, uses)
        if other is not None:
            uses.append(other)
            values.append(marked(slot.kind.say(other.arguments[slot.name], scene.dice)))
    if len(uses) == 1:
        _order(scene, [uses[0], scene.use(tool)])
        return
    # A value that stands in quotes is one of several in quotes.
    slot_text = slot_of(slot.name)
    is_quoted = any(f"'{slot_text}'" in phrase for phrase in tool.do)
    listed = joined([f"'{value}'" for value in values])[1:-1] if is_quoted else joined(values)
    scene.ask_for(tool, said | {slot.name: listed}, slot.name)
    scene.call(*((use.tool, use.arguments) for use in uses))
    scene.answer(*uses, naming=slot.name)


def _another(
    scene: Scene, tool: SyntheticTool, slot: Parameter, others: dict[str, Any], uses: list[Use]
) -> Use | None:
    """Return the same use with another value in one slot; None where there is none."""
    taken = [use.arguments[slot.name] for use in uses]
    codes = {code for use in uses for code in results.codes_in(use.result, use.arguments)}
    for _ in range(TRIES):
        value = scene.draw(slot, others)
        arguments = {
            parameter.name: value if parameter is slot else others[parameter.name]
            for parameter in tool.parameters
            if parameter is slot or parameter.name in others
        }
        result = tool.run(arguments)
        # Two calls do not make things of the same code.
        is_same = tool.subject and codes & results.codes_in(result, arguments)
        if value not in taken and not is_error(result) and not is_same:
            return Use(tool, arguments, result)
    return None


def _order(scene: Scene, uses: list[Use]) -> None:
    """Ask for several things in one request, and do them at once."""
    orders = [scene.order(use.tool, use.said(scene.dice)) for use in uses]
    link = scene.dice.choice((", and ", ", and also ", "; also, ", ", and besides "))
    core = link.join(orders) if len(orders) == 2 else f"{', '.join(orders[:-1])}{link}{orders[-1]}"
    scene.request(core, uses[0].tool)
    scene.call(*((use.tool, use.arguments) for use in uses))
    scene.answer(*uses)


def call_sequence(scene: Scene) -> None:
    """A second tool takes an argument from the first one's result."""
    chain = scene.dice.choice(scene.catalogue.chains)
    core, first, then = linked(scene, chain)
    scene.request(core, first.tool)
    for use in (first, then):
        scene.call((use.tool, use.arguments))
    scene.answer(first, then) if scene.dice.chance(0.5) else scene.answer(then)


def no_suitable_tool(scene: Scene) -> None:
    """No offered tool helps: the assistant says so, or answers from what it knows."""
    use = scene.use(scene.any_tool())
    scene.avoid = {use.tool.domain, *scene.catalogue.similar[use.tool.domain]}
    if not scene.others() or scene.dice.chance(0.4):
        domains = (domain.name for domain in scene.catalogue.domains)
        topics = suitable_topics(domains, scene.mixture.any_question)
        question, answer, avoid = plain_answer(scene.dice, scene.dice.choice(topics))
        scene.avoid = set(avoid)
        scene.user(question)
        scene.assistant(answer)
        return
    scene.ask_for(use.tool, use.said(scene.dice))
    names = [in_words(tool.name) for tool in scene.offer()[:MOST_NAMED]]
    offer = expand(scene.dice.choice(phrasing.OFFERS), {"tools": joined(names)}, scene.dice)
    scene.assistant(phrasing.reply(scene.dice, phrasing.DECLINES, offer=offer))


def small_talk(scene: Scene) -> None:
    """The user chats; no tool is called though some are there."""
    for said, answer in chat(scene.dice):
        scene.user(said)
        scene.assistant(answer)


def answer_from_result(scene: Scene) -> None:
    """A later question is answered from the result that is there, without another call."""
    use = scene.use(scene.dice.choice(scene.catalogue.questionable))
    scene.ask_for(use.tool, use.said(scene.dice))
    scene.call((use.tool, use.arguments))
    scene.answer(use)
    told = results if use.tool.subject else phrasing
    pairs = use.tool.more or told.later_questions(use.result)
    for question, answer in scene.dice.sample(pairs, 2 if scene.dice.chance(0.2) else 1):
        ask = expand(question, use.known(scene.dice), scene.dice)
        scene.user(phrasing.reply(scene.dice, phrasing.MORE_FRAMES, ask=ask))
        scene.assistant(expand(answer, use.known(scene.dice), scene.dice) + ".")


def several_requests(scene: Scene) -> None:
    """Several requests one after the other, each of a kind that is as frequent in the mixture."""
    shares = scene.mixture.shares
    plays = [
        play
        for name, play, suits in _IN_A_ROW
        if suits(scene.catalogue)
        for _ in range(round(100 * shares.get(name, 0)))
    ]
    for _ in range(scene.dice.between(2, scene.mixture.most_requests)):
        scene.dice.choice(plays)(scene)


_IN_A_ROW: tuple[tuple[str, Callable[[Scene], None], Callable[[Catalogue], object]], ...] = (
    ("single_call", single_call, lambda catalogue: True),
    ("parallel_calls", parallel_calls, lambda catalogue: True),
    ("small_talk", small_talk, lambda catalogue: True),
    ("call_sequence", call_sequence, lambda catalogue: catalogue.chains),
    ("missing_argument", missing_argument, lambda catalogue: catalogue.omissible),
    ("answer_from_result", answer_from_result, lambda catalogue: catalogue.questionable),
)

BEHAVIOURS: dict[str, Behaviour] = {
    "single_call": Behaviour(single_call, "one call, then its answer"),
    "parallel_calls": Behaviour(parallel_calls, "several calls in one turn"),
    "call_sequence": Behaviour(
        call_sequence,
        "a later call takes an argument from an earlier result",
        lambda catalogue: catalogue.chains,
        "two tools of which one takes what the other gives",
    ),
    "missing_argument": Behaviour(
        missing_argument,
        "something is missing: a question, then the call",
        lambda catalogue: catalogue.omissible,
        "a required parameter",
    ),
    "invalid_value": Behaviour(
        invalid_value,
        "a value cannot be: a request for another, then the call",
        lambda catalogue: catalogue.mistakable,
        "a required parameter with an enum, bounds or wrong examples",
    ),
    "tool_error": Behaviour(
        tool_error,
        "a call fails and is made again, corrected",
        lambda catalogue: catalogue.slipping or catalogue.aliased,
        "a tool that fails for some values",
    ),
    "no_suitable_tool": Behaviour(no_suitable_tool, "no offered tool helps: a plain answer"),
    "small_talk": Behaviour(small_talk, "chat without a call"),
    "answer_from_result": Behaviour(
        answer_from_result,
        "a later question is answered from a result",
        lambda catalogue: catalogue.questionable,
        "a tool whose result has entries",
    ),
    "step_by_step": Behaviour(
        step_by_step,
        "three to five calls in a wanted order, one by one",
        lambda catalogue: catalogue.omissible or len(catalogue.tools) > 2,
        "three different calls",
    ),
    "several_requests": Behaviour(several_requests, "several requests in a row"),
    "confirm_first": Behaviour(
        confirm_first, "a rule wants a confirmation: the call comes after the user's yes, or never"
    ),
    "limit": Behaviour(
        limit,
        "a rule limits a number: above it a refusal, up to it the call",
        lambda catalogue: catalogue.limitable,
        "a required number",
    ),
    "preset": Behaviour(
        preset,
        "a rule gives an argument that the user does not name",
        lambda catalogue: catalogue.presettable,
        "an optional choice, number or yes and no",
    ),
    "forbidden_tool": Behaviour(forbidden_tool, "a rule forbids an offered tool: a refusal"),
    "harmful_request": Behaviour(harmful_request, "a request would harm somebody: a refusal"),
}
