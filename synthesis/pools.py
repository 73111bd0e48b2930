"""Pools of words, and values composed of them: people, places, products, titles, texts."""

from synthesis.dice import Dice


def listed(text: str, between: str | None = None) -> tuple[str, ...]:
    """Return the words of a text, or its parts between a mark."""
    return tuple(text.split(between))


FIRST_NAMES = listed(
    "Ada Amir Anika Arjun Beatriz Benno Carmen Chidi Clara Dagny Daniel Dora Elif Emeka Enzo "
    "Esther Farah Felix Freya Gita Greta Hana Hugo Ines Ivan Jamal Jana Jonas Kaito Karim "
    "Kira Lars Leila Lena Luca Maja Malik Marta Mateo Mei Milan Mira Nadia Nils Noor Olga "
    "Omar Oskar Paula Pedro Priya Quentin Rafael Ravi Rosa Salma Samir Selma Sofia Stefan "
    "Tara Tomas Ulla Viktor Wanda Yara Yusuf Zeynep Zoe"
)
LAST_NAMES = listed(
    "Abara Almeida Bakker Bianchi Brandt Castillo Chen Costa Dahl Demir Dvorak Eriksen "
    "Farouk Fischer Garcia Haddad Hansen Horvat Ito Jansen Kaya Keller Khan Kowalski Kumar "
    "Lindgren Lopez Mbeki Meyer Moreau Nagy Nakamura Novak Nowak Okafor Olsen Osei Park "
    "Patel Petrov Quist Rahman Rossi Sato Schmidt Silva Sørensen Suzuki Tanaka Torres Varga "
    "Vidal Weber Wolff Yilmaz Zhang Zimmer"
)
GREAT_CITIES = listed(
    "Accra|Amsterdam|Ankara|Athens|Auckland|Austin|Baku|Bangkok|Barcelona|Bergen|Berlin|"
    "Bogota|Boston|Brussels|Bucharest|Budapest|Cairo|Calgary|Cape Town|Casablanca|Chicago|"
    "Copenhagen|Dakar|Dallas|Delhi|Denver|Dublin|Edinburgh|Florence|Geneva|Glasgow|Hamburg|"
    "Hanoi|Helsinki|Houston|Istanbul|Jakarta|Kyoto|Lagos|Leipzig|Lima|Lisbon|Ljubljana|"
    "London|Lyon|Madrid|Manila|Marseille|Melbourne|Mexico City|Miami|Milan|Montreal|Mumbai|"
    "Munich|Nairobi|Naples|New York|Osaka|Oslo|Ottawa|Paris|Perth|Porto|Prague|Quito|"
    "Reykjavik|Riga|Rome|San Francisco|Santiago|Sao Paulo|Seattle|Seoul|Seville|Singapore|"
    "Sofia|Stockholm|Sydney|Tallinn|Tokyo|Toronto|Tunis|Turin|Valencia|Vancouver|Vienna|"
    "Vilnius|Warsaw|Wellington|Zagreb|Zurich",
    "|",
)
_TOWN_BEGINNINGS = listed(
    "Ash Black Bram Bridge Cedar Clay Elm Fair Fern Glen Green Hart Hazel Holm Kings Lake "
    "Lin Maple Mill Oak Ox Pine Raven Red Rock Salt Silver Stone Thorn West Whit Wood"
)
_TOWN_ENDINGS = listed("bridge brook bury dale field ford ham haven hurst ley mont mouth port ton")
TOWNS = tuple(first + last for first in _TOWN_BEGINNINGS for last in _TOWN_ENDINGS)
CITIES = GREAT_CITIES + TOWNS
KNOWN_CITIES = frozenset(CITIES)
CITY_NICKNAMES = {
    "the Big Apple": "New York",
    "NYC": "New York",
    "Frisco": "San Francisco",
    "Wien": "Vienna",
    "München": "Munich",
    "Praha": "Prague",
    "Roma": "Rome",
    "Firenze": "Florence",
    "Lisboa": "Lisbon",
    "København": "Copenhagen",
    "Bombay": "Mumbai",
    "Napoli": "Naples",
    "Warszawa": "Warsaw",
    "Genève": "Geneva",
    "Sevilla": "Seville",
    "Milano": "Milan",
}

