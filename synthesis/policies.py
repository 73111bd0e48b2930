"""Behaviours in which the system text decides what is right."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from chat.schemas.validation import validate_arguments
from synthesis.declaration import Parameter, SyntheticTool, fitting, is_error
from synthesis.dice import Dice
from synthesis.grammar import bare, expand, joined, marked, spoken
from synthesis.names import in_words
from synthesis.rules import (
    AGREEMENTS,
    CHANGES,
    CONFIRM_QUESTIONS,
    CONFIRM_RULES,
    FLAG_RULES,
    FORBIDDEN_REFUSALS,
    FORBIDDEN_RULES,
    LEFT_ALONE,
    LIMIT_REFUSALS,
    LIMIT_RULES,
    LOWER,
    PRESET_RULES,
    REJECTIONS,
)
from synthesis.scene import TRIES, Scene
from synthesis.use import Use
from synthesis.wording import is_changing, purpose, to_user


def confirm_first(scene: Scene) -> None:
    """A rule wants a confirmation: the details, the user's word, and only then the call."""
    tool = changing_tool(scene)
    _rule(scene, CONFIRM_RULES, tool=tool.name)
    if len(scene.catalogue.tools) > 1 and scene.dice.chance(0.2):
        # The rule is about one tool: another one is called at once.
        scene.used[tool.name] = tool
        _do(scene, scene.use(_other_tool(scene, tool)))
        return
    use = scene.use(tool)
    said = use.said(scene.dice)
    scene.ask_for(tool, said)
    _confirm(scene, tool, said)
    outcome = scene.dice.below(5)
    if outcome == 0:
        scene.agree(REJECTIONS)
        scene.assistant(expand(scene.dice.choice(LEFT_ALONE), {}, scene.dice))
        return
    if outcome == 1:
        use = _changed(scene, use)
    scene.agree(AGREEMENTS)
    scene.call((tool, use.arguments))
    scene.answer(use)


def _changed(scene: Scene, use: Use) -> Use:
    """Let the user change one detail and the assistant ask again; the same use where none can."""
    slots = [p for p in use.tool.parameters if p.required and p.schema.get("type") != "boolean"]
    if not slots:
        return use
    slot = scene.dice.choice(slots)
    for _ in range(TRIES):
        value = scene.draw(slot, use.arguments)
        arguments = {**use.arguments, slot.name: value}
        result = use.tool.run(arguments)
        if value != use.arguments[slot.name] and not is_error(result):
            changed = Use(use.tool, arguments, result)
            said = changed.said(scene.dice)
            scene.user(_filled(scene, CHANGES, noun=slot.kind.noun, value=said[slot.name]))
            _confirm(scene, use.tool, said)
            return changed
    return use


def _confirm(scene: Scene, tool: SyntheticTool, said: Mapping[str, Any]) -> None:
    parts = [_detail(tool.parameter(name), value) for name, value in said.items()]
    details = f", with {joined(parts)}" if parts else ""
    words = purpose(tool)
    if tool.subject:
        words, details = to_user(scene.order(tool, said)), ""
    scene.assistant(_filled(scene, CONFIRM_QUESTIONS, purpose=words, details=details))


def _detail(parameter: Parameter, value: Any) -> str:
    if isinstance(value, bool):
        return f"{'' if value else 'no '}{in_words(parameter.name)}"
    is_text = parameter.schema.get("type") == "string" and " " in bare(value)
    quote = "'" if is_text and "enum" not in parameter.schema else ""
    return f"the {parameter.kind.noun} {quote}{value}{quote}"


def limit(scene: Scene) -> None:
    """A rule limits a number: above it a refusal, up to it the call."""
    use, slot, most = _limited(scene)
    tool, allows = use.tool, scene.dice.chance(0.4)
    value = use.arguments[slot.name]
    above = max(round_down(value * 1.5), ceil(value))
    shown = _amount(scene, slot, above if allows else most)
    _rule(scene, LIMIT_RULES, tool=tool.name, noun=slot.kind.noun, limit=shown)
    if allows:
        _do(scene, use)
        return
    said = use.said(scene.dice)
    scene.used[tool.name] = tool
    scene.ask_for(tool, said)
    words = {"noun": slot.kind.noun, "limit": shown, "wrong": said[slot.name]}
    scene.assistant(_filled(scene, LIMIT_REFUSALS, **words))
    lower = {**use.arguments, slot.name: most}
    result = tool.run(lower)
    if is_error(result) or scene.dice.chance(0.4):
        return
    scene.user(_filled(scene, LOWER, value=marked(slot.kind.say(most, scene.dice))))
    scene.call((tool, lower))
    scene.answer(Use(tool, lower, result))


