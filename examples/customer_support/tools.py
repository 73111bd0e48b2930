"""The desk of a small web shop: orders, tickets and vouchers, as functions that run.

Nothing is stored: an order's state follows from its number, so that a call always gives the same
result and every row of data can be replayed. In a shop of yours each function asks its database.
"""

import hashlib
from typing import Literal

_STATES = ("packed", "on its way", "delivered", "delivered", "in preparation")
_NAMES = [
    *("abel.fischer", "ada.brandt", "ben.okafor", "carla.diaz", "dmitri.volkov"),
    *("dora.lehmann", "elif.kaya", "frank.moreau", "grace.kim", "hugo.lind"),
    *("ines.rocha", "ivan.kral", "jonas.weber", "kira.tanaka", "leo.rossi"),
    *("maya.singh", "noah.jensen", "olga.petrova", "paul.dubois", "quinn.harper"),
    *("rosa.marin", "samir.haddad", "tara.walsh", "umar.aziz", "vera.novak"),
    *("will.turner", "yara.costa"),
]
_EMAILS = [f"{name}@example.{'com' if len(name) % 2 else 'org'}" for name in _NAMES]
_ORDERS = [f"R-{41007 + 613 * place}" for place in range(60)]
_TICKETS = [f"T-{5003 + 71 * place}" for place in range(48)]
_TEAM = [
    *("Amara Cole", "Boris Petit", "Chloe Tran", "Daniel Voss", "Eva Lindholm"),
    *("Farid Nasser", "Gina Romano", "Henrik Dahl", "Isla Grant", "Jorge Pinto"),
    *("Kemal Demir", "Lena Fuchs"),
]

EXAMPLES = {
    "order_id": _ORDERS,
    "ticket_id": _TICKETS,
    "email": _EMAILS,
    "colleague": _TEAM,
    "amount_euros": list(range(5, 101)),
    "address": [
        *("12 Elm Street", "7 Harbour Road", "88 Mill Lane", "3 Station Square"),
        *("41 Orchard Avenue", "19 Bridge Street", "5 Chapel Hill", "160 Park Road"),
        *("27 Rose Gardens", "64 Market Street", "9 Lighthouse Way", "112 Forest Drive"),
    ],
    "message": [
        "the lid of the teapot is cracked",
        "the lamp flickers after a minute",
        "one of the six cups is missing",
        "the parcel was left in the rain",
        "the invoice shows the wrong name",
        "the zip of the jacket is broken",
        "the chair came without its screws",
        "the blue paint is really green",
        "the charger gets far too hot",
        "the package was already open",
        "the second pillow never came",
        "the shoes are two sizes too small",
    ],
}
WRONG = {
    "order_id": ["R-10000", "R-77777", "R-90210", "R-12345"],
    "ticket_id": ["T-1000", "T-9999", "T-4321"],
}


def get_order(order_id: str) -> dict:
    """Look up an order."""
    _check(order_id, _ORDERS, "order")
    number = _number(order_id)
    return {"status": _state(order_id), "items": 1 + number % 4, "total_euros": 15 + number % 180}


def find_last_order(email: str) -> dict:
    """Find the last order of a customer.

    Args:
        email: The customer's address.
    """
    _check(email, _EMAILS, "customer")
    order = _ORDERS[_number(email) % len(_ORDERS)]
    return {"order_id": order, "status": _state(order)}


def cancel_order(order_id: str) -> dict:
    """Cancel an order."""
    _check(order_id, _ORDERS, "order")
    if _state(order_id) in ("on its way", "delivered"):
        raise ValueError(f"{order_id} is {_state(order_id)} and cannot be cancelled")
    return {"status": "cancelled"}


def refund_order(order_id: str, reason: Literal["damaged", "late", "wrong_item"]) -> dict:
    """Refund an order."""
    _check(order_id, _ORDERS, "order")
    return {
        "refund_euros": 15 + _number(order_id) % 180,
        "wait_days": 3 if reason == "damaged" else 5,
    }


def send_order(order_id: str, address: str) -> dict:
    """Send an order to an address."""
    _check(order_id, _ORDERS, "order")
    if _state(order_id) in ("on its way", "delivered"):
        raise ValueError(f"{order_id} is {_state(order_id)}, too late for another address")
    return {"status": "done"}


def open_ticket(
    email: str, message: str, priority: Literal["low", "normal", "urgent"] = "normal"
) -> dict:
    """Open a ticket for a customer.

    Args:
        email: The customer's address.
        message: What is wrong, in the customer's words.
    """
    _check(email, _EMAILS, "customer")
    return {"ticket_id": _TICKETS[_number(email + message) % len(_TICKETS)]}


def assign_ticket(ticket_id: str, colleague: str) -> dict:
    """Give a ticket to a colleague."""
    _check(ticket_id, _TICKETS, "ticket")
    if colleague not in _TEAM:
        raise ValueError(f"{colleague} is not in the team")
    return {"open_tickets": 1 + _number(colleague + ticket_id) % 9}


def send_voucher(email: str, amount_euros: int) -> dict:
    """Send a voucher to a customer."""
    _check(email, _EMAILS, "customer")
    return {"code": f"V-{10000 + _number(email + str(amount_euros)) % 90000}"}


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def _state(order_id: str) -> str:
    return _STATES[_number(order_id) % len(_STATES)]


def _check(value: str, known: list[str], what: str) -> None:
    if value not in known:
        raise ValueError(f"there is no {what} {value}")
