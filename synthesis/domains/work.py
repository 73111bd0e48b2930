"""Work: leave, expenses, tickets of a help desk."""

from typing import Annotated, Any, Literal, TypedDict

from synthesis import pools
from synthesis.dates import day_number
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.kinds import Date, Email, Kind, Person, date_after, decimal, identifier
from synthesis.world import code, exists, fact, pick

Ticket = Annotated[str, identifier("ticket number", "TK")]
Priority = Annotated[
    Literal["low", "normal", "high", "critical"], Instead(("apocalyptic", "so-so", "medium rare"))
]
# The days of leave that everybody has left in this world.
DAYS_LEFT = 17
BROKEN = ("printer", "laptop", "badge", "headset", "screen", "phone", "keyboard", "projector")


class Contact(TypedDict):
    """Who to get back to."""

    name: Person
    email: Email


def _contact(dice: Dice) -> dict[str, Any]:
    name = pools.person(dice)
    return {"name": name, "email": pools.email_of(name, dice.choice(pools.MAIL_PROVIDERS))}


def _problem(dice: Dice) -> str:
    trouble = ("does not start", "makes odd noises", "has lost its settings", "is overheating")
    return f"The {dice.choice(BROKEN)} in room {dice.between(100, 799)} {dice.choice(trouble)}"


def request_leave(
    start_date: Date,
    end_date: Annotated[str, date_after("start_date", 0, DAYS_LEFT - 1)],
    kind: Annotated[
        Literal["vacation", "parental", "study", "unpaid"], Instead(("gaming", "hangover"))
    ] = "vacation",
) -> dict[str, Any]:
    """Request days off work.

    Args:
        start_date: First day off, YYYY-MM-DD.
        end_date: Last day off, YYYY-MM-DD.
        kind: Which kind of leave.
    """
    if end_date < start_date:
        raise ValueError(f"end_date {end_date} is before start_date {start_date}")
    days = day_number(end_date) - day_number(start_date) + 1
    if days > DAYS_LEFT:
        raise ValueError(f"that makes {days} days, and only {DAYS_LEFT} days of leave are left")
    request = code("LV", start_date, end_date, kind)
    return {"request_id": request, "approver": pick(pools.FIRST_NAMES, request)}


def get_leave_balance() -> dict[str, Any]:
    """Tell how many days of leave the user has left this year."""
    return {"days_left": DAYS_LEFT, "days_taken": 9, "expires": "31 March"}


def submit_expense(
    amount: Annotated[float, decimal("amount", 0.5, 2000, 2, "euro")],
    category: Annotated[
        Literal["meals", "travel", "hardware", "books", "software"],
        Instead(("gifts for myself", "lottery tickets", "parking fines")),
    ],
    date: Date,
) -> dict[str, Any]:
    """Submit an expense to be paid back.

    Args:
        amount: What it cost, in euros.
        category: What kind of expense.
        date: Day of the receipt, YYYY-MM-DD.
    """
    return {"expense_id": code("EX", amount, category, date), "paid_in_days": fact(2, 20, amount)}


def create_ticket(
    problem: Annotated[str, Kind("problem", _problem)],
    contact: Annotated[
        Contact,
        Kind("contact", _contact, lambda contact, dice: f"{contact['name']}, {contact['email']}"),
    ],
    priority: Priority = "normal",
) -> dict[str, Any]:
    """Open a ticket at the help desk.

    Args:
        problem: What is wrong, in a sentence.
        contact: Who to get back to.
        priority: How urgent it is.
    """
    ticket = code("TK", problem, contact["email"])
    return {"ticket_id": ticket, "assigned_to": pick(pools.FIRST_NAMES, ticket)}


def get_ticket(ticket_id: Ticket) -> dict[str, Any]:
    """Look up a ticket of the help desk.

    Args:
        ticket_id: Number of the ticket, as TK-12345.
    """
    if not exists("ticket", ticket_id):
        raise ValueError(f"there is no ticket {ticket_id}")
    agent = f"{pick(pools.FIRST_NAMES, ticket_id)} {pick(pools.LAST_NAMES, ticket_id)}"
    state = pick(("open", "waiting for parts", "being worked on", "solved"), ticket_id)
    return {"status": state, "agent": agent, "days_open": fact(2, 30, "days", ticket_id)}


def find_colleague(name: Person) -> dict[str, Any]:
    """Find a colleague's e-mail address, team and room.

    Args:
        name: First and last name.
    """
    if not exists("colleague", name):
        raise ValueError(f"nobody called {name} works here")
    email = pools.email_of(name, "work.example.com")
    team = pick(("Design", "Finance", "Sales", "Research", "Logistics"), name)
    contact = {"name": name, "email": email}
    return {"contact": contact, "team": team, "room": fact(100, 799, "room", name)}


