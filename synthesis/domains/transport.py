"""Transport: departures, rides, routes, parking."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.kinds import Kind, Time, identifier, number
from synthesis.world import code, exists, fact, pick


def _stop(dice: Dice) -> str:
    places = ("Square", "Gate", "Station", "Bridge", "Park")
    return f"{dice.choice(pools.TOWNS)} {dice.choice(places)}"


STOP = Kind("stop", _stop)
Stop = Annotated[str, STOP]
Address = Annotated[str, Kind("address", pools.address)]
Mode = Annotated[
    Literal["walking", "cycling", "driving", "public_transport"],
    Instead(("camel", "teleport", "hot-air balloon")),
]
ROADS = ("tolls", "ferries", "highways")
Avoid = Annotated[
    list[Literal["tolls", "ferries", "highways"]],
    Kind("roads to avoid", lambda dice: dice.sample(ROADS, dice.between(1, 2))),
]


def get_departures(
    stop: Stop,
    line: Annotated[int, number("line", 1, 99)] | None = None,
    after: Time | None = None,
) -> dict[str, Any]:
    """Get the next departure from a stop.

    Args:
        stop: Name of the stop.
        line: Number of the line.
        after: Earliest time, HH:MM on a 24-hour clock.
    """
    about = (stop, line, after)
    return {
        "line": line or fact(1, 99, *about),
        "in_minutes": fact(2, 25, *about),
        "platform": fact(1, 12, "platform", *about),
    }


def plan_route(
    start: Address,
    destination: Annotated[str, Kind("destination", pools.address)],
    mode: Mode = "public_transport",
    avoid: Avoid | None = None,
) -> dict[str, Any]:
    """Plan a route between two addresses.

    Args:
        start: Where it begins.
        destination: Where it ends.
        mode: How to travel.
        avoid: What the route must not use.
    """
    if start == destination:
        raise ValueError("start and destination are the same")
    tenths = fact(5, 300, start, destination)
    return {"distance_km": tenths / 10, "minutes": fact(4, 90, start, destination, mode)}


def order_taxi(
    pickup: Annotated[str, Kind("pickup address", pools.address)],
    time: Time,
    passengers: Annotated[int, number("number of passengers", 1, 7, "passenger")] = 1,
    child_seat: bool = False,
) -> dict[str, Any]:
    """Order a taxi.

    Args:
        pickup: Where it comes to.
        time: When it comes, HH:MM on a 24-hour clock.
        passengers: How many people ride.
        child_seat: Whether a child's seat is needed.
    """
    if not exists("taxi", f"{pickup} {time}"):
        raise ValueError(f"no taxi is free at {time}")
    driver = pick(pools.FIRST_NAMES, pickup, time)
    return {"ride_id": code("RD", pickup, time), "driver": driver, "price": fact(8, 70, pickup)}


def cancel_ride(ride_id: Annotated[str, identifier("ride number", "RD")]) -> dict[str, Any]:
    """Cancel a taxi.

    Args:
        ride_id: Number of the ride, as RD-12345.
    """
    if not exists("ride", ride_id):
        raise ValueError(f"there is no ride {ride_id}")
    return {"cancelled": True, "fee": pick((0, 2, 3, 5), ride_id)}


def find_parking(
    near: Address, hours: Annotated[int, number("time", 1, 24, "hour")] = 2
) -> dict[str, Any]:
    """Find a car park near an address.

    Args:
        near: The address.
        hours: How long the car stays.
    """
    return {
        "address": f"{fact(1, 90, near)} {pick(pools.STREETS, near)} Street",
        "free_spaces": fact(2, 240, "spaces", near),
        "price": fact(1, 4, "parking", near) * hours,
    }


DOMAIN = Domain(
    "transport",
    (
        declare(
            get_departures,
            do=(
                "(tell me|check|find out) when the next [line {line} ](bus|tram) leaves"
                "[ from {stop}][ after {after}]",
                "(look up|get) the next departure[ of line {line}][ (from|at) {stop}]"
                "[ after {after}]",
            ),
            ask=(
                "when does the next [line {line} ](bus|tram) leave[ from {stop}][ after {after}]",
            ),
            answer=(
                "Line {line} leaves in {in_minutes} minutes from platform {platform}.",
                "The next one, line {line}, goes in {in_minutes} minutes.",
            ),
            more=(("which platform is it", "it is platform {platform}"),),
        ),
        declare(
            plan_route,
            do=(
                "(plan|find|work out) a route[ from {start}][ to {destination}][ by {mode}]"
                "[, avoiding {avoid}]",
                "(tell me|show me|find out) how to get[ from {start}][ to {destination}]"
                "[ by {mode}][ without {avoid}]",
            ),
            ask=(
                "how do I get[ from {start}][ to {destination}][ by {mode}][ without {avoid}]",
                "how far is it from {start} to {destination}[ by {mode}]",
            ),
            answer=(
                "It is {distance_km} km and takes {minutes} minutes.",
                "From {start} to {destination} it takes {minutes} minutes for {distance_km} km.",
            ),
            more=(("how far is it exactly", "it is {distance_km} km"),),
        ),
        declare(
            order_taxi,
            do=(
                "(order|call|get me) a taxi[ that picks me up at {pickup}][ at {time}]"
                "[ for {passengers}]"
                "[?child_seat  with a child seat]",
                "have a taxi (come|wait)[ to pick us up at {pickup}][ at {time}]"
                "[, {passengers}]"
                "[?child_seat , child seat needed]",
            ),
            answer=(
                "{driver} will be at {pickup} at {time}.",
                "(Your taxi is ordered|Done): ride {ride_id}, about {price} euros.",
            ),
            more=(
                ("what will it cost", "it will be about {price} euros"),
                ("who drives", "{driver} drives"),
            ),
            slips=("time",),
        ),
        declare(
            cancel_ride,
            do=(
                "(cancel|call off) (my|the) (ride|taxi)[ {ride_id}]",
                "(stop|cancel) the (taxi|ride)[ with the number {ride_id}]",
            ),
            answer=(
                "The ride {ride_id} is cancelled[?fee ; the fee is {fee} euros].",
                "(Your ride|The ride) {ride_id} will not come[?fee ; the fee is {fee} euros].",
            ),
            more=(("does that cost anything", "the fee is {fee} euros"),),
            slips=("ride_id",),
        ),
        declare(
            find_parking,
            do=(
                "(find|look for|get me) (a car park|parking|a parking space)[ near {near}]"
                "[ for {hours}]",
                "(see|find out) where I can park[ near {near}][ for {hours}]",
            ),
            ask=("where can I (park|leave the car)[ near {near}][ for {hours}]",),
            answer=(
                "There is a car park at {address} for {price} euros.",
                "(You can|You could) park at {address}: free spaces {free_spaces}, {price} euros.",
            ),
            more=(("how many spaces are free", "the number of free spaces is {free_spaces}"),),
        ),
    ),
    chains=(
        Chain(
            "find_parking",
            "plan_route",
            {"destination": "address"},
            do=(
                "(find|look for) parking near {near}[ for {hours}] and (plan|work out) the route "
                "there from {start}[ by {mode}][, avoiding {avoid}]",
            ),
        ),
    ),
    reasons=(
        "I'm (late|in a hurry|lost|new in town)",
        "It's (pouring|icy|too hot to walk)",
        "My (car|bike|scooter) is (at the garage|broken)",
        "I have (a lot of luggage|my grandmother|two children) with me",
        "I'm meeting (a friend|a client|my sister)",
    ),
)
