"""`updated_at` and `auth_time`: a number or an RFC 3339 text becomes the text that Convex shows.

The calendar is the proleptic Gregorian one over the years -262143 to 262142, which `datetime` does not cover. Rule
CLM-10.
"""

from __future__ import annotations

import re
from math import floor
from typing import Final

from aveverify._core.jose.encoding import JsonValue

# Years -262143 to 262142 in seconds since the epoch.
MIN_SECONDS: Final = -8_334_601_228_800
END_SECONDS: Final = 8_210_266_876_800

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_SECONDS_PER_DAY: Final = 86_400
_MINUTES_PER_DAY: Final = 1_440
_NANOSECOND_DIGITS: Final = 9
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000
# From 0000-03-01 to 1970-01-01, and the length of 400 years.
_DAYS_TO_EPOCH: Final = 719_468
_DAYS_PER_ERA: Final = 146_097
_MONTH_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY, _DECEMBER = 2, 12
_MAX_HOUR, _MAX_MINUTE, _LEAP_SECOND = 23, 59, 60
# January follows the ten months from March to December.
_MONTHS_BEFORE_JANUARY: Final = 10
_LAST_FOUR_DIGIT_YEAR: Final = 9999


def format_timestamp(value: JsonValue) -> str | None:
    """Write a point in time as Convex does.

    Args:
        value: A JSON number (seconds since the epoch, any sign, fractions allowed) or an RFC 3339 text.

    Returns:
        UTC as `YYYY-MM-DDTHH:MM:SS`, 0, 3, 6 or 9 digits of fraction, `+00:00`; None where it is no point in time.

    Source: CLM-10; RFC 3339 §5.6.
    """
    # type(), not isinstance(): bool is an int.
    if type(value) is str:
        return _format_text(value)
    if type(value) not in (int, float) or not MIN_SECONDS <= value < END_SECONDS:
        return None
    seconds = floor(value)
    nanoseconds = floor((value - seconds) * 1e9)
    days, rest = divmod(seconds, _SECONDS_PER_DAY)
    if nanoseconds == _NANOSECONDS_PER_SECOND:
        # Just below zero a double cannot tell the end of the second from its last nanosecond: second 60, as in text.
        return _write(days, rest // 60, rest % 60 + 1, 0)
    return _write(days, rest // 60, rest % 60, nanoseconds)


def _format_text(text: str) -> str | None:
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not 1 <= month <= _DECEMBER or not 1 <= day <= _MONTH_LENGTHS[month - 1]:
        return None
    if month == _FEBRUARY and day == _MONTH_LENGTHS[1] and (year % 4 != 0 or (year % 100 == 0 and year % 400 != 0)):
        return None
    # Second 60 is allowed in any minute, and stays 60.
    if hour > _MAX_HOUR or minute > _MAX_MINUTE or second > _LEAP_SECOND:
        return None
    minutes = hour * 60 + minute
    if found[8]:
        offset_hours, offset_minutes = int(found[9]), int(found[10])
        if offset_hours > _MAX_HOUR or offset_minutes > _MAX_MINUTE:
            return None
        offset = offset_hours * 60 + offset_minutes
        minutes += offset if found[8] == "-" else -offset
    more_days, minutes = divmod(minutes, _MINUTES_PER_DAY)
    fraction = (found[7] or "")[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, "0")
    return _write(days_from_date(year, month, day) + more_days, minutes, second, int(fraction))


def _write(days: int, minutes: int, second: int, nanoseconds: int) -> str:
    year, month, day = _date_from_days(days)
    shown = f"{year:04d}" if 0 <= year <= _LAST_FOUR_DIGIT_YEAR else f"{year:+05d}"
    fraction = ""
    if nanoseconds:
        digits = f"{nanoseconds:09d}"
        # The shortest of 3, 6 and 9 digits that loses nothing.
        while digits.endswith("000"):
            digits = digits[:-3]
        fraction = f".{digits}"
    hour, minute = divmod(minutes, 60)
    return f"{shown}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{fraction}+00:00"


def days_from_date(year: int, month: int, day: int) -> int:
    """Count the days since the epoch.

    Args:
        year: Any year of the proleptic Gregorian calendar.
        month: 1 to 12.
        day: 1 to 31.

    Returns:
        Days, negative before 1970.
    """
    # Years that begin in March, so that the leap day comes last.
    year -= month <= _FEBRUARY
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return (
        era * _DAYS_PER_ERA + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _DAYS_TO_EPOCH
    )


def _date_from_days(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + _DAYS_TO_EPOCH, _DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < _MONTHS_BEFORE_JANUARY else shifted_month - 9
    return era * 400 + year_of_era + (month <= _FEBRUARY), month, day_of_year - (153 * shifted_month + 2) // 5 + 1
