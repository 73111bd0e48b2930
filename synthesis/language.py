"""How people write when they hurry, and what they tell beside the matter."""

import re

from synthesis import pools
from synthesis.dice import Dice
from synthesis.grammar import expand, marked, parted

SHORT_FORMS = {
    "please": ("pls", "plz", "please"),
    "you": ("u", "you"),
    "your": ("ur", "your"),
    "are": ("r", "are"),
    "thanks": ("thx", "thanks", "ty"),
    "because": ("cuz", "bc"),
    "want to": ("wanna",),
    "going to": ("gonna",),
    "tell me": ("tell me", "tell me rq"),
    "i would": ("id", "i would"),
    "what is": ("whats",),
    "i am": ("im",),
    "and": ("n", "and", "and"),
    "message": ("msg",),
    "minutes": ("mins",),
    "really": ("rly",),
}
ENDINGS = ("", "", "", " lol", " :)", " thx", " asap", "!!")
TYPO_ONE_IN = 16
_SHORTENED = re.compile(rf"\b({'|'.join(SHORT_FORMS)})\b")

BACKGROUND = (
    "I (spent|have spent) (the whole morning|half the afternoon|ages) (on the phone|in meetings|"
    "looking for my glasses), so (bear with me|forgive me if I sound short|I am a little slow).",
    "My (neighbour|flatmate|cousin) {name} (usually does this for me|told me about you|says "
    "you are quick), (so here I am|so I thought I would try|and I am curious).",
    "I (tried|wanted) to do (it|this) on (the website|my phone|the other computer), but (it kept "
    "loading|the page froze|I was logged out again).",
    "(Things are|It has been|My week is) (a bit|rather|quite) (hectic|messy|chaotic), and (the dog "
    "is barking|somebody is drilling next door|the children are shouting) (while I write|as well).",
    "I (don't|do not) (know much|have a clue) about (computers|these things), (but|though) {name} "
    "(insisted|said it would be easy).",
    "(First of all|Before I forget), (thank you for|I was happy with) the help (last time|the "
    "other day), (it saved me a lot of trouble|{name} was pleased too).",
    "(We have been|I have been) (putting this off|talking about this) for (weeks|a while), and "
    "(now it has to be done|today nobody has an excuse|it is time).",
    "I (hope|think) (this is the right place|you can do that), (otherwise|if not) just say so.",
    "The (weather|traffic|coffee machine) is (awful|no help|against me) (again|as usual), (but "
    "never mind|not that it matters here).",
    "(To give you some context|So you know)(:|,) I am (organising things|sorting out the usual "
    "chores|doing this) for (my family|our team|{name} and me).",
    "(As|Because) I am (typing on a train|in a waiting room|between two calls), I will (keep it "
    "short|try to be clear).",
    "I am (writing|asking) (for|on behalf of) my (uncle|aunt|grandmother|landlord), who (has no "
    "computer|is not good with screens|broke a finger), so (please be patient|I may have to ask "
    "back).",
    "(We moved|I changed jobs|We came back from holiday) (a few weeks ago|not long ago|recently), "
    "and (everything is still in boxes|nothing is where it was|I am still catching up).",
    "(Normally|Usually) I (would call|go there in person|ask a colleague), but (the line is always "
    "busy|they are closed|everybody is out).",
    "(It may sound silly|You will laugh), but (I have been stuck on this|this has kept me busy) "
    "(since breakfast|all day|for ages).",
    "(A friend|Somebody at work|{name}) (swears by|recommended|showed me) (this chat|you), and "
    "(I like the idea|so far I am impressed).",
    "(I am not in a hurry|There is no panic), (but|though) it would (calm me down|help my nerves) "
    "to have it (sorted|out of the way).",
    "(The cat|My little brother|The baby) (sat|slept) on the keyboard (before|just now), (sorry|my "
    "apologies) if (anything looks odd|there are typos).",
    "{name} (keeps asking|has asked twice), and I (promised|said) (I would see to it|it would "
    "be done).",
)


def background(dice: Dice) -> str:
    """Return two to four sentences that matter to no call."""
    chosen = dice.sample(BACKGROUND, dice.between(2, 4))
    names = (marked(dice.choice(pools.FIRST_NAMES)) for _ in chosen)
    texts = (expand(text, {"name": name}, dice) for text, name in zip(chosen, names, strict=True))
    return " ".join(texts)


def greets(text: str) -> bool:
    """Return whether a text begins with a greeting."""
    return re.match(r"(hi|hello|hey|good (morning|afternoon|evening))\b", text, re.I) is not None


def casual(text: str, dice: Dice) -> str:
    """Write a text as in a chat: small letters, short forms, typos; marked values stay."""
    small, bare = dice.chance(0.8), dice.chance(0.6)
    pieces = [
        piece if is_value else _in_chat(piece, small, bare, dice)
        for piece, is_value in parted(text)
    ]
    written = "".join(pieces)
    ending = dice.choice(ENDINGS)
    return (written.rstrip(".") if bare or ending else written) + ending


def _in_chat(text: str, small: bool, bare: bool, dice: Dice) -> str:
    if small:
        text = text.lower()
    text = _SHORTENED.sub(lambda found: dice.choice(SHORT_FORMS[found[0]]), text)
    if bare:
        text = re.sub(r"(?<=[a-zA-Z])'(?=[a-zA-Z])", "", text)
    return re.sub(r"[a-zA-Z]{4,}", lambda found: _typo(found[0], dice), text)


def _typo(word: str, dice: Dice) -> str:
    """Now and then swap, drop or double a letter inside a word."""
    if dice.below(TYPO_ONE_IN):
        return word
    at = dice.between(1, len(word) - 2)
    return dice.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
