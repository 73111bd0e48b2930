"""Travel: flights and hotels."""

from typing import Annotated, Any, Literal, TypedDict

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.grammar import joined
from synthesis.kinds import CITY, City, Date, Kind, Person, identifier, number
from synthesis.world import code, exists, fact, known_city, pick

Cabin = Annotated[
    Literal["economy", "premium_economy", "business", "first"],
    Instead(("a sleeping car", "the cockpit", "standing room")),
]
Flight = Annotated[str, identifier("flight number", "FL", 4)]
Hotel = Annotated[str, identifier("hotel number", "HT", 4)]


class Passenger(TypedDict):
    """Somebody who flies."""

    name: Person
    age: Annotated[int, number("age", 0, 110)]


def _passengers(dice: Dice) -> list[dict[str, Any]]:
    return [
        {"name": pools.person(dice), "age": dice.between(2, 85)} for _ in range(dice.between(1, 2))
    ]


def _say_passengers(passengers: list[dict[str, Any]], dice: Dice) -> str:
    return joined([f"{passenger['name']} (aged {passenger['age']})" for passenger in passengers])


def search_flights(
    origin: Annotated[str, Kind("departure city", pools.city, aliases=CITY.aliases)],
    destination: Annotated[str, Kind("destination", pools.city, aliases=CITY.aliases)],
    date: Date,
    cabin: Cabin = "economy",
    nonstop: bool = False,
) -> dict[str, Any]:
    """Search for flights between two cities on a day; the cheapest comes first.

    Args:
        origin: City of departure.
        destination: City of arrival.
        date: Day of departure, YYYY-MM-DD.
        cabin: Class to travel in.
        nonstop: Whether only flights without a stop count.
    """
    if known_city(origin) == known_city(destination):
        raise ValueError(f"origin and destination are both {origin}")
    about = (origin, destination, date, cabin, nonstop)
    return {
        "flight_number": f"FL-{fact(1000, 9999, 'flight', *about)}",
        "departure": f"{fact(6, 21, 'departure', *about):02}:{pick(('05', '25', '40'), *about)}",
        "price": fact(60, 900, "price", *about),
        "stops": 0 if nonstop else fact(0, 2, "stops", *about),
    }


def book_flight(
    flight_number: Flight,
    passengers: Annotated[list[Passenger], Kind("passengers", _passengers, _say_passengers)],
    insurance: bool = False,
) -> dict[str, Any]:
    """Book seats on a flight.

    Args:
        flight_number: Number of the flight, as FL-1234.
        passengers: Who flies.
        insurance: Whether to add travel insurance.
    """
    if not exists("seats", flight_number):
        raise ValueError(f"flight {flight_number} is sold out")
    names = [passenger["name"] for passenger in passengers]
    seats = [f"{fact(3, 31, flight_number, name)}{pick('ABCDEF', name)}" for name in names]
    return {"booking_code": code("BK", flight_number, *seats), "seats": seats}


def search_hotels(
    city: City,
    check_in: Date,
    nights: Annotated[int, number("number of nights", 1, 30, "night")],
    max_price: Annotated[int, number("highest price", 60, 400, "euro", 10)] | None = None,
) -> dict[str, Any]:
    """Search for a hotel with a free room.

    Args:
        city: Where to stay.
        check_in: Day of arrival, YYYY-MM-DD.
        nights: How many nights to stay.
        max_price: The most a night may cost, in euros.
    """
    about = (known_city(city), check_in, nights)
    price = fact(40, max_price or 250, "night", *about)
    name = f"{pick(pools.COLOURS, *about)} {pick(pools.CREATURES, *about)}".title()
    return {
        "hotel_id": f"HT-{fact(1000, 9999, *about)}",
        "name": f"Hotel {name}",
        "price_per_night": price,
        "total": price * nights,
    }


def book_hotel(
    hotel_id: Hotel,
    guest_name: Person,
    guests: Annotated[int, number("number of guests", 1, 6, "guest")] = 2,
    breakfast: bool = False,
) -> dict[str, Any]:
    """Book a room in a hotel.

    Args:
        hotel_id: Number of the hotel, as HT-1234.
        guest_name: Name of the guest who checks in.
        guests: How many people stay.
        breakfast: Whether breakfast is included.
    """
    if not exists("room", hotel_id):
        raise ValueError(f"hotel {hotel_id} has no free room")
    room = fact(101, 640, hotel_id, guest_name)
    return {"booking_code": code("BK", hotel_id, guest_name), "room": room}


