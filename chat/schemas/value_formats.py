"""The formats of values that can be checked: dates and times, addresses of mail and of machines.

Times are those of RFC 3339; a time without its zone, which data sets often write, is one too.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from uuid import UUID

from jsonschema import FormatChecker

_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d+)?)?(?:[zZ]|[+-][0-2]\d:[0-5]\d)?"
_WHOLE_TIME = re.compile(_TIME, re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
# Longer texts are none of these.
_LONGEST = 400


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text) and date.fromisoformat(text))


def _is_date_time(text: str) -> bool:
    return text[10:11] in ("T", "t", " ") and _is_date(text[:10]) and _is_time(text[11:])


def _is_time(text: str) -> bool:
    return _WHOLE_TIME.fullmatch(text) is not None


_CHECKS: dict[str, Callable[[str], object]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "time": _is_time,
    "email": _MAIL.fullmatch,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uuid": UUID,
}


def _checked(check: Callable[[str], object]) -> Callable[[object], bool]:
    """Return a check of any value: what is no text has no format."""
    return lambda value: (
        not isinstance(value, str) or (len(value) <= _LONGEST and bool(check(value)))
    )


VALUE_FORMATS = FormatChecker(formats=())
for _name, _check in _CHECKS.items():
    VALUE_FORMATS.checks(_name, raises=ValueError)(_checked(_check))
