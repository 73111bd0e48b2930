"""Home: lights, heating, doors, devices."""

from typing import Annotated, Any, Literal

from synthesis.declaration import Domain, Instead, declare
from synthesis.kinds import Kind, Time, decimal, number
from synthesis.world import check_known, exists, fact, pick

ROOMS = (
    "living room",
    "kitchen",
    "bedroom",
    "bathroom",
    "hallway",
    "study",
    "nursery",
    "guest room",
    "garage",
    "attic",
)
OTHER_ROOM_NAMES = {
    "lounge": "living room",
    "parlour": "living room",
    "office": "study",
    "corridor": "hallway",
    "toilet": "bathroom",
    "loft": "attic",
    "spare room": "guest room",
    "sitting room": "living room",
    "children's room": "nursery",
}
Room = Annotated[str, Kind("room", lambda dice: dice.choice(ROOMS), aliases=OTHER_ROOM_NAMES)]
Mode = Annotated[Literal["eco", "comfort", "away", "boost"], Instead(("turbo", "party", "arctic"))]


def _known(room: str) -> str:
    check_known("room", room, ROOMS, OTHER_ROOM_NAMES)
    return room


def set_light(
    room: Room,
    on: bool,
    brightness_percent: Annotated[int, number("brightness", 5, 100, step=5)] | None = None,
) -> dict[str, Any]:
    """Turn the lights of a room on or off.

    Args:
        room: Which room.
        on: True to turn them on, false to turn them off.
        brightness_percent: How bright, when they are turned on.
    """
    if not on and brightness_percent:
        raise ValueError("brightness_percent is only allowed when the light is on")
    return {"lamps": fact(1, 5, "lamps", _known(room)), "watts": fact(5, 60, room) if on else 0}


def set_heating(
    room: Room,
    temperature: Annotated[float, decimal("temperature", 12, 28, unit="degree")],
    mode: Mode = "comfort",
) -> dict[str, Any]:
    """Set the heating of a room.

    Args:
        room: Which room.
        temperature: The temperature to reach, in degrees celsius.
        mode: How the heating works towards it.
    """
    now = fact(14, 23, "inside", _known(room))
    return {"current_temperature": now, "minutes_needed": fact(5, 90, room, temperature, mode)}


def read_sensor(
    room: Room, sensor: Literal["temperature", "humidity", "carbon_dioxide"]
) -> dict[str, Any]:
    """Read a sensor in a room.

    Args:
        room: Which room.
        sensor: What to measure.
    """
    bounds = {"temperature": (14, 24), "humidity": (30, 70), "carbon_dioxide": (400, 1600)}
    unit = {"temperature": "degrees", "humidity": "percent", "carbon_dioxide": "ppm"}[sensor]
    value = fact(*bounds[sensor], sensor, _known(room))
    return {"value": value, "unit": unit, "battery_percent": fact(5, 100, "battery", room)}


def get_home_status() -> dict[str, Any]:
    """Tell which windows are open, which lights are on, and whether the doors are locked."""
    return {"open_windows": ["kitchen", "attic"], "lights_on": ["study"], "doors_locked": True}


def schedule_device(
    device: Literal["dishwasher", "washing_machine", "dryer", "oven", "robot_vacuum"],
    start_time: Time,
    program: Annotated[
        Literal["quick", "normal", "intensive"], Instead(("gentle giant", "lunar"))
    ] = "normal",
) -> dict[str, Any]:
    """Start a household device at a certain time.

    Args:
        device: Which device.
        start_time: When it starts, HH:MM on a 24-hour clock.
        program: Which of its programs.
    """
    if not exists("slot", f"{device} {start_time}"):
        raise ValueError(f"{say(device)} is already running at {start_time}")
    return {"minutes": fact(20, 150, device, program), "noise": pick(("low", "medium"), device)}


def say(device: str) -> str:
    """Return a device's name in words."""
    return "the " + device.replace("_", " ")


DOMAIN = Domain(
    "home",
    (
        declare(
            set_light,
            do=(
                "(turn|switch) [?on on][!on off] the (light|lights)[ in the {room}]"
                "[, at {brightness_percent} percent]",
                "[?on light up][!on darken] the {room}[ with {brightness_percent} percent "
                "brightness]",
            ),
            answer=(
                "The lights in the {room} are [?on on][!on off].",
                "(Done|All right): I turned the lights in the {room} [?on on][!on off].",
            ),
            more=(("how many lamps are there", "the number of lamps is {lamps}"),),
        ),
        declare(
            set_heating,
            do=(
                "(set|turn) the heating[ in the {room}][ to {temperature}][ in {mode} mode]",
                "(heat|warm up) the {room}[ to {temperature}][ using {mode} mode]",
                "(set|adjust) the heating[ to {temperature}][, {mode} mode]",
            ),
            answer=(
                "The {room} will reach {temperature} in {minutes_needed} minutes.",
                "The heating in the {room} is set to {temperature}; it is {current_temperature} "
                "now.",
            ),
            more=(
                ("how warm is it there now", "it is {current_temperature} degrees at the moment"),
                ("how long does that take", "it takes {minutes_needed} minutes"),
            ),
        ),
        declare(
            read_sensor,
            do=(
                "(read|check|tell me) the {sensor}[ in the {room}]",
                "(measure|look up) the {sensor} of the air[ in the {room}]",
            ),
            ask=("what is the {sensor}[ in the {room}]",),
            answer=(
                "The {sensor} in the {room} is {value} {unit}.",
                "I (read|measure) {value} {unit} in the {room}.",
            ),
            more=(("how full is the sensor's battery", "its battery is at {battery_percent}%"),),
        ),
        declare(
            get_home_status,
            do=(
                "(check|tell me) (whether everything is fine|how things are) at home",
                "(see|check|tell me) (whether the doors are locked|which windows are open)",
            ),
            ask=(
                "(are the doors at home locked|did I leave a window open|is everything fine at "
                "home|are any lights still on at home)",
            ),
            answer=(
                "The doors are [?doors_locked locked][!doors_locked open]; open windows: "
                "{open_windows}; lights on: {lights_on}.",
            ),
            more=(("and which lights are on", "the light is on in the {lights_on}"),),
        ),
        declare(
            schedule_device,
            do=(
                "(start|run|turn on) the {device}[ at {start_time}][ on the {program} program]",
                "(let|have) the {device} run[ at {start_time}][, {program} program]",
            ),
            answer=(
                "The {device} (starts|will start) at {start_time} and takes {minutes} minutes.",
                "(Scheduled|All set): {device} at {start_time}.",
            ),
            more=(("how long will it run", "it runs for {minutes} minutes"),),
            slips=("start_time",),
        ),
    ),
    reasons=(
        "I'm (in bed|on the sofa|on my way home|at work)",
        "(My feet are cold|The baby is asleep|We have guests)",
        "I'm trying to save (energy|electricity)",
        "My hands are (full|wet|dirty)",
        "We are (about to leave|just back|moving things around)",
    ),
)
