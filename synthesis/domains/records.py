"""Records: results that are lists, long or empty."""

from typing import Annotated, Any, Literal

from synthesis import pools
from synthesis.declaration import Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.kinds import Kind, Person, number
from synthesis.world import code, exists, fact, pick

Room = Annotated[
    Literal["archive", "laboratory", "server_room", "greenhouse"],
    Instead(("sauna", "dungeon", "broom cupboard")),
]
Team = Annotated[
    Literal["design", "finance", "sales", "research", "logistics"],
    Instead(("juggling", "pirates", "royal family")),
]
_SENTENCES = (
    "The {0} {1} was moved to another week.",
    "{2} keeps the {0} notes and sends them to everybody who asks.",
    "Nothing has changed about the {0} since the last {1}.",
    "The {1} about the {0} ended without a decision.",
    "Open questions about the {0} go to {2}.",
    "For the {0} there is a list that {2} has to sign.",
)


def _topic(dice: Dice) -> str:
    return f"{dice.choice(pools.TOPICS)} {dice.choice(pools.OCCASIONS)}"


def search_invoices(
    customer: Person, state: Literal["open", "paid", "overdue"] | None = None
) -> dict[str, Any]:
    """Search the invoices of a customer; there may be none.

    Args:
        customer: First and last name of the customer.
        state: Only invoices in this state.
    """
    count = fact(0, 7, "invoices", customer, state)
    invoices: list[dict[str, Any]] = [
        {
            "invoice_id": code("IN", customer, state, place),
            "amount": fact(900, 90000, "invoice", customer, place) / 100,
            "state": state or pick(("open", "paid", "overdue"), customer, place),
        }
        for place in range(count if exists("invoices", customer, 7) else 0)
    ]
    total = round(sum(invoice["amount"] for invoice in invoices), 2)
    return {"count": len(invoices), "total": total, "invoices": invoices}


def get_sensor_log(
    room: Room, hours: Annotated[int, number("number of hours", 6, 48, "hour", 6)] = 24
) -> dict[str, Any]:
    """Get what the temperature sensor of a room has measured, hour by hour.

    Args:
        room: Where the sensor is.
        hours: How many hours to look back.
    """
    values = [fact(120, 260, "log", room, hours, place) / 10 for place in range(hours)]
    log = [{"hours_ago": place, "celsius": value} for place, value in enumerate(values)]
    return {"highest": max(values), "lowest": min(values), "latest": values[0], "log": log}


def list_on_call(team: Team) -> list[str]:
    """List who of a team is on call tonight; a plain list of names, empty for nobody.

    Args:
        team: Which team.
    """
    count = fact(0, 3, "on call", team)
    names = [f"{pick(pools.FIRST_NAMES, team, place)}" for place in range(count)]
    return list(dict.fromkeys(names))


def read_minutes(topic: Annotated[str, Kind("topic", _topic)]) -> dict[str, Any]:
    """Read the minutes of a meeting as a text, which may be long.

    Args:
        topic: What the meeting was about.
    """
    if not exists("minutes", topic):
        raise ValueError(f"there are no minutes of a meeting about {topic!r}")
    subject, occasion = topic.split(" ", 1)
    writer = pick(pools.FIRST_NAMES, "writer", topic)
    text = " ".join(
        pick(_SENTENCES, topic, place).format(subject, occasion, writer)
        for place in range(fact(2, 14, "sentences", topic))
    )
    return {"written_by": writer, "word_count": len(text.split()), "text": text}


DOMAIN = Domain(
    "records",
    (
        declare(
            search_invoices,
            do=(
                "(look up|find|search) (the|all) [{state} ]invoices[ of {customer}]",
                "(check|see|tell me) which [{state} ]invoices there are[ for {customer}]",
                "(pull up|bring up|get me) (the bills|everything that was billed)"
                "[ (to|for) {customer}][, only what is {state}]",
            ),
            ask=("which [{state} ]invoices (do we have|are there) for {customer}",),
            answer=(
                "[?count Found: {invoices.invoice_id}, {total} euros in all.]"
                "[!count There are no such invoices for {customer}.]",
                "[?count The number of invoices for {customer} is {count}, with a total of {total} "
                "euros.][!count I found no such invoice for {customer}.]",
            ),
            more=(
                (
                    "what (are the amounts|does each of them say)",
                    "[?count the amounts are {invoices.amount} euros]"
                    "[!count there is none, so there is no amount]",
                ),
            ),
        ),
        declare(
            get_sensor_log,
            do=(
                "(get|show me|check) the temperature log[ of the {room}][ for the last {hours}]",
                "(see|tell me|find out) how (warm|cold) it (was|has been)[ in the {room}]"
                "[ (over|during|in) the (last|past) {hours}]",
                "(pull up|open) the (readings|measurements|values)[ (of|from) the {room}]"
                "[, (for |)the last {hours}]",
            ),
            ask=("how warm (was|has) it( been|) in the {room}[ over the last {hours}]",),
            answer=(
                "It was between {lowest} and {highest} degrees.",
                "The log of the {room} goes from {lowest} to {highest} degrees; the latest value "
                "is {latest}.",
            ),
            more=(("what was the highest value", "the highest value was {highest} degrees"),),
        ),
        declare(
            list_on_call,
            do=(
                "(tell me|look up|find out) who is on call[ in the {team} team] tonight",
                "(list|give me|show me|name) (the people|everybody|whoever is) on call"
                "[ (of|from|in) the {team} team]( tonight|)",
                "(check|see) (whom I can reach|who answers the phone|who has the night shift)"
                "[ in the {team} team]( tonight|)",
            ),
            ask=("who (is|will be) on call in the {team} team tonight",),
            answer=(
                "[?result On call tonight: {result}.]"
                "[!result Nobody of {team} is on call tonight.]",
            ),
            more=(
                (
                    "whom can I call then",
                    "[?result you can call {result}][!result nobody, the list is empty]",
                ),
            ),
        ),
        declare(
            read_minutes,
            do=(
                "(read|open|fetch|get me) the (minutes|record|protocol) of (the meeting|what was "
                "said)[ (about|on) the {topic}]",
                "(tell me|find out) who wrote the minutes[ of the {topic}]",
            ),
            ask=("who (wrote|has written) the minutes of the {topic}",),
            answer=(
                "{written_by} wrote the minutes of the {topic}, {word_count} words.",
                "The minutes are by {written_by} and read: {text}",
            ),
            more=(("how long are they", "the minutes have {word_count} words"),),
            slips=("topic",),
        ),
    ),
    similar=("work", "home", "calendar", "orders", "files"),
    reasons=(
        "I'm (tidying up|preparing the audit)",
        "(Somebody|The auditor) wants to (see|know) this",
        "I (lost|misplaced) my (notes|folder)",
        "We are (closing the books|changing the system|short of people)",
        "My (predecessor|colleague|boss) (left a mess|asked twice|is on leave)",
        "I'm (writing|finishing|checking) (the yearly report|a summary|my notes)",
        "There (was|has been) (a question|some confusion|a complaint)",
    ),
)
