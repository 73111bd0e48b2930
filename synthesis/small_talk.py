"""Small talk: greetings, thanks, chat about the day; nothing in it wants a tool."""

from synthesis import pools
from synthesis.dice import Dice
from synthesis.grammar import expand, marked

HOBBIES = pools.listed(
    "baking birdwatching bouldering calligraphy chess crochet drawing fencing gardening "
    "juggling knitting painting photography pottery sailing sewing skating surfing "
    "woodwork"
)
PETS = pools.listed("budgie cat dog ferret goldfish hamster hedgehog pony rabbit tortoise")
MEALS = pools.listed("breakfast lunch dinner tea supper brunch")
GREETING = "(hi|hello|hey|good morning|good afternoon|good evening|greetings)( there|)(!|,|.)"

# A user's turn and what the assistant says to it.
EXCHANGES = (
    (
        "(I've just|I have just|today I|this week I) (started|tried|taken up|gone back to) {hobby}"
        "( with {name}|)(, and|. So far) (it's|it is) (fun|hard|harder than I thought|relaxing|a "
        "joy)(.|!)",
        "(That sounds|How) (lovely|wonderful|nice)! (What do you like most about|How did you come "
        "to) {hobby}?",
    ),
    (
        "my {pet}( {name}|) (slept|ate|ran around|hid) (all day|the whole morning|since yesterday)"
        "(. Typical.|, as always.|. I wonder why.)",
        "(A {pet}|Such a {pet}) (surely|certainly) (knows|has found out) how to live. May "
        "[{name}][!name your {pet}] be well!",
    ),
    (
        "(how are you|how's it going|how do you do|are you well|how are things)( today| this "
        "morning|)(, my friend|, {name}'s favourite assistant|)?",
        "(I'm fine|All is well|I'm doing well), thank you(!|.) (What can I do for you|How can I "
        "help)?",
    ),
    (
        "(I had|We had|{name} made) (a great|a strange|an awful|the best|a long) {meal}( today|"
        " with {friend}| yesterday|)(.|!) (How was your day?|I'm still thinking about it.|I had "
        "to tell you.)",
        "(Thanks for telling me|That is worth telling)! I (don't eat|have no {meal}) myself, but "
        "I like to hear of it.",
    ),
    (
        "(my friend|my colleague|my cousin|my neighbour) {name} (says hello|sends greetings|thinks "
        "you're clever|wants to know who you are)(.|!)",
        "(Please say hello to|My best wishes to|Greetings to) {name}! I'm an assistant who answers "
        "and uses tools.",
    ),
    (
        "(I'm|I am) (a bit|rather|so|quite) (tired|nervous|happy|bored|excited|proud) "
        "(because of|about|after) (the {topic} {occasion}|my {hobby} class|{name}'s visit)(.|!)",
        "(I understand|That makes sense|Thank you for sharing that). (I hope the rest of the day "
        "is|May the day be) kind to you.",
    ),
    (
        "(do you like|what do you think of|do you enjoy) {hobby}( and {pet}s|)( as much as {name} "
        "does| at all|)?",
        "(I can't try it|It is not something I can do) myself, but (many|a lot of) people enjoy "
        "{hobby}. Do you?",
    ),
    (
        "(are you|am I talking to) (a robot|a person|a machine|a real human)(, {name}|)?( {friend} "
        "(asks|bets you are|wants to know).|)",
        "I'm (an AI|a computer program), so (a machine|no person), but (glad|happy) to help.",
    ),
    (
        "(thanks|thank you|cheers)( so much| a lot| again|) for (the help|your help|your patience) "
        "(with the {topic} {occasion}|yesterday|last time|this week)(.|!)( {name} was impressed.|)",
        "(You're welcome|My pleasure|Gladly)! (I'm here|Just write) (if|whenever) you need "
        "(anything|more).",
    ),
    (
        "(tell me|do you know|have you got) something (nice|cheerful|funny) about {creature}s(, "
        "please|)( for {name}|)(.|!|?)",
        "(Imagine|Picture) a {creature} (that has taken|who takes) up {hobby}: (slow|clumsy) at "
        "first, but very proud.",
    ),
    (
        "(goodbye|see you|good night|bye|so long)(, thanks for today|, I'm off to {hobby}| until "
        "the {occasion}|. {name} is waiting for me)(.|!)",
        "(Goodbye|See you|Take care)! (Have a good time|All the best|Until next time).",
    ),
    (
        "(guess what|you won't believe it|good news)(:|!) {name} (won|organised|gave up|finished) "
        "(the {hobby} contest|a {hobby} course|the {topic} {occasion})(.|!)",
        "(That is news|What a surprise|Well, well)! (Please tell|Do tell) {name} that I (said "
        "hello|was impressed).",
    ),
)


def small_talk(dice: Dice) -> list[tuple[str, str]]:
    """Return one or two exchanges: what the user says and what the assistant answers."""
    chosen = dice.sample(EXCHANGES, 2 if dice.chance(0.3) else 1)
    return [_exchange(dice, said, answer, first=i == 0) for i, (said, answer) in enumerate(chosen)]


def _exchange(dice: Dice, said: str, answer: str, first: bool) -> tuple[str, str]:
    values = {
        "name": dice.choice(pools.FIRST_NAMES),
        "friend": dice.choice(pools.FIRST_NAMES),
        "hobby": dice.choice(HOBBIES),
        "pet": dice.choice(PETS),
        "meal": dice.choice(MEALS),
        "topic": dice.choice(pools.TOPICS),
        "occasion": dice.choice(pools.OCCASIONS),
        "creature": dice.choice(pools.CREATURES[:4]),
    }
    greeting = expand(GREETING, {}, dice) + " " if first and dice.chance(0.5) else ""
    shown = {name: marked(value) for name, value in values.items()}
    text = expand(said, shown, dice)
    # An answer names nobody that the user did not.
    if shown["name"] not in text:
        del values["name"]
    return greeting + text, expand(answer, values, dice)
