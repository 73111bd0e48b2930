"""Questions that need no tool, with answers that are computed here, so that they are correct."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from synthesis import pools
from synthesis.dates import MONTH_LENGTHS
from synthesis.dice import Dice
from synthesis.grammar import expand, marked
from synthesis.kinds import MONTHS
from synthesis.phrasing import QUESTION_FRAMES, closing, opening

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
OPPOSITES = pools.listed(
    "hot cold|early late|heavy light|wide narrow|deep shallow|loud quiet|rough smooth|"
    "cheap expensive|empty full|brave timid|ancient modern|sharp blunt|rich poor|near far|"
    "simple complicated|generous stingy|polite rude|rare common|damp dry|rigid flexible",
    "|",
)
CAPITALS = pools.listed(
    "Austria Vienna|Denmark Copenhagen|Egypt Cairo|Finland Helsinki|France Paris|"
    "Greece Athens|Hungary Budapest|Iceland Reykjavik|Ireland Dublin|Italy Rome|Japan Tokyo|"
    "Kenya Nairobi|Latvia Riga|Norway Oslo|Peru Lima|Poland Warsaw|Portugal Lisbon|"
    "Spain Madrid|Sweden Stockholm|Thailand Bangkok|Tunisia Tunis|Turkey Ankara",
    "|",
)
EXPLANATIONS = {
    "a synonym": "a word that means (nearly |)the same as another one",
    "an antonym": "a word that means the opposite of another one",
    "a palindrome": "a word that reads the same forwards and backwards",
    "a haiku": "a short poem of three lines with five, seven and five syllables",
    "a leap year": "a year with 366 days; February then has 29 of them",
    "a prime number": "a whole number above one that only one and itself divide",
    "an adverb": "a word that says how, when or where something happens",
    "a glossary": "a list of special words with their meanings",
    "a watershed": "the line between two areas whose waters flow to different rivers",
    "an estuary": "the wide part of a river where it meets the sea",
    "a metaphor": "a way to describe a thing by speaking of another that is like it",
    "a solstice": "the day on which the sun stands highest or lowest in the year",
}
DRAFTS = (
    ("a thank-you note", "Dear {name}, thank you very much for the {thing}. It made my day."),
    ("an apology", "Dear {name}, I am sorry about the {thing}. I will make it right."),
    (
        "an invitation",
        "Dear {name}, would you like to join us for the {thing}? Please do.",
    ),
    ("a short reminder", "Dear {name}, please remember the {thing}. It would help us a lot."),
    ("a congratulation", "Dear {name}, congratulations on the {thing}! You have earned it."),
)


@dataclass(frozen=True)
class Topic:
    """A kind of question; tools of the domains in `avoid` could answer it too."""

    draw: Callable[[Dice], tuple[str, str]]
    avoid: tuple[str, ...] = ()


def _sum(dice: Dice) -> tuple[str, str]:
    first, second = dice.between(11, 480), dice.between(11, 480)
    ask = "(what is|what's|how much is) {a} plus {b}"
    answer = "{a} plus {b} is {c}."
    values = {"a": marked(first), "b": marked(second), "c": str(first + second)}
    return expand(ask, values, dice), expand(answer, values, dice)


def _month(dice: Dice) -> tuple[str, str]:
    month = dice.between(0, 11)
    other = " (29 in a leap year)" if month == 1 else ""
    values = {"month": marked(MONTHS[month]), "days": f"{MONTH_LENGTHS[month]} days{other}"}
    ask = expand("how (many days has|long is|many days are there in) {month}", values, dice)
    return ask, expand("{month} has {days}.", values, dice)


def _weekday(dice: Dice) -> tuple[str, str]:
    day, step = dice.below(7), dice.between(2, 6)
    values = {"day": marked(WEEKDAYS[day]), "step": marked(step)}
    values["other"] = WEEKDAYS[(day + step) % 7]
    ask = expand("(which|what) (day|weekday) (comes|is it) {step} days after a {day}", values, dice)
    return ask, expand("{step} days after a {day} it is a {other}.", values, dice)


def _opposite(dice: Dice) -> tuple[str, str]:
    pair = dice.choice(OPPOSITES).split()
    if dice.chance(0.5):
        pair.reverse()
    values = {"word": marked(pair[0]), "other": pair[1]}
    ask = "(what is|what's|could you name|do you know) the opposite of '{word}'"
    return expand(ask, values, dice), expand("The opposite of '{word}' is '{other}'.", values, dice)


def _capital(dice: Dice) -> tuple[str, str]:
    country, city = dice.choice(CAPITALS).split()
    values = {"country": marked(country), "city": city}
    ask = "(what is|which city is|what do they call) the capital of {country}"
    return expand(ask, values, dice), expand("The capital of {country} is {city}.", values, dice)


def _explanation(dice: Dice) -> tuple[str, str]:
    term = dice.choice(tuple(EXPLANATIONS))
    ask = expand("(what is|what's|can you explain what is meant by) {t}", {"t": marked(term)}, dice)
    return ask, f"{term[0].upper()}{term[1:]} is {expand(EXPLANATIONS[term], {}, dice)}."


def _order(dice: Dice) -> tuple[str, str]:
    names = dice.sample(pools.FIRST_NAMES, 3)
    ask = "who comes (first|earliest) in the alphabet(,|:) {a}, {b} or {c}"
    values = dict(zip("abc", map(marked, names), strict=True))
    return expand(ask, values, dice), f"{min(names)} comes first."


def _draft(dice: Dice) -> tuple[str, str]:
    what, text = dice.choice(DRAFTS)
    values = {
        "what": what,
        "name": marked(dice.choice(pools.FIRST_NAMES)),
        "thing": marked(f"{dice.choice(pools.TOPICS)} {dice.choice(pools.OCCASIONS)}"),
    }
    ask = (
        "(how would you word|what would you write in|how should I put) {what} to {name} about the "
        "{thing}"
    )
    return expand(ask, values, dice), expand(text, values, dice)


TOPICS = (
    Topic(_sum, ("mathematics",)),
    Topic(_month, ("calendar",)),
    Topic(_weekday, ("calendar",)),
    Topic(_opposite),
    Topic(_capital),
    Topic(_explanation),
    Topic(_order, ("text",)),
    Topic(_draft, ("messages",)),
)


def suitable_topics(domains: Iterable[str], any_kind: bool) -> list[Topic]:
    """Return the topics that leave some tool to offer: of any kind, or sums where these do."""
    names = set(domains)
    suitable = [topic for topic in TOPICS if names - set(topic.avoid)]
    return suitable if any_kind or TOPICS[0] not in suitable else [TOPICS[0]]


def plain_answer(dice: Dice, topic: Topic) -> tuple[str, str, tuple[str, ...]]:
    """Return a question, its answer, and the domains whose tools must not be offered."""
    ask, answer = topic.draw(dice)
    framed = expand(dice.choice(QUESTION_FRAMES[:-1]), {"ask": ask}, dice)
    return f"{opening(dice, ())}{framed}{closing(dice)}", answer, topic.avoid