def _limited(scene: Scene) -> tuple[Use, Parameter, int]:
    """Draw a use with a number that a limit can lie below, and the limit."""
    slots = scene.catalogue.limitable
    changing = [(tool, slot) for tool, slot in slots if is_changing(tool)]
    for _ in range(TRIES):
        # Products limit what is spent or booked more often than what is calculated.
        tool, slot = scene.dice.choice(changing if scene.dice.chance(0.7) and changing else slots)
        use = scene.use(tool)
        value = use.arguments[slot.name]
        most = round_down(value * 0.7)
        fits = not validate_arguments(tool.tool, {**use.arguments, slot.name: most})
        if 0 < most < value and fits:
            return use, slot, most
    raise ValueError("no number that a tool takes leaves room for a lower limit")


def _amount(scene: Scene, slot: Parameter, value: Any) -> str:
    """Say a number beside its noun: 3, not 3 guests, where that is the number of guests."""
    text = slot.kind.say(value, scene.dice)
    return spoken(value) if text.rpartition(" ")[2] in slot.kind.noun.split() else text


def round_down(value: float) -> int:
    """Return a whole number with at most two digits other than 0, not above the value."""
    whole = max(int(value), 1)
    unit = 10 ** max(len(str(whole)) - 2, 0)
    return whole // unit * unit


def preset(scene: Scene) -> None:
    """A rule gives an argument that the user does not name; what the user names wins."""
    tool, slot = scene.dice.choice(scene.catalogue.presettable)
    value = _not_default(scene, slot)
    if slot.schema.get("type") == "boolean":
        told = "true" if value else "false"
        _rule(scene, FLAG_RULES, tool=tool.name, name=slot.name, value=told)
    else:
        words = value if isinstance(value, str) else _amount(scene, slot, value)
        _rule(scene, PRESET_RULES, tool=tool.name, noun=slot.kind.noun, value=words)
    if slot.schema.get("type") != "boolean" and scene.dice.chance(0.3):
        _do(scene, scene.use(tool, {slot.name: _not_default(scene, slot)}))
        return
    for _ in range(TRIES):
        use = scene.use(tool, {slot.name: value})
        said = use.said(scene.dice)
        del said[slot.name]
        if fitting(tool.do, frozenset(said)):
            break
    scene.ask_for(tool, said)
    scene.call((tool, use.arguments))
    scene.answer(use)


def _not_default(scene: Scene, slot: Parameter) -> Any:
    if isinstance(slot.default, bool):
        return not slot.default
    for _ in range(TRIES):
        value = scene.draw(slot, {})
        if value != slot.default:
            return value
    raise ValueError(f"{slot.name} takes no other value than {slot.default!r}")


def forbidden_tool(scene: Scene) -> None:
    """A rule forbids a tool that is offered: who asks for it is refused, others are served."""
    tool = scene.any_tool()
    scene.used[tool.name] = tool
    _rule(scene, FORBIDDEN_RULES, tool=tool.name)
    served = len(scene.catalogue.tools) > 1 and scene.dice.chance(0.35)
    if served:
        _do(scene, scene.use(_other_tool(scene, tool)))
        return
    scene.ask_for(tool, scene.use(tool).said(scene.dice))
    scene.assistant(_filled(scene, FORBIDDEN_REFUSALS, purpose=purpose(tool)))


def changing_tool(scene: Scene) -> SyntheticTool:
    """Return a tool that changes something, any where none does."""
    changing = [tool for tool in scene.catalogue.tools if is_changing(tool)]
    return scene.dice.choice(changing or scene.catalogue.tools)


def _other_tool(scene: Scene, tool: SyntheticTool) -> SyntheticTool:
    near = scene.catalogue.similar[tool.domain]
    tools = [other for other in scene.catalogue.tools if other.name != tool.name]
    return scene.dice.choice([other for other in tools if other.domain not in near] or tools)


def _do(scene: Scene, use: Use) -> None:
    """Let the user ask for a use, and the assistant do it."""
    scene.ask_for(use.tool, use.said(scene.dice))
    scene.call((use.tool, use.arguments))
    scene.answer(use)


def _rule(scene: Scene, frames: tuple[str, ...], **values: Any) -> None:
    text = _filled(scene, frames, **{name: spoken(value) for name, value in values.items()})
    scene.rules.append(text)


def _filled(scene: Scene, frames: tuple[str, ...], **values: Any) -> str:
    dice: Dice = scene.dice
    return expand(dice.choice(frames), values, dice)
