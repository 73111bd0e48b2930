"""The behaviours: how a conversation goes, each with the share it has by default."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synthesis import phrasing
from synthesis.catalogue import Catalogue
from synthesis.declaration import Chain, Parameter, SyntheticTool, fitting, is_error
from synthesis.detours import invalid_value, missing_argument, tool_error
from synthesis.grammar import expand, joined, look_up, marked
from synthesis.plain_answers import plain_answer, suitable_topics
from synthesis.scene import TRIES, Scene, Use
from synthesis.small_talk import small_talk as chat


@dataclass(frozen=True)
class Behaviour:
    """A way for a conversation to go.

    needs: What the tools must offer, in words, when `possible` says they do not.
    """

    play: Callable[[Scene], None]
    share: float
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
    """Two or three calls at once: one tool with several values, or several tools."""
    tool = scene.any_tool()
    slots = [parameter for parameter in tool.parameters if _can_be_listed(tool, parameter)]
    if len(scene.catalogue.tools) == 1 or (slots and scene.dice.chance(0.5)):
        slot = scene.dice.choice(slots) if slots else None
        _same_tool(scene, tool, slot)
    else:
        count = 2 if scene.dice.chance(0.75) else 3
        tools = scene.dice.sample(scene.catalogue.tools, count)
        _order(scene, [scene.use(chosen) for chosen in tools])


def _can_be_listed(tool: SyntheticTool, parameter: Parameter) -> bool:
    """Whether a request for "A and B" means two calls: texts alone, and not quoted."""
    if parameter.kind.follows or any(p.kind.follows == parameter.name for p in tool.parameters):
        return False
    quoted = f"'{{{parameter.name}}}'"
    text = parameter.required and parameter.schema.get("type") == "string"
    return text and not any(quoted in template for template in tool.do + tool.ask)


def _same_tool(scene: Scene, tool: SyntheticTool, slot: Parameter | None) -> None:
    uses = [scene.use(tool)]
    said = uses[0].said(scene.dice)
    if slot is None:
        _order(scene, [uses[0], scene.use(tool)])
        return
    values = [said[slot.name]]
    for _ in range(scene.dice.between(1, 2)):
        others = {name: value for name, value in uses[0].arguments.items() if name != slot.name}
        other = _another(scene, tool, slot, others, uses)
        if other is not None:
            uses.append(other)
            values.append(marked(slot.kind.say(other.arguments[slot.name], scene.dice)))
    if len(uses) == 1:
        _order(scene, [uses[0], scene.use(tool)])
        return
    scene.ask_for(tool, said | {slot.name: joined(values)})
    scene.call(*((use.tool, use.arguments) for use in uses))
    scene.answer(*uses, naming=slot.name)


def _another(
    scene: Scene, tool: SyntheticTool, slot: Parameter, others: dict[str, Any], uses: list[Use]
) -> Use | None:
    """Return the same use with another value in one slot; None where there is none."""
    taken = [use.arguments[slot.name] for use in uses]
    for _ in range(TRIES):
        value = scene.draw(slot, others)
        arguments = {
            parameter.name: value if parameter is slot else others[parameter.name]
            for parameter in tool.parameters
            if parameter is slot or parameter.name in others
        }
        result = tool.run(arguments)
        if value not in taken and not is_error(result):
            return Use(tool, arguments, result)
    return None


def _order(scene: Scene, uses: list[Use]) -> None:
    """Ask for several things in one request, and do them at once."""
    orders = [scene.order(use.tool, use.said(scene.dice)) for use in uses]
    link = scene.dice.choice((", and ", ", and also ", "; also, ", ", and besides "))
    core = link.join(orders) if len(orders) == 2 else f"{', '.join(orders[:-1])}{link}{orders[-1]}"
    reasons = scene.catalogue.reasons[uses[0].tool.domain]
    scene.user(phrasing.request(scene.dice, core, False, reasons))
    scene.call(*((use.tool, use.arguments) for use in uses))
    scene.answer(*uses)


def call_sequence(scene: Scene) -> None:
    """A second tool takes an argument from the first one's result."""
    chain = scene.dice.choice(scene.catalogue.chains)
    first, then = _linked(scene, chain)
    told = then.said(scene.dice) | first.said(scene.dice)
    said = {name: value for name, value in told.items() if name not in chain.uses}
    said |= {name: value for name, value in first.said(scene.dice).items() if name in chain.uses}
    core = expand(scene.dice.choice(fitting(chain.do, frozenset(said))), said, scene.dice)
    reasons = scene.catalogue.reasons[first.tool.domain]
    scene.user(phrasing.request(scene.dice, core, False, reasons))
    for use in (first, then):
        scene.call((use.tool, use.arguments))
    scene.answer(first, then) if scene.dice.chance(0.5) else scene.answer(then)


