"""Dates as ISO texts: counting days without a clock or a time zone."""

MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def day_number(date: str) -> int:
    """Return the days from 1 January 1970 to an ISO date."""
    year, month, day = map(int, date.split("-"))
    before = sum(MONTH_LENGTHS[: month - 1]) + (_is_leap(year) and month > 2)
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 + before + day - 1 - 719162


def days_later(date: str, days: int) -> str:
    """Return the ISO date that comes so many days after another, 0 or more."""
    year, month, day = map(int, date.split("-"))
    day += days
    while day > (length := MONTH_LENGTHS[month - 1] + (_is_leap(year) and month == 2)):
        day -= length
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return f"{year}-{month:02}-{day:02}"


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
