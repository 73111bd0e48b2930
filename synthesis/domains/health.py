"""Health and sport: workouts, body mass, appointments, medicines."""

from typing import Annotated, Any, Literal

from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.kinds import City, Date, Time, decimal, identifier, number, one_of, several
from synthesis.world import code, exists, fact, known_city, pick

MEDICINES = tuple(
    f"{first}{last}"
    for first in ("Alvo", "Beri", "Coro", "Deni", "Fela", "Lumi", "Nova", "Soli")
    for last in ("dol", "fen", "mex", "pril", "tan")
)
Clinic = Annotated[str, identifier("clinic number", "CL", 3)]
Specialty = Annotated[
    Literal["dentist", "dermatologist", "cardiologist", "general_practitioner", "physiotherapist"],
    Instead(("palm reader", "hairdresser", "fortune teller")),
]


def log_workout(
    activity: Annotated[
        Literal["running", "cycling", "swimming", "rowing", "yoga"],
        Instead(("napping", "chess", "sword fighting")),
    ],
    minutes: Annotated[int, number("duration", 5, 300, "minute", 5)],
    distance_km: Annotated[float, decimal("distance", 0.5, 80, unit="kilometer")] | None = None,
) -> dict[str, Any]:
    """Record a workout.

    Args:
        activity: What kind of sport.
        minutes: How long it took.
        distance_km: How far it went, in kilometers.
    """
    calories = minutes * fact(4, 12, activity)
    return {"calories": calories, "workouts_this_week": fact(1, 6, activity, minutes)}


def calculate_bmi(
    height_cm: Annotated[int, number("height", 120, 220)],
    weight_kg: Annotated[float, decimal("weight", 35, 180)],
) -> dict[str, Any]:
    """Calculate the body mass index.

    Args:
        height_cm: Height in centimeters.
        weight_kg: Weight in kilograms.
    """
    index = round(weight_kg * 10000 / (height_cm * height_cm), 1)
    place = "below" if index < 18.5 else "in" if index < 25 else "above"
    return {"bmi": index, "range": f"{place} the usual range"}


def find_clinic(city: City, specialty: Specialty) -> dict[str, Any]:
    """Find the nearest practice of a medical specialty.

    Args:
        city: Where to look.
        specialty: Which kind of doctor.
    """
    about = (known_city(city), specialty)
    return {
        "clinic_id": f"CL-{fact(100, 999, *about)}",
        "distance_km": fact(2, 140, "distance", *about) / 10,
        "opens_at": f"{fact(7, 10, *about):02}:00",
    }


def book_appointment(
    clinic_id: Clinic, date: Date, time: Time, first_visit: bool = False
) -> dict[str, Any]:
    """Book an appointment at a practice.

    Args:
        clinic_id: Number of the practice, as CL-123.
        date: Day of the appointment, YYYY-MM-DD.
        time: When it begins, HH:MM on a 24-hour clock.
        first_visit: Whether the patient is new there.
    """
    if not exists("appointment", f"{clinic_id} {date}"):
        raise ValueError(f"{clinic_id} has nothing free on {date}")
    return {"appointment_id": code("AP", clinic_id, date, time), "room": fact(1, 12, clinic_id)}


def check_interactions(
    medicines: Annotated[list[str], several(one_of("medicine", MEDICINES), "medicines", 2, 4)],
) -> dict[str, Any]:
    """Check whether medicines may be taken together.

    Args:
        medicines: Names of the medicines.
    """
    safe = fact(0, 2, *sorted(medicines)) > 0
    return {"safe": safe, "advice": pick(("take with food", "take with water"), *medicines)}


DOMAIN = Domain(
    "health",
    (
        declare(
            log_workout,
            do=(
                "(log|record|note down) {minutes} of {activity}[ over {distance_km}]",
                "(add|enter) a workout: {activity}, {minutes}[, {distance_km}]",
                "(log|record) my {activity}[ over {distance_km}]",
                "(log|record|add) a workout[ of {minutes}][ over {distance_km}]",
            ),
            answer=(
                "(Logged|Recorded): {minutes} of {activity}, about {calories} calories.",
                "(Well done|Good work), that burned about {calories} calories.",
            ),
            more=(
                ("how many workouts is that this week", "the number is {workouts_this_week}"),
                ("how many calories was that", "it was about {calories} calories"),
            ),
        ),
        declare(
            calculate_bmi,
            do=(
                "(calculate|work out|tell me) (my|the) body mass index[ for {height_cm} cm]"
                "[ (and|with) {weight_kg} kg]",
                "(calculate|work out) my BMI[, I weigh {weight_kg} kg][, I am {height_cm} cm tall]",
            ),
            ask=("what is my BMI if I am {height_cm} cm tall and weigh {weight_kg} kg",),
            answer=(
                "Your body mass index is {bmi}, {range}.",
                "It comes to {bmi}, which is {range}.",
            ),
        ),
        declare(
            find_clinic,
            do=(
                "(find|look for|search for) (a|the nearest) {specialty}[ in {city}]",
                "(find|tell me) where to go for a {specialty}[ in {city}]",
                "(find|look for) (a doctor|a practice)[ in {city}]",
            ),
            ask=("(where is|is there) (a|the nearest) {specialty}[ in {city}]",),
            answer=(
                "The nearest {specialty} is {distance_km} km away; the number is {clinic_id}.",
                "Practice {clinic_id} is {distance_km} km away and opens at {opens_at}.",
            ),
            more=(("when does it open", "it opens at {opens_at}"),),
        ),
        declare(
            book_appointment,
            do=(
                "(book|make|get me) an appointment[ at (the practice |){clinic_id}][ on {date}]"
                "[ at {time}][?first_visit , it is my first visit]",
                "(reserve|book) (time|a slot)[ at (the practice |){clinic_id}][ for {date}]"
                "[ at {time}][?first_visit , as a new patient]",
            ),
            answer=(
                "Your appointment {appointment_id} is on {date} at {time}.",
                "(Booked|You are expected): {date} at {time}, room {room}.",
            ),
            more=(("which room is it", "it is room {room}"),),
            slips=("date",),
        ),
        declare(
            check_interactions,
            do=(
                "(check|find out|tell me) whether {medicines} (go together|can be taken together)",
                "(check|look up) the interactions of {medicines}",
                "(check|look up) (the interactions of my medicines|whether my medicines go "
                "together)",
            ),
            ask=("can I take {medicines} (together|at the same time)",),
            answer=(
                "[?safe They can be taken together; {advice}.][!safe They should not be taken "
                "together.]",
            ),
        ),
    ),
    chains=(
        Chain(
            "find_clinic",
            "book_appointment",
            {"clinic_id": "clinic_id"},
            do=(
                "(find|look for) a {specialty} in {city} and (book|make) an appointment on {date} "
                "at {time}[?first_visit , it is my first visit]",
                "get me an appointment with the nearest {specialty} in {city} on {date} at {time}"
                "[?first_visit , as a new patient]",
            ),
        ),
    ),
    reasons=(
        "I'm (trying to live healthier|getting fit|recovering from a cold)",
        "My (knee|back|tooth|shoulder) (hurts|is acting up)",
        "My (doctor|coach|mother) (insists|told me to)",
        "I (started|am starting) a new (plan|routine) (this week|this month)",
        "It's (nothing serious|about my health)",
    ),
)
