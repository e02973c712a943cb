"""HTTP dates in their three forms, read strictly and written in the preferred one (RFC 9110, 5.6.7)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SHORT: Final = "(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG: Final = "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"{_SHORT}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_LONG}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_SHORT} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_LONGEST: Final = len("Wednesday, 01-Jan-25 00:00:00 GMT")
_AHEAD: Final = 50
"""A year of two digits that seems to be further ahead than so many years is one of the past (5.6.7)."""
_CENTURY: Final = 100
_LEAP_SECOND: Final = 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_date(text: str, now: float) -> float | None:
    """Return the seconds since 1970 of an HTTP date, `None` for any other text.

    Letters may be in either case; spaces, digits and the zone must be as the grammar has them.

    :param now: the current time, for years of two digits
    """
    if len(text) > _LONGEST:
        return None
    for form in _FORMS:
        if found := form.fullmatch(text):
            return _seconds_of(found, now)
    return None


def _seconds_of(found: re.Match[str], now: float) -> float | None:
    year, second = int(found["year"]), int(found["second"])
    if len(found["year"]) == 2:  # noqa: PLR2004  digits, as in RFC 850
        this_year = (_EPOCH + timedelta(seconds=now)).year
        year += this_year - this_year % _CENTURY
        year -= _CENTURY if year > this_year + _AHEAD else 0
    leap = second == _LEAP_SECOND
    month = _MONTHS.index(found["month"].lower()) + 1
    hour, minute = int(found["hour"]), int(found["minute"])
    try:
        date = datetime(year, month, int(found["day"]), hour, minute, second - leap, tzinfo=timezone.utc)
    except ValueError:
        return None
    return (date - _EPOCH).total_seconds() + leap