def _linked(scene: Scene, chain: Chain) -> tuple[Use, Use]:
    """Draw the uses of a chain: shared names have one value, the others come from the result."""
    tools = scene.catalogue.by_name
    then = tools[chain.then]
    for _ in range(TRIES):
        first = scene.use(tools[chain.first])
        own = {parameter.name for parameter in then.parameters} - set(chain.uses)
        shared = {name: value for name, value in first.arguments.items() if name in own}
        taken = {name: look_up(first.result, path) for name, path in chain.uses.items()}
        try:
            return first, scene.use(then, shared | taken)
        except ValueError:
            # Not every first result can be used: a hotel that was found may be full.
            continue
    raise ValueError(f"{chain.then} never accepts what {chain.first} gives ({dict(chain.uses)})")


def no_suitable_tool(scene: Scene) -> None:
    """No offered tool helps: the assistant says so, or answers from what it knows."""
    use = scene.use(scene.any_tool())
    scene.avoid = {use.tool.domain, *scene.catalogue.similar[use.tool.domain]}
    if not scene.others() or scene.dice.chance(0.4):
        topics = suitable_topics(domain.name for domain in scene.catalogue.domains)
        question, answer, avoid = plain_answer(scene.dice, scene.dice.choice(topics))
        scene.avoid = set(avoid)
        scene.user(question)
        scene.assistant(answer)
        return
    scene.ask_for(use.tool, use.said(scene.dice))
    names = [tool.name.replace("_", " ") for tool in scene.offer()]
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
    pairs = use.tool.more or phrasing.later_questions(use.result)
    for question, answer in scene.dice.sample(pairs, 2 if scene.dice.chance(0.2) else 1):
        ask = expand(question, scene.known(use), scene.dice)
        scene.user(phrasing.reply(scene.dice, phrasing.MORE_FRAMES, ask=ask))
        scene.assistant(expand(answer, scene.known(use), scene.dice) + ".")


BEHAVIOURS: dict[str, Behaviour] = {
    "single_call": Behaviour(single_call, 0.26, "one call, then its answer"),
    "parallel_calls": Behaviour(parallel_calls, 0.12, "two or three calls in one turn"),
    "call_sequence": Behaviour(
        call_sequence,
        0.10,
        "a later call takes an argument from an earlier result",
        lambda catalogue: catalogue.chains,
        "two tools of which one takes what the other gives",
    ),
    "missing_argument": Behaviour(
        missing_argument,
        0.12,
        "something is missing: a question, then the call",
        lambda catalogue: catalogue.omissible,
        "a required parameter",
    ),
    "invalid_value": Behaviour(
        invalid_value,
        0.08,
        "a value cannot be: a request for another, then the call",
        lambda catalogue: catalogue.mistakable,
        "a required parameter with an enum, bounds or wrong examples",
    ),
    "tool_error": Behaviour(
        tool_error,
        0.08,
        "a call fails and is made again, corrected",
        lambda catalogue: catalogue.slipping or catalogue.aliased,
        "a tool that fails for some values",
    ),
    "no_suitable_tool": Behaviour(no_suitable_tool, 0.10, "no offered tool helps: a plain answer"),
    "small_talk": Behaviour(small_talk, 0.06, "chat without a call"),
    "answer_from_result": Behaviour(
        answer_from_result,
        0.08,
        "a later question is answered from a result",
        lambda catalogue: catalogue.questionable,
        "a tool whose result has entries",
    ),
}
