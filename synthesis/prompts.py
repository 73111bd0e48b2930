"""System texts as products have them: who the assistant is, how it writes, what its rules are."""

from collections.abc import Sequence

from synthesis import pools
from synthesis.dice import Dice
from synthesis.grammar import expand

INTRODUCTIONS = (
    "You are {name}, the assistant of {company}.",
    "You are the (virtual|digital|online) assistant of {company}. Your name is {name}.",
    "You are a helpful assistant (with access to tools|who can use tools).",
    "(Act as|You work as) the (support|service|chat) assistant of {company}.",
    "{company} (support chat|help desk). You answer (its customers|customers and staff).",
    "You are an assistant (inside|in) the app of {company}.",
)
# Each holds in every behaviour, so that any may stand in any conversation.
MANNERS = (
    "Be (brief|short and friendly|polite|clear and short).",
    "Answer in English.",
    "(Never|Do not) make up the result of a tool.",
    "(Call a tool only when it is needed|Use the tools when one fits, and only then).",
    "(If|When) something that a tool needs is missing, ask for it(.| first.)",
    "(If|When) no tool fits, say so.",
    "(Do not|Never) guess (arguments|values) that the user has not given.",
    "(If|When) a tool reports an error, (say what it was|tell the user or correct the call).",
    "(Say|Tell) what came out in (a sentence or two|plain words).",
)
SIGN_OFFS = (
    "Anything else? Just write.",
    "Your {company} team.",
    "Yours, {name}.",
    "{company} wishes you a good day.",
    "Was that helpful? Let us know.",
)
SIGN_OFF_RULES = (
    'End every answer to the user with "{signoff}"',
    'The last sentence of every answer is: "{signoff}"',
)


def draw_names(dice: Dice) -> dict[str, str]:
    """Return the names of an assistant and its company."""
    company = f"{dice.choice(pools.COLOURS)} {dice.choice(pools.CREATURES)}".title()
    ending = dice.choice(("", " Services", " & Co", " Online", " Group"))
    return {"name": dice.choice(pools.FIRST_NAMES), "company": company + ending}


def draw_sign_off(dice: Dice, names: dict[str, str]) -> str:
    """Return a sentence that ends every answer."""
    return expand(dice.choice(SIGN_OFFS), names, dice)


def write_system(dice: Dice, names: dict[str, str], rules: Sequence[str], signoff: str) -> str:
    """Return a system text that tells the rules among other things, as a text or as a list."""
    told = [expand(text, names, dice) for text in dice.sample(MANNERS, dice.below(5))]
    if signoff:
        told.append(expand(dice.choice(SIGN_OFF_RULES), {"signoff": signoff}, dice))
    told = dice.shuffled([*told, *rules])
    introduction = expand(dice.choice(INTRODUCTIONS), names, dice)
    if not told:
        return introduction
    way = dice.below(3)
    if way == 0:
        return " ".join([introduction, *told])
    title = dice.choice(("Rules:", "# Rules", "Please note:", "Guidelines", "Policies:"))
    lines = [f"{f'{number}.' if way == 1 else '-'} {text}" for number, text in enumerate(told, 1)]
    return "\n".join([introduction, "", title, *lines])
