"""The tools of the demo's last chat: plain functions, like a user's own; a chat executes them."""

from typing import Any

EXAMPLES = {"town": ["Oslo", "Ashford"], "bikes": [2, 14], "guest": ["Ada Costa"]}


def count_bikes(town: str) -> dict[str, Any]:
    """Count the bikes that are free in a town."""
    return {"free": 7 + len(town)}


def hire_bikes(town: str, bikes: int) -> dict[str, Any]:
    """Hire bikes in a town."""
    return {"hire_id": f"H-{1000 * bikes + len(town)}"}


def greet_guest(guest: str) -> dict[str, Any]:
    """Greet a guest by name."""
    return {"greeting": f"Welcome, {guest}!"}
