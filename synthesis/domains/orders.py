"""Orders of a shop: status, parcels, returns."""

from typing import Annotated, Any, Literal, TypedDict

from synthesis import pools
from synthesis.declaration import Chain, Domain, Instead, declare
from synthesis.dice import Dice
from synthesis.grammar import joined
from synthesis.kinds import Kind, identifier, number
from synthesis.world import code, exists, fact, pick

OrderId = Annotated[str, identifier("order number", "ORD", 6)]
Parcel = Annotated[str, identifier("tracking number", "TRK")]
CancelReason = Annotated[
    Literal["changed_mind", "ordered_by_mistake", "found_cheaper", "too_slow"],
    Instead(("bad mood", "bad weather", "my horoscope")),
]


class ReturnedItem(TypedDict):
    """One line of a return."""

    item: str
    quantity: Annotated[int, number("quantity", 1, 9)]


def _returned_items(dice: Dice) -> list[dict[str, Any]]:
    names = dict.fromkeys(pools.item(dice) for _ in range(dice.between(1, 3)))
    return [{"item": name.replace("-", " "), "quantity": dice.between(1, 4)} for name in names]


def _say_returned(items: list[dict[str, Any]], dice: Dice) -> str:
    return joined([f"{item['quantity']} x {item['item']}" for item in items])


def get_order_status(order_id: OrderId) -> dict[str, Any]:
    """Look up where an order stands and what it costs.

    Args:
        order_id: Number of the order, as ORD-123456.
    """
    _require_order(order_id)
    return {
        "order_id": order_id,
        "status": pick(("being packed", "shipped", "out for delivery", "delivered"), order_id),
        "total": fact(900, 40000, "total", order_id) / 100,
        "tracking_number": code("TRK", order_id),
    }


def cancel_order(order_id: OrderId, reason: CancelReason = "changed_mind") -> dict[str, Any]:
    """Cancel an order and refund what was paid.

    Args:
        order_id: Number of the order, as ORD-123456.
        reason: Why it is cancelled.
    """
    _require_order(order_id)
    return {"cancelled": True, "refund": fact(900, 40000, "total", order_id) / 100}


def track_parcel(tracking_number: Parcel) -> dict[str, Any]:
    """Find out where a parcel is.

    Args:
        tracking_number: Number of the parcel, as TRK-12345.
    """
    return {
        "location": pick(pools.GREAT_CITIES, "parcel", tracking_number),
        "days_left": fact(2, 6, "left", tracking_number),
        "carrier": pick(("Swift Post", "Blue Van", "Parcelway"), tracking_number),
    }


def start_return(
    order_id: OrderId,
    items: Annotated[list[ReturnedItem], Kind("items", _returned_items, _say_returned)],
    pickup: bool = False,
) -> dict[str, Any]:
    """Start the return of some items of an order.

    Args:
        order_id: Number of the order, as ORD-123456.
        items: What is sent back.
        pickup: Whether a courier fetches the parcel at home.
    """
    _require_order(order_id)
    return {
        "return_id": code("RET", order_id, len(items)),
        "items_accepted": sum(item["quantity"] for item in items),
        "pickup": pickup,
    }


def _require_order(order_id: str) -> None:
    if not exists("order", order_id, 9):
        raise ValueError(f"no order has the number {order_id}")


DOMAIN = Domain(
    "orders",
    (
        declare(
            get_order_status,
            do=(
                "(check|look up|tell me) the status of my order[ {order_id}]",
                "(find out|tell me|see) (where|how far along) my order[ {order_id}] is",
            ),
            ask=(
                "(what is the status of|what's happening with|where is) my order[ {order_id}]",
                "has my order[ {order_id}] (been shipped|left the warehouse)(| yet)",
            ),
            answer=(
                "(Your order|Order) {order_id} is {status}.",
                "The order {order_id} over {total} euros is {status}; its tracking number is "
                "{tracking_number}.",
            ),
            more=(
                ("what did I pay for it", "the order came to {total} euros"),
                ("what is the tracking number", "the tracking number is {tracking_number}"),
            ),
            slips=("order_id",),
        ),
        declare(
            cancel_order,
            do=(
                "cancel my order[ {order_id}][, (the reason is|reason): {reason}]",
                "(stop|call off|withdraw) the order[ {order_id}][ (because of|reason): {reason}]",
            ),
            answer=(
                "The order {order_id} is cancelled and {refund} euros (go back to you|will be "
                "refunded).",
                "(I've cancelled|I have cancelled) {order_id}. Your refund is {refund} euros.",
            ),
            more=(("how much do I get back", "you get {refund} euros back"),),
            slips=("order_id",),
        ),
        declare(
            track_parcel,
            do=(
                "(track|trace|locate) my parcel[ {tracking_number}]",
                "(see|find out|tell me) where (the parcel|the package)[ {tracking_number}] is",
            ),
            ask=("where is (the package|my parcel)[ {tracking_number}](| now)",),
            answer=(
                "The parcel {tracking_number} is in {location} and should arrive in {days_left} "
                "days.",
                "{carrier} has your parcel in {location}; days left until delivery: {days_left}.",
            ),
            more=(("which carrier has it", "it travels with {carrier}"),),
        ),
        declare(
            start_return,
            do=(
                "(return|send back) {items}[ from (my |)order {order_id}]"
                "[?pickup  and have it picked up at home]",
                "(start|open|set up) a return[ for order {order_id}]: {items}"
                "[?pickup , with pickup by a courier]",
            ),
            answer=(
                "The return {return_id} is (open|set up) ; the number of "
                "pieces is {items_accepted}.",
                "(Your return is registered|I have started the return): its number is {return_id}"
                "[?pickup  and a courier will come to you].",
            ),
            more=(("what is the return number", "it is {return_id}"),),
            slips=("order_id",),
        ),
    ),
    chains=(
        Chain(
            "get_order_status",
            "track_parcel",
            {"tracking_number": "tracking_number"},
            do=(
                "(look up|check) (my |)order {order_id} and (track|trace|locate) its parcel",
                "(find out|tell me) where the parcel (of|with|for) order {order_id} is( now|)",
            ),
        ),
    ),
    reasons=(
        "I (bought|ordered) (something|a present|a few things) (last week|a while ago|online)",
        "I'm (still waiting|getting impatient|not at home much)",
        "It's about (a purchase|my last purchase|something I bought)",
        "The (confirmation|receipt|e-mail) just came",
        "My (wife|husband|partner|flatmate) keeps asking",
    ),
)
