"""Behaviours with a detour: something is missing or wrong, and is put right before the answer."""

import re
from typing import Any

from synthesis import phrasing
from synthesis.declaration import Parameter, SyntheticTool, fitting, is_error
from synthesis.grammar import expand, marked, spoken
from synthesis.names import in_words
from synthesis.scene import TRIES, Scene
from synthesis.use import Use


def missing_argument(scene: Scene) -> None:
    """The user leaves something out; the assistant asks for it, and then calls."""
    tool, slot = scene.dice.choice(scene.catalogue.omissible)
    for _ in range(TRIES):
        use = scene.use(tool)
        said = use.said(scene.dice)
        value = str(said.pop(slot.name))
        # A request without this value may have no words for some of the optional ones.
        if fitting(tool.do, frozenset(said)):
            break
    scene.ask_for(tool, said)
    _ask_user(scene, phrasing.MISSING_QUESTIONS, slot)
    _tell(scene, phrasing.ANSWER_FRAMES, slot, value)
    scene.call((tool, use.arguments))
    scene.answer(use)


def invalid_value(scene: Scene) -> None:
    """The user gives a value that cannot be; the assistant asks for another before it calls."""
    tool, slot = scene.dice.choice(scene.catalogue.mistakable)
    use = scene.use(tool)
    said = use.said(scene.dice)
    wrong, rule = _mistake(scene, slot)
    scene.ask_for(tool, said | {slot.name: marked(wrong)})
    _ask_user(scene, scene.mixture.frames.refusals, slot, rule=rule, wrong=wrong)
    _tell(scene, phrasing.CORRECTION_FRAMES, slot, str(said[slot.name]))
    scene.call((tool, use.arguments))
    scene.answer(use)


def _mistake(scene: Scene, slot: Parameter) -> tuple[str, str]:
    """Return something a user may say that the parameter cannot be, and the rule against it."""
    dice, kind = scene.dice, slot.kind
    if kind.wrong:
        return kind.wrong(dice), expand(kind.rule, {}, dice)
    least, most = slot.schema["minimum"], slot.schema["maximum"]
    above = most + dice.between(1, max(9, int(most)))
    value = above if dice.chance(0.7) or least < 0 else -dice.between(1, 9)
    bounds = f"between {spoken(least)} and {kind.say(most, dice)}"
    rule = f"the {kind.noun} (must be|has to be|can only be) {bounds}"
    return kind.say(value, dice), expand(rule, {}, dice)


def tool_error(scene: Scene) -> None:
    """A call fails; the assistant corrects it, by the message's hint or with the user's help."""
    aliased, slipping = scene.catalogue.aliased, scene.catalogue.slipping
    if aliased and (not slipping or scene.dice.chance(0.4)):
        _correct_by_hint(scene, *scene.dice.choice(aliased))
    else:
        _correct_with_user(scene, *scene.dice.choice(slipping))


def _correct_by_hint(scene: Scene, tool: SyntheticTool, slot: Parameter) -> None:
    alias = scene.dice.choice(tuple(slot.kind.aliases))
    use = scene.use(tool, {slot.name: slot.kind.aliases[alias]})
    scene.ask_for(tool, use.said(scene.dice) | {slot.name: marked(alias)})
    scene.call((tool, {**use.arguments, slot.name: alias}))
    scene.call((tool, use.arguments))
    scene.answer(use)


def _correct_with_user(scene: Scene, tool: SyntheticTool, slot: Parameter) -> None:
    use, failing = _failing(scene, tool, slot)
    said = Use(tool, failing, None).said(scene.dice)
    scene.ask_for(tool, said)
    (result,) = scene.call((tool, failing))
    _ask_user(scene, phrasing.ERROR_REPORTS, slot, error=_in_words(tool, result["error"]))
    value = marked(slot.kind.say(use.arguments[slot.name], scene.dice))
    _tell(scene, phrasing.CORRECTION_FRAMES, slot, value)
    scene.call((tool, use.arguments))
    scene.answer(use)


def _in_words(tool: SyntheticTool, error: str) -> str:
    """Write the arguments that an error names as they are spoken: end date for end_date."""
    for parameter in tool.parameters:
        if (words := in_words(parameter.name)) != parameter.name:
            error = re.sub(rf"\b{re.escape(parameter.name)}\b", words, error)
    return error


def _failing(scene: Scene, tool: SyntheticTool, slot: Parameter) -> tuple[Use, dict[str, Any]]:
    """Return a use, and its arguments with a value in `slot` at which the tool fails."""
    draw = slot.kind.stray or slot.kind.draw
    for _ in range(TRIES):
        use = scene.use(tool)
        if slot.name not in use.arguments:
            continue
        for _ in range(20):
            failing = {**use.arguments, slot.name: draw(scene.dice)}
            if is_error(tool.run(failing)):
                return use, failing
    raise ValueError(f"{tool.name} never fails for a {slot.name}, though it is said to")


def _ask_user(scene: Scene, frames: tuple[str, ...], slot: Parameter, **values: str) -> None:
    scene.assistant(phrasing.reply(scene.dice, frames, noun=slot.kind.noun, **values))


def _tell(scene: Scene, frames: tuple[str, ...], slot: Parameter, value: str) -> None:
    # A sentence stands in quotes, so that it is told from what is said about it.
    quoted = f"'{value}'" if value.count(" ") > 3 else value
    told = phrasing.reply(scene.dice, frames, noun=slot.kind.noun, value=quoted)
    scene.user(told + phrasing.closing(scene.dice))