MATERIALS = listed(
    "bamboo canvas ceramic copper cotton glass granite leather linen metal oak silk steel "
    "walnut wicker wool"
)
ADJECTIVES = listed(
    "adjustable classic compact double folding handmade heavy-duty large light magnetic mini "
    "modern narrow portable round slim small square sturdy waterproof wide"
)
ITEMS_BY_CATEGORY = {
    "kitchen": listed("bowl kettle mug pan teapot tray cutting-board salt-mill"),
    "furniture": listed("armchair bench bookcase desk lamp-table nightstand shelf stool"),
    "garden": listed("bird-house hose lantern planter rake watering-can wheelbarrow spade"),
    "sports": listed("dumbbell jump-rope racket helmet yoga-mat bottle gym-bag kayak"),
    "office": listed("folder notebook pen-holder stapler whiteboard paper-tray desk-lamp clock"),
    "clothing": listed("belt cap cardigan gloves jacket raincoat scarf vest"),
    "toys": listed("kite puzzle robot spinning-top train-set doll-house yo-yo building-blocks"),
}
TOPICS = listed(
    "budget catering contract delivery design hiring insurance inventory invoice launch "
    "marketing migration onboarding packaging parking pricing printer quality recruiting "
    "recycling roadmap safety sales security shipping sponsorship staffing survey "
    "translation training travel warehouse website workshop"
)
OCCASIONS = listed(
    "briefing catch-up check-in debrief interview kickoff lunch meeting planning "
    "presentation rehearsal retrospective review session sync talk"
)
# What people look for of a topic.
SEARCHED = listed(
    "checklist contacts costs deadline guidelines policy problems report rules schedule"
)
COLOURS = listed("amber blue coral crimson golden green indigo ivory lilac olive scarlet silver")
CREATURES = listed(
    "badger comet crane falcon fox harbour heron island lantern lighthouse mountain orchard "
    "otter river sparrow tiger valley whale willow winter"
)
STREETS = listed("Acorn Baker Chapel Dock Elder Foundry Garden Harbour Ivy Juniper Market Orchard")
MAIL_PROVIDERS = ("example.com", "example.org", "example.net", "mail.example.com")
_GREETINGS = (
    "Hello",
    "Hi",
    "Good news",
    "A short reminder",
    "Quick update",
    "For your information",
)


def person(dice: Dice) -> str:
    """Return a first and a last name."""
    return f"{dice.choice(FIRST_NAMES)} {dice.choice(LAST_NAMES)}"


def city(dice: Dice) -> str:
    """Return a city: one of the great ones, or as often a small one with a composed name."""
    return dice.choice(GREAT_CITIES if dice.chance(0.5) else TOWNS)


def email_of(name: str, provider: str) -> str:
    """Return the address of a person at a provider."""
    return name.lower().replace("ø", "o").replace(" ", ".") + "@" + provider


def email(dice: Dice) -> str:
    """Return the address of somebody."""
    return email_of(person(dice), dice.choice(MAIL_PROVIDERS))


def item(dice: Dice) -> str:
    """Return a thing one can buy, of any category."""
    return dice.choice(ITEMS_BY_CATEGORY[dice.choice(tuple(ITEMS_BY_CATEGORY))])


def product(dice: Dice) -> str:
    """Return a product's name, such as 'Folding Oak Bench'."""
    words = (dice.choice(ADJECTIVES), dice.choice(MATERIALS), item(dice))
    return " ".join(words).replace("-", " ").title()


def event_title(dice: Dice) -> str:
    """Return the title of a meeting, such as 'Pricing review with Mei'."""
    title = f"{dice.choice(TOPICS).capitalize()} {dice.choice(OCCASIONS)}"
    return f"{title} with {dice.choice(FIRST_NAMES)}" if dice.chance(0.5) else title


def work_title(dice: Dice) -> str:
    """Return the title of a book or a song, such as 'The Silver Heron'."""
    words = f"{dice.choice(COLOURS)} {dice.choice(CREATURES)}".title()
    return dice.choice((f"The {words}", words, f"{words} at Night", f"Song of the {words}"))


def message(dice: Dice) -> str:
    """Return a sentence that one person may write to another."""
    topic, other = dice.choice(TOPICS), dice.choice(FIRST_NAMES)
    hour = dice.between(1, 11)
    return dice.choice(
        (
            f"The {topic} {dice.choice(OCCASIONS)} starts at {hour}",
            f"{dice.choice(_GREETINGS)}: {other} has finished the {topic} plan",
            f"Please send {other} the {topic} notes before {hour}",
            f"I will be {5 * hour} minutes late for the {topic} {dice.choice(OCCASIONS)}",
            f"Can you bring the {topic} papers for {other}",
        )
    )


def address(dice: Dice) -> str:
    """Return a street and a number, such as '14 Harbour Street'."""
    street = dice.choice(STREETS)
    return f"{dice.between(1, 120)} {street} {dice.choice(('Street', 'Lane', 'Road', 'Avenue'))}"


def errand(dice: Dice) -> str:
    """Return what somebody has to do, such as 'ask Lars about the budget review'."""
    way, other = dice.choice(("ask", "call", "remind", "talk to", "write to")), FIRST_NAMES
    return f"{way} {dice.choice(other)} about the {dice.choice(TOPICS)} {dice.choice(OCCASIONS)}"


def search_topic(dice: Dice) -> str:
    """Return what people look for, such as 'travel policy' or 'printer'."""
    topic = dice.choice(TOPICS)
    return topic if dice.chance(0.1) else f"{topic} {dice.choice(SEARCHED)}"


def words(dice: Dice, least: int, most: int) -> str:
    """Return a few unconnected words, for tools that work on any text."""
    pool = (TOPICS, COLOURS, CREATURES, MATERIALS, OCCASIONS, ADJECTIVES)
    return " ".join(dice.choice(dice.choice(pool)) for _ in range(dice.between(least, most)))