DOMAIN = Domain(
    "travel",
    (
        declare(
            search_flights,
            do=(
                "(find|look for|search for) a [?nonstop nonstop ]flight"
                "[ from {origin}][ to {destination}][ on {date}][ in {cabin} class]",
                "(show|find) me (a way to fly|how to fly)[?nonstop  nonstop][ from {origin}]"
                "[ to {destination}][ on {date}][, {cabin} class]",
            ),
            ask=(
                "(is there|can you see) a [?nonstop nonstop ]flight[ from {origin}]"
                "[ to {destination}][ on {date}][ in {cabin} class]",
                "what is the cheapest [?nonstop nonstop ]flight[ from {origin}][ to {destination}]"
                "[ on {date}]",
            ),
            answer=(
                "Flight {flight_number} (leaves|departs) at {departure} and costs {price} euros.",
                "The cheapest is {flight_number} at {departure} for {price} euros; number of "
                "stops: {stops}.",
            ),
            more=(
                ("how many stops does it make", "the number of stops is {stops}"),
                ("when does it leave", "it leaves at {departure}"),
            ),
        ),
        declare(
            book_flight,
            do=(
                "book (flight|seats on flight) {flight_number} for {passengers}"
                "[?insurance  with travel insurance]",
                "(reserve|get me) seats on flight {flight_number}: {passengers}"
                "[?insurance , insurance included]",
                "book (a flight|seats) for {passengers}[?insurance  with travel insurance]",
                "book (flight|seats on) {flight_number}[?insurance  with travel insurance]",
            ),
            answer=(
                "(It's booked|Done): seat {seats} on {flight_number}, booking code {booking_code}.",
                "The booking {booking_code} is complete; seats: {seats}.",
            ),
            more=(("which seats are those", "on this flight you have {seats}"),),
            slips=("flight_number",),
        ),
        declare(
            search_hotels,
            do=(
                "(find|look for|search for) a (hotel|hotel room)[ in {city}][ from {check_in}]"
                "[ for {nights}][ for at most {max_price} a night]",
                "(find|get) me (a place|somewhere) to (stay|sleep)[ in {city}][ for {nights}]"
                "[, arriving on {check_in}][, up to {max_price} per night]",
            ),
            ask=(
                "which hotel[ in {city}] has a room[ for {nights}][ from {check_in}]"
                "[ for up to {max_price} a night]",
            ),
            answer=(
                "{name} has a room for {price_per_night} euros a night, {total} euros in all.",
                "(There is|I found) {name}, number {hotel_id}, at {price_per_night} euros a night.",
            ),
            more=(("what does the whole stay cost", "the whole stay costs {total} euros"),),
        ),
        declare(
            book_hotel,
            do=(
                "(book|reserve) (a room in |)hotel {hotel_id}[ for {guest_name}][, {guests}]"
                "[?breakfast , with breakfast]",
                "(book|reserve) a (hotel |)room[ for {guest_name}][, {guests}]"
                "[?breakfast , breakfast included]",
            ),
            answer=(
                "Room {room} is (booked|reserved) for {guest_name}; the code is {booking_code}.",
                "(Booked|All set): room {room}, booking code {booking_code}.",
            ),
            more=(("which room is it", "it is room {room}"),),
            slips=("hotel_id",),
        ),
    ),
    chains=(
        Chain(
            "search_flights",
            "book_flight",
            {"flight_number": "flight_number"},
            do=(
                "(find|search for) a [?nonstop nonstop ]flight from {origin} to {destination} on "
                "{date}[ in {cabin} class] and book the cheapest for {passengers}"
                "[?insurance  with travel insurance]",
                "get {passengers} on the cheapest [?nonstop nonstop ]flight from {origin} to "
                "{destination} on {date}[, {cabin} class][?insurance , insured]",
            ),
        ),
        Chain(
            "search_hotels",
            "book_hotel",
            {"hotel_id": "hotel_id"},
            do=(
                "(find|look for) a hotel in {city} from {check_in} for {nights}"
                "[ for at most {max_price} a night] and book it for {guest_name}[, {guests}]"
                "[?breakfast , with breakfast]",
            ),
        ),
    ),
    similar=("transport",),
    reasons=(
        "We are (going on holiday|visiting family|finally taking a break)",
        "I have a (conference|wedding|trade fair|job interview) (to go to|coming up)",
        "My (old|first) (plan|booking|trip) fell through",
        "I'm (organising|planning) a (trip|journey|short break)",
        "The (company|firm|club) is paying",
    ),
)
