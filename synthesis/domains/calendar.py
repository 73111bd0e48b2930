"""Calendar: events, free time, dates."""

from typing import Annotated, Any

from synthesis import pools
from synthesis.dates import day_number
from synthesis.declaration import Chain, Domain, declare
from synthesis.kinds import (
    EMAIL,
    Date,
    Kind,
    Time,
    identifier,
    number,
    several,
)
from synthesis.world import code, exists, fact, pick

Title = Annotated[str, Kind("title", pools.event_title)]
EventId = Annotated[str, identifier("event number", "EV")]
Minutes = Annotated[int, number("duration", 15, 240, "minute", 15)]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def create_event(
    title: Title,
    date: Date,
    start_time: Time,
    duration_minutes: Minutes = 60,
    attendees: Annotated[list[str], several(EMAIL, "attendees", 1, 3)] | None = None,
) -> dict[str, Any]:
    """Add an event to the calendar.

    Args:
        title: What the event is called.
        date: Day of the event, YYYY-MM-DD.
        start_time: When it starts, HH:MM on a 24-hour clock.
        duration_minutes: How long it takes.
        attendees: E-mail addresses of those to invite.
    """
    if not exists("free hour", f"{date} {start_time}"):
        raise ValueError(f"{date} at {start_time} is already taken by another event")
    return {
        "event_id": code("EV", title, date, start_time),
        "ends_at": _later(start_time, duration_minutes),
        "invitations_sent": len(attendees or []),
    }


def list_events(date: Date) -> dict[str, Any]:
    """List the events in the calendar on one day.

    Args:
        date: The day, YYYY-MM-DD.
    """
    events = [
        {
            "event_id": code("EV", date, place),
            "title": f"{pick(pools.TOPICS, date, place)} {pick(pools.OCCASIONS, place, date)}",
            "start_time": f"{8 + 3 * place + fact(0, 2, date, place):02}:00",
        }
        for place in range(fact(1, 3, "events", date))
    ]
    return {"date": date, "count": len(events), "first": events[0], "events": events}


def cancel_event(event_id: EventId, notify: bool = False) -> dict[str, Any]:
    """Remove an event from the calendar.

    Args:
        event_id: Number of the event, as EV-12345.
        notify: Whether those invited get a message.
    """
    if not exists("event", event_id, 9):
        raise ValueError(f"there is no event {event_id}")
    return {"event_id": event_id, "status": "cancelled", "notified": notify}


def find_free_time(date: Date, duration_minutes: Minutes) -> dict[str, Any]:
    """Find the first stretch of free time on a day.

    Args:
        date: The day, YYYY-MM-DD.
        duration_minutes: How long it has to be.
    """
    start = f"{fact(8, 16, 'free', date, duration_minutes):02}:{pick(('00', '30'), date)}"
    return {"date": date, "start_time": start, "end_time": _later(start, duration_minutes)}


def days_between(start_date: Date, end_date: Date) -> dict[str, Any]:
    """Count the days from one date to another, and tell the weekday of the second.

    Args:
        start_date: The earlier date, YYYY-MM-DD.
        end_date: The later date, YYYY-MM-DD.
    """
    first, last = day_number(start_date), day_number(end_date)
    if last <= first:
        raise ValueError(f"end_date {end_date} is not after start_date {start_date}")
    # 1 January 1970 was a Thursday.
    return {"days": last - first, "end_weekday": WEEKDAYS[(last + 3) % 7]}


def _later(time: str, minutes: int) -> str:
    hour, minute = map(int, time.split(":"))
    total = (hour * 60 + minute + minutes) % (24 * 60)
    return f"{total // 60:02}:{total % 60:02}"


