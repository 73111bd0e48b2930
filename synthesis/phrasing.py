"""How people ask and an assistant answers, whatever the tool: frames around its phrases."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthesis import pools
from synthesis.dice import Dice
from synthesis.grammar import expand, joined, marked, slot_of, spoken
from synthesis.names import in_words

REQUEST_FRAMES = (
    "{do}.",
    "{do}, please.",
    "please {do}.",
    "(can|could|would|will) you (please |quickly |kindly |just |){do}?",
    "(can|could) you {do}(, if you don't mind| when you have a moment|, if that's all right)?",
    "(could|would) you be so (kind|good) as to {do}?",
    "(I need|I want|I would like|I'd like|I wanted) you to {do}(.|, please.)",
    "I (was wondering|wonder|am wondering) (if|whether) you (could|can) {do}.",
    "(it would be|it'd be) (great|nice|lovely|a big help|helpful) if you could {do}.",
    "I'd (appreciate it|be grateful|be glad) if you (could |would ){do}.",
    "(is it possible|would it be possible|is there a way) for you to {do}?",
    "(any chance|do you think) you (could|can) {do}?",
    "(do me a favour and|go ahead and|now) {do}.",
    "(the next thing|my first request|what I need) is this: {do}.",
    "(when you can|if you can|if possible|once you are ready), {do}.",
    "(help me out|give me a hand|lend me a hand) and {do}.",
    "my (question|request|wish) is simple: {do}.",
)
QUESTION_FRAMES = (
    "{ask}?",
    "{ask}, please?",
    "(quick|short|small|one) question: {ask}?",
    "(tell me|say|so|well|now), {ask}?",
    "(I have to ask|here is my question|I'm curious|I was wondering): {ask}?",
    "(do you know|can you tell me|any idea)? {ask}?",
    "{ask}? (I can't find it|I have no idea|I forgot|I need to know).",
)
OPENERS = (
    "(hi|hello|hey)( there|)(!|.|,)",
    "good (morning|afternoon|evening)(!|.|,)",
    "(hi|hello|hey|good morning|good evening)(,|!) {name} here.",
    "(hi|hello)(,|!) (it's|this is) {name}(.| again.)",
    "(okay|alright|right|now then|so)(,|.)",
    "(sorry to bother you|excuse me|sorry|me again)(,|.)",
    "(one more thing|another thing|next one)(:|.)",
)
LINKS = (
    "(great|thanks|thank you|perfect|okay|good)(.|!)",
    "(one more thing|another thing|next)(:|.)",
    "(now|and now)(,|:)",
    "(that helps|good to know)(.|!)",
)
CLOSERS = (
    "(thanks|thank you|many thanks|thanks a lot|thank you so much)(!|.| in advance.)",
    "(no rush|take your time|no hurry|whenever you can)(.|!)",
    "(that's all|that is all|nothing else)( for now| for today|)(.|, thanks.)",
    "(I appreciate it|much appreciated|you're a star|you're the best)(.|!)",
    "(it's|this is) (urgent|not urgent|quite important|for a friend)(.|, thanks.)",
    "(I'm on the road|I have a minute|I'll wait|I'm in a hurry)(.|, thanks.)",
    "(hope that's clear|hope that makes sense|let me know)(.|!)",
)
ANSWER_FRAMES = (
    "{value}(.|, please.)",
    "(it's|it is|that's|that would be|that should be) {value}(.|, thanks.| as far as I know.)",
    "(use|take|try|let's take|let's use|go with|let's go with) {value}(.|, please.)",
    "(make it|let's say|say|I'd say) {value}(.|, please.| then.)",
    "(I was thinking of|I had in mind|I'd like|I'll take|I want) {value}(.| then.)",
    "(sorry, I forgot|I should have said|I forgot to say|I thought I said that)(:|.) {value}.",
    "the {noun}(:| is| should be| would be| will be) {value}(.|, please.| I think.)",
    "for the {noun}(,|:) {value}(.|, please.)",
    "(oh|ah|right|of course|sure|yes|good point|fair enough)(,|:| -) {value}(.|, please.)",
    "here (you go|it comes): {value}.",
)
CORRECTION_FRAMES = (
    "(sorry|oops|oh|ah|my mistake|my bad|you're right|indeed), (I meant|it should be|make it|it is|"
    "it's) {value}(.|, please.| instead.)",
    "(then|in that case|all right, then|okay, then) (use|take|try|make it|let's take) {value}"
    "(.|, please.| instead.)",
    "the (right|correct|real|actual) {noun} (is|should be|would be) {value}(.| of course.)",
    "(try|use|take|put) {value} (instead|then|this time)(.|, please.)",
    "(I mixed that up|I misread it|that was a typo|silly me|I got that wrong)(:|, it's|, I meant) "
    "{value}.",
    "(how about|what about|can we do|could it be) {value}(| then)?",
    "would {value} (do|work|be better|be all right)?",
)
MISSING_QUESTIONS = (
    "(which|what) {noun} (should I use|shall I use|do you have in mind|would you like)?",
    "(could|can|would) you (tell me|give me|let me know) the {noun}?",
    "(sure|of course|gladly|okay)(!|.|,) (which {noun} should I use|could you give me the {noun})?",
    "I (still |)need the {noun} (first|for that|before I can start). (Could|Can) you tell me?",
    "(please|to do that, please) (tell me|give me|let me know) the {noun}.",
    "(happy to help|I can do that). (Which|What) {noun} should I use?",
    "(one thing is missing|something is missing): the {noun}. (Could|Can) you (add|give me) that?",
)
REFUSALS = (
    "(I'm afraid|unfortunately,|sorry, but|I'm sorry, but|hm,) {rule}; you (said|wrote|gave me) "
    "{wrong}. (Could|Can|Would) you (check|correct) the {noun}?",
    "{wrong} (doesn't work|won't do|is not possible): {rule}. (Which|What) {noun} should I use "
    "instead?",
    "(that can't be right|there seems to be a mistake|I can't use that): {rule}, and you (wrote|"
    "said) {wrong}. (Please|Could you please) give me the right {noun}.",
)
ERROR_REPORTS = (
    "(that did not work|that failed|I ran into a problem|I got an error): {error}. (Which|What "
    "other) {noun} should I (try|use)?",
    "(I'm sorry|unfortunately that failed|no luck): {error}. (Could|Can) you give me another "
    "{noun}?",
    "(the tool says|the answer was|I was told): {error}. (Please check|Please change|You may "
    "want to change) the {noun}.",
)
LEADS = ("", "", "", "(sure.|all right.|okay.|of course.|here you go.|there you are.) ")
BESIDE = (
    "(let me|I'll) (check|see to) that( for you|)( now| right away|).",
    "(one|just a) moment(, please|).",
    "(sure|gladly|all right), (I'm on it|I'll do that now).",
    "I'll (use a tool|ask the tools) for that.",
    "(working on it|on it).",
)
BESIDE_NEXT = (
    "(now|next) comes the following step.",
    "(good|okay|done)(:|,) now the next step.",
    "(that is done|good), (now on|so on) to the next step.",
    "with that I can (go on|do the rest).",
)
BESIDE_AFTER_ERROR = (
    "(that failed|that did not work), (so |)I'll (try again|correct it).",
    "(let me|I'll) put that right.",
)
DECLINES = (
    "(I'm sorry|sorry|unfortunately)(, but|,) I (have no tool for that|can't do that here|am not "
    "able to do that). {offer}",
    "(none of my tools can do that|there is no tool for that here|that is beyond my tools)(.|, "
    "I'm afraid.) {offer}",
    "I('d| would) (like|love) to help, but (I have no tool for that|my tools don't cover that). "
    "{offer}",
)
OFFERS = (
    "(what I can do here|my tools here are for this|here I can help with): {tools}.",
    "(is there|do you have) (something|anything) else (for me|I can do)? (I can help with|my tools "
    "cover) {tools}.",
    "(you may need|try) another (service|app|website) for (it|that).",
)
MORE_FRAMES = (
    "{ask}?",
    "(and|also,|by the way,|one more thing:|just to be sure:|remind me:|thanks! and) {ask}?",
    "(thanks|thank you|great|perfect|nice|good)(.|!) {ask}?",
    "(okay|right|good to know|I see)(,|.) (and |but |){ask}?",
    "{ask}, (if I may ask|by the way|again|exactly|please)?",
    "(hm|wait|hold on|before I forget)(,|:) {ask}?",
)


@dataclass(frozen=True)
class Frames:
    """Frames around what a tool's phrases say.

    mended: Whether a sentence after a comma begins in a small letter, and a noun before
        several values is plural.
    """

    requests: tuple[str, ...]
    questions: tuple[str, ...]
    refusals: tuple[str, ...]
    mended: bool = False


FIRST = Frames(REQUEST_FRAMES, QUESTION_FRAMES, REFUSALS)


def opening(dice: Dice, reasons: tuple[str, ...], first: bool = True, mended: bool = False) -> str:
    """Return what a user says before the matter itself; often nothing.

    Nobody greets in a later turn: only the `first` one does.
    """
    parts = []
    if not first and dice.chance(0.35):
        parts.append(expand(dice.choice(LINKS), {}, dice))
    elif first and dice.chance(0.35):
        name = marked(dice.choice(pools.FIRST_NAMES))
        # "One more thing" is not the first.
        openers = OPENERS[:-1] if mended else OPENERS
        parts.append(expand(dice.choice(openers), {"name": name}, dice))
    if reasons and dice.chance(0.4):
        reason = expand(dice.choice(reasons), {}, dice) + "."
        if mended and parts and parts[-1][-1] in ",:" and not reason.startswith(("I ", "I'")):
            reason = reason[:1].lower() + reason[1:]
        parts.append(reason)
    return "".join(part + " " for part in parts)


def closing(dice: Dice) -> str:
    """Return what a user says after the matter itself; often nothing."""
    return " " + expand(dice.choice(CLOSERS), {}, dice) if dice.chance(0.35) else ""


def request(
    dice: Dice,
    core: str,
    asks: bool,
    reasons: tuple[str, ...],
    first: bool = True,
    frames: Frames = FIRST,
) -> str:
    """Put a request (or a question, if it `asks`) between an opening and a closing."""
    chosen, slot = (frames.questions, "ask") if asks else (frames.requests, "do")
    framed = expand(dice.choice(chosen), {slot: core}, dice)
    return f"{opening(dice, reasons, first, frames.mended)}{framed}{closing(dice)}"


def reply(dice: Dice, frames: tuple[str, ...], **values: str) -> str:
    """Write one of the frames."""
    return expand(dice.choice(frames), values, dice)


def describe(result: Any, dice: Dice) -> str:
    """Say what a result of any form holds, for tools that bring no phrases."""
    if not result and isinstance(result, list | dict):
        return expand("(The result is empty|Nothing was found|There is nothing).", {}, dice)
    texts = [
        f"the {in_words(name)} {'are' if isinstance(item, list) else 'is'} {spoken(item)}"
        for name, item in told(result)
    ]
    texts += [f"there are no {in_words(name)}" for name in empty_lists(result)]
    if not texts:
        return f"The result is {spoken(result)}."
    lead = expand("(Here is what I found|This is the result|I found this|Done)", {}, dice)
    return f"{lead}: {joined(texts)}."


def told(result: Any) -> list[tuple[str, Any]]:
    """Return what of a result can be said: its scalars, and its lists of scalars."""
    lists = {
        name: value
        for name, value in (result.items() if isinstance(result, dict) else ())
        if isinstance(value, list)
        and value
        and all(isinstance(item, str | int | float) for item in value)
    }
    return [*scalars(result).items(), *lists.items()]


def empty_lists(result: Any) -> list[str]:
    """Return the names of a result's lists that hold nothing."""
    entries = result.items() if isinstance(result, dict) else ()
    return [name for name, value in entries if value == []]


def scalars(result: Any) -> Mapping[str, Any]:
    """Return the entries of a result that can be said in a word or two."""
    if not isinstance(result, dict):
        return {}
    return {
        name: value
        for name, value in result.items()
        if isinstance(value, str | int | float) and value != ""
    }


def later_questions(result: Any) -> list[tuple[str, str]]:
    """Return questions about entries of any result, and their answers, as templates."""
    found = []
    for name in scalars(result):
        words = in_words(name)
        statement = f"the {words} is {slot_of(name)}"
        found.append((f"(what is|what was|what's) the {words}", statement))
    return found