DOMAIN = Domain(
    "work",
    (
        declare(
            request_leave,
            do=(
                "(request|apply for|put in for) [{kind} ]leave[ from {start_date}]"
                "[ (to|until) {end_date}]",
                "(ask for|request) days off[ from {start_date}][ until {end_date}]"
                "[ as {kind} leave]",
            ),
            answer=(
                "Your request {request_id} for {start_date} to {end_date} is with {approver}.",
                "(Requested|Done): the number is {request_id}, and {approver} will decide.",
            ),
            more=(("who decides on it", "{approver} does"),),
            slips=("end_date",),
        ),
        declare(
            get_leave_balance,
            do=(
                "(check|tell me|look up) (my leave balance|how many days of leave I have left)",
                "(see|find out) how much (holiday|vacation|leave) I have left",
            ),
            ask=("how (many days of leave|much holiday) (do I have left|is left for me)",),
            answer=(
                "You have {days_left} days of leave left.",
                "There are {days_left} days left; {days_taken} are taken.",
            ),
            more=(("until when can I take them", "they expire on {expires}"),),
        ),
        declare(
            submit_expense,
            do=(
                "(submit|hand in|file) an expense of {amount}[ for {category}][, dated {date}]",
                "(claim|get) {amount} back[ for {category}][, receipt of {date}]",
                "(submit|hand in) (an expense|a receipt)[ for {category}][, dated {date}]",
            ),
            answer=(
                "The expense {expense_id} of {amount} is submitted.",
                "(Submitted|Handed in): {amount} for {category}, paid in {paid_in_days} days.",
            ),
            more=(("when do I get the money", "it is paid in {paid_in_days} days"),),
        ),
        declare(
            create_ticket,
            do=(
                "(open|create|file) a [{priority} priority ]ticket: {problem}. (Contact|Please "
                "contact|Get back to) {contact}",
                "(tell|inform) the help desk: {problem}[, priority {priority}]. The contact is "
                "{contact}",
                "(open|create) a [{priority} priority ]ticket with {contact} as the contact",
                "(open|create) a [{priority} priority ]ticket: {problem}",
            ),
            answer=(
                "The ticket {ticket_id} is open and assigned to {assigned_to}.",
                "(Done|It's filed): {assigned_to} looks after your ticket {ticket_id}.",
            ),
            more=(("who looks after it", "{assigned_to} looks after it"),),
        ),
        declare(
            get_ticket,
            do=(
                "(look up|check|see) (my |the |)ticket[ {ticket_id}]",
                "(tell me|find out) (what happened to|the state of) (my |the |)ticket"
                "[ {ticket_id}]",
            ),
            ask=("(what is the status of|who is working on) (my |the |)ticket[ {ticket_id}]",),
            answer=(
                "The ticket {ticket_id} is {status}; {agent} has it.",
                "{agent} has {ticket_id}, and it is {status}.",
            ),
            more=(
                ("how long has it been open", "it has been open for {days_open} days"),
                ("who has it", "{agent} has it"),
            ),
            slips=("ticket_id",),
        ),
        declare(
            find_colleague,
            do=(
                "(find|look up) (our|my) colleague {name}",
                "(find out|tell me) which (team|room) {name} works in",
                "(find|look up) (a colleague|somebody in the company)",
            ),
            ask=("which (team|room) does {name} work in", "where does {name} sit"),
            answer=(
                "{name} works in {team}, room {room}.",
                "{name} is in room {room} with the {team} team; the e-mail address is "
                "{contact.email}.",
            ),
            more=(("what is the e-mail address", "it is {contact.email}"),),
            slips=("name",),
        ),
    ),
    chains=(
        Chain(
            "find_colleague",
            "create_ticket",
            {"contact": "contact"},
            do=(
                "(open|create) a [{priority} priority ]ticket for our colleague {name}: {problem}",
                "(look up|find) {name} and file a [{priority} priority ]ticket with (them|that "
                "colleague) as the contact: {problem}",
            ),
        ),
    ),
    reasons=(
        "I'm (new here|back from a long break|working from home)",
        "My (manager|team lead|boss) (sent me|told me to do this)",
        "The (intranet|portal|form) is (down|a riddle to me)",
        "I'm (handing over|finishing) (my work|things) (today|before noon)",
        "It's (about work|an office matter|nothing private)",
    ),
)
