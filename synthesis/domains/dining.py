"""Dining: restaurants, tables, recipes."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.kinds import City, Date, Kind, Person, Time, identifier, number, one_of, several
from synthesis.world import code, exists, fact, known_city, pick

Cuisine = Annotated[
    Literal["italian", "indian", "japanese", "mexican", "thai", "greek", "vegan"],
    Instead(("martian", "medieval", "airline")),
]
Restaurant = Annotated[str, identifier("restaurant number", "RS", 4)]
INGREDIENTS = pools.listed(
    "aubergines beans broccoli carrots chickpeas couscous eggs feta leeks lentils mushrooms "
    "onions pasta peppers potatoes pumpkin rice spinach tofu tomatoes"
)


def _dish(dice: Dice) -> str:
    first, second = dice.sample(INGREDIENTS, 2)
    return (
        f"{dice.choice(('baked', 'roasted', 'spicy', 'grilled', 'creamy'))} {first} with {second}"
    )


def find_restaurant(city: City, cuisine: Cuisine, outdoor_seating: bool = False) -> dict[str, Any]:
    """Find the best restaurant of a cuisine in a city.

    Args:
        city: Where to eat.
        cuisine: What kind of food.
        outdoor_seating: Whether one must be able to sit outside.
    """
    about = (known_city(city), cuisine, outdoor_seating)
    name = f"The {pick(pools.COLOURS, *about)} {pick(pools.CREATURES, *about)}".title()
    return {
        "restaurant_id": f"RS-{fact(1000, 9999, *about)}",
        "name": name,
        "rating": fact(35, 50, "rating", *about) / 10,
        "street": pick(pools.STREETS, *about) + " Street",
    }


def book_table(
    restaurant_id: Restaurant,
    date: Date,
    time: Time,
    party_size: Annotated[int, number("number of people", 1, 12)],
    name: Person,
) -> dict[str, Any]:
    """Book a table in a restaurant.

    Args:
        restaurant_id: Number of the restaurant, as RS-1234.
        date: Day of the visit, YYYY-MM-DD.
        time: When the guests arrive, HH:MM on a 24-hour clock.
        party_size: How many people come.
        name: Name for the booking.
    """
    if not exists("table", f"{restaurant_id} {time}"):
        raise ValueError(f"{restaurant_id} has no table left at {time}")
    about = (restaurant_id, date, time, party_size, name)
    return {"booking_code": code("TB", *about), "table": fact(1, 40, *about)}


def suggest_recipe(
    ingredients: Annotated[
        list[str], several(one_of("ingredient", INGREDIENTS), "ingredients", 2, 4)
    ],
    max_minutes: Annotated[int, number("cooking time", 15, 120, "minute", 5)] = 60,
) -> dict[str, Any]:
    """Suggest a dish that can be cooked with what is in the house.

    Args:
        ingredients: What there is.
        max_minutes: How long cooking may take.
    """
    style = pick(("gratin", "stew", "salad", "curry", "casserole", "soup"), *ingredients)
    return {
        "dish": f"{ingredients[0]} {style}",
        "minutes": fact(10, max_minutes, *ingredients),
        "servings": fact(2, 6, "servings", *ingredients),
    }


def get_nutrition(
    dish: Annotated[str, Kind("dish", _dish)],
    portions: Annotated[int, number("number of portions", 1, 10, "portion")] = 1,
) -> dict[str, Any]:
    """Estimate the calories and the protein of a dish.

    Args:
        dish: What is eaten.
        portions: How many portions of it.
    """
    return {
        "calories": fact(180, 720, "calories", dish) * portions,
        "protein_grams": fact(4, 40, "protein", dish) * portions,
    }


DOMAIN = Domain(
    "dining",
    (
        declare(
            find_restaurant,
            do=(
                "(find|recommend|look for) (a good|the best|a nice) {cuisine} restaurant"
                "[ in {city}][?outdoor_seating  where one can sit outside]",
                "(tell me|find out) where to eat {cuisine} food[ in {city}]"
                "[?outdoor_seating , with tables outside]",
                "(find|recommend|look for) a (good |nice |)restaurant[ in {city}]"
                "[?outdoor_seating  where one can sit outside]",
            ),
            ask=(
                "where (can|do) (I|we) (eat|get) (good|the best) {cuisine} food[ in {city}]"
                "[?outdoor_seating  outdoors]",
            ),
            answer=(
                "Try {name} in {street}, rated {rating} out of 5.",
                "{name} with {rating} stars is the best choice.",
            ),
            more=(
                ("what street is it in", "{name} is in {street}"),
                ("how good is it", "it is rated {rating} out of 5"),
            ),
        ),
        declare(
            book_table,
            do=(
                "(book|reserve) a table for {party_size}[ at {restaurant_id}][ on {date}]"
                "[ at {time}] (under|in) the name {name}",
                "(get|reserve) us a table[ at {restaurant_id}][ on {date}][ at {time}], "
                "{party_size} (people|of us), the name is {name}",
            ),
            answer=(
                "Table {table} is (yours|reserved) on {date} at {time}; the code is "
                "{booking_code}.",
                "(I booked|I have reserved) table {table} for {party_size} in the name of {name}.",
            ),
            more=(("which table did we get", "you have table {table}"),),
            slips=("time",),
        ),
        declare(
            suggest_recipe,
            do=(
                "(suggest|give me|think of) (a recipe|something to cook) with {ingredients}"
                "[ that takes at most {max_minutes}]",
                "(find|come up with) a dish (that uses|made of|for) {ingredients}"
                "[, done in {max_minutes}]",
                "(suggest|give me|think of) (a recipe|something to cook)"
                "[ that takes at most {max_minutes}]",
            ),
            ask=("what can I (cook|make) (with|out of) {ingredients}[ in {max_minutes}]",),
            answer=(
                "How about {dish}? It takes {minutes} minutes.",
                "You could make {dish}: {minutes} minutes of work, enough for {servings}.",
            ),
            more=(("how many people does it serve", "it is enough for {servings}"),),
        ),
        declare(
            get_nutrition,
            do=(
                "(estimate|look up|tell me|work out) the calories (of|in) [{portions} of ]{dish}",
                "(estimate|look up|check) (the nutrition|the nutritional values) of "
                "[{portions} of ]{dish}",
                "(estimate|look up) the calories of (something I ate|a dish)[, {portions}]",
            ),
            ask=("how many calories (are in|do I get from|are there in) [{portions} of ]{dish}",),
            answer=(
                "That is about {calories} calories.",
                "{calories} calories and {protein_grams} grams of protein.",
            ),
            more=(("how much protein is that", "it has {protein_grams} grams of protein"),),
        ),
    ),
    chains=(
        Chain(
            "find_restaurant",
            "book_table",
            {"restaurant_id": "restaurant_id"},
            do=(
                "(find|pick) the best {cuisine} restaurant in {city}[?outdoor_seating  with seats "
                "outside] and (book|reserve) a table for {party_size} on {date} at {time} in the "
                "name of {name}",
                "get us into a good {cuisine} restaurant in {city}[?outdoor_seating  with a "
                "terrace] on {date} at {time}, {party_size} people, name {name}",
            ),
        ),
    ),
    reasons=(
        "(We are|I'm) (celebrating|having guests|hungry)",
        "It's (our anniversary|my birthday|a long evening)",
        "I have (no idea|little time|an empty fridge)",
        "My (parents|friends|in-laws|colleagues) are (coming|in town|visiting)",
        "I'm trying to eat (better|healthier|something new)",
    ),
)