DOMAIN = Domain(
    "calendar",
    (
        declare(
            create_event,
            do=(
                "(put|add|schedule) '{title}' (in|into) my calendar[ on {date}][ at {start_time}]"
                "[ for {duration_minutes}][ and invite {attendees}]",
                "(create|set up|book) (an event|an appointment|a calendar entry) called '{title}'"
                "[ on {date}][ at {start_time}][, lasting {duration_minutes}]"
                "[, and send invitations to {attendees}]",
                "(plan|arrange) '{title}'[ for {date}][, starting at {start_time}]",
            ),
            answer=(
                "'{title}' is (in your calendar|planned|set) for {date}, from {start_time} to "
                "{ends_at}.",
                "(I've added|I have created) '{title}' on {date} at {start_time}; its number is "
                "{event_id}.",
            ),
            more=(
                ("when does it end", "it ends at {ends_at}"),
                ("what is the event's number", "the event has the number {event_id}"),
            ),
            slips=("start_time",),
        ),
        declare(
            list_events,
            do=(
                "(list|show me|read me|tell me) (the events|all appointments|what I have planned)"
                "[ on {date}]",
                "(check|look up|see) what is in my calendar[ on {date}]",
            ),
            ask=(
                "what (do I have planned|is in my calendar|is on my schedule)[ on {date}]",
                "which (appointments|events) do I have[ on {date}]",
            ),
            answer=(
                "On {date} you have {events.title}.",
                "(Events|In your calendar) on {date}: {events.title}.",
            ),
            more=(
                (
                    "when does the first one start",
                    "the first one, {first.title}, starts at {first.start_time}",
                ),
                (
                    "what is the number of the first one",
                    "{first.title} has the number {first.event_id}",
                ),
            ),
        ),
        declare(
            cancel_event,
            do=(
                "(cancel|delete|remove) the (event|appointment)[ {event_id}]"
                "[?notify  and (tell|notify) everybody who is invited]",
                "take the (event|appointment)[ with the number {event_id}] (off|out of) my calendar"
                "[?notify  and let the guests know]",
            ),
            answer=(
                "The event {event_id} is (cancelled|no longer in your calendar)"
                "[?notified , and everybody invited has been told].",
                "(Done|All right): {event_id} has been cancelled.",
            ),
            slips=("event_id",),
        ),
        declare(
            find_free_time,
            do=(
                "(find|look for|give me) a free slot[ of {duration_minutes}][ on {date}]",
                "(see|check) when I have {duration_minutes} free[ on {date}]",
            ),
            ask=("when (am I free|do I have time)[ on {date}] for {duration_minutes}",),
            answer=(
                "You are free on {date} from {start_time} to {end_time}.",
                "The first free slot on {date} (is|starts) at {start_time} (and ends|until) "
                "{end_time}.",
            ),
            more=(("until when is that", "that slot ends at {end_time}"),),
        ),
        declare(
            days_between,
            do=(
                "(count|calculate|work out) the days[ from {start_date}][ (to|until) {end_date}]",
                "tell me how many days there are[ from {start_date}][ to {end_date}]",
            ),
            ask=("how many days (are there|lie) between {start_date} and {end_date}",),
            answer=(
                "The number of days from {start_date} to {end_date} is {days}.",
                "The number of days is {days}; {end_date} is a {end_weekday}.",
            ),
            more=(("which weekday is the second date", "it is a {end_weekday}"),),
            slips=("end_date",),
        ),
    ),
    chains=(
        Chain(
            "list_events",
            "cancel_event",
            {"event_id": "first.event_id"},
            do=(
                "(look up|check) my calendar on {date} and (cancel|delete) the first event"
                "[?notify  and notify the guests]",
                "(cancel|remove|drop) (the first thing|whatever comes first) in my calendar on "
                "{date}[?notify  and tell the guests]",
            ),
        ),
        Chain(
            "find_free_time",
            "create_event",
            {"start_time": "start_time"},
            do=(
                "(find|look for) a free slot of {duration_minutes} on {date} and "
                "(put|schedule|plan) '{title}' (there|in it)[, inviting {attendees}]",
                "(schedule|plan) '{title}' on {date} as soon as I have {duration_minutes} free"
                "[ and invite {attendees}]",
            ),
        ),
    ),
    similar=("work", "health"),
    reasons=(
        "My (week|calendar|schedule|diary) is (a mess|quite full|chaotic)",
        "I'm (planning|sorting out|preparing) my (week|month|appointments)",
        "My (boss|colleague|assistant|manager) (asked about|reminded me of) this",
        "I don't want to (forget this|mix up my dates|miss anything)",
        "I have (five minutes|a moment) to (get organised|sort out my plans)",
    ),
)
