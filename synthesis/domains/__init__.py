"""The built-in tools, a small file for each field."""

from synthesis.declaration import Domain
from synthesis.domains import (
    banking,
    calendar,
    dining,
    files,
    health,
    home,
    leisure,
    mathematics,
    messages,
    orders,
    records,
    shopping,
    text,
    transport,
    travel,
    units,
    weather,
    work,
)

DOMAINS: tuple[Domain, ...] = (
    weather.DOMAIN,
    calendar.DOMAIN,
    orders.DOMAIN,
    banking.DOMAIN,
    travel.DOMAIN,
    dining.DOMAIN,
    units.DOMAIN,
    text.DOMAIN,
    files.DOMAIN,
    shopping.DOMAIN,
    messages.DOMAIN,
    home.DOMAIN,
    mathematics.DOMAIN,
    leisure.DOMAIN,
    work.DOMAIN,
    health.DOMAIN,
    transport.DOMAIN,
    records.DOMAIN,
)
