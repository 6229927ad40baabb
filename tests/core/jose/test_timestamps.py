"""`updated_at` and `auth_time`: a number or an RFC 3339 text becomes the text that Convex shows."""

from __future__ import annotations

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.timestamps import END_SECONDS, MIN_SECONDS, days_from_date, format_timestamp


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0, "1970-01-01T00:00:00+00:00", id="the epoch"),
        pytest.param(-0.0, "1970-01-01T00:00:00+00:00", id="minus zero"),
        pytest.param(1_700_000_000, "2023-11-14T22:13:20+00:00", id="an integer"),
        pytest.param(1_700_000_000.0, "2023-11-14T22:13:20+00:00", id="a whole double"),
        pytest.param(1_700_000_000.5, "2023-11-14T22:13:20.500+00:00", id="three digits"),
        pytest.param(1.000001, "1970-01-01T00:00:01.000000999+00:00", id="the fraction that a double has"),
        pytest.param(0.25, "1970-01-01T00:00:00.250+00:00", id="a quarter"),
        pytest.param(2**-20, "1970-01-01T00:00:00.000000953+00:00", id="nine digits, rounded down"),
        pytest.param(1e-10, "1970-01-01T00:00:00+00:00", id="less than a nanosecond"),
        pytest.param(-1, "1969-12-31T23:59:59+00:00", id="before the epoch"),
        pytest.param(-0.5, "1969-12-31T23:59:59.500+00:00", id="a fraction before the epoch"),
        pytest.param(951_782_400, "2000-02-29T00:00:00+00:00", id="a leap day"),
        pytest.param(253_402_300_799, "9999-12-31T23:59:59+00:00", id="the last year of four digits"),
        pytest.param(253_402_300_800, "+10000-01-01T00:00:00+00:00", id="the first of five"),
        pytest.param(1_700_000_000_000, "+55840-11-08T22:13:20+00:00", id="milliseconds"),
        pytest.param(-62_167_219_200, "0000-01-01T00:00:00+00:00", id="the year nought"),
        pytest.param(-62_167_219_201, "-0001-12-31T23:59:59+00:00", id="the year before"),
        pytest.param(MIN_SECONDS, "-262143-01-01T00:00:00+00:00", id="the first second"),
        pytest.param(END_SECONDS - 1, "+262142-12-31T23:59:59+00:00", id="the last second"),
        pytest.param(END_SECONDS - 0.5, "+262142-12-31T23:59:59.500+00:00", id="the last half of a second"),
    ],
)
def test_a_number_is_seconds_since_the_epoch(value: float, text: str) -> None:
    """CLM-10."""
    assert format_timestamp(value) == text


@pytest.mark.parametrize("value", [-1e-20, -5e-324, -(2.0**-55)], ids=str)
def test_the_moment_before_the_epoch_is_at_the_end_of_its_second(value: float) -> None:
    """CLM-10: floor of the seconds, floor of the nanoseconds; as a double, the fraction rounds to a whole second."""
    shown = format_timestamp(value)

    assert shown in ("1969-12-31T23:59:59.999999999+00:00", "1969-12-31T23:59:60+00:00")


@pytest.mark.parametrize(
    "value",
    [MIN_SECONDS - 1, MIN_SECONDS - 0.5, END_SECONDS, END_SECONDS + 1, 1e300, -1e300, 10**400],
    ids=lambda value: str(value)[:20],
)
def test_a_number_outside_the_calendar_is_no_point_in_time(value: float) -> None:
    assert format_timestamp(value) is None


@pytest.mark.parametrize("value", [None, True, False, [], {}, [0], b"2023-11-14T22:13:20Z"], ids=str)
def test_another_type_is_no_point_in_time(value: JsonValue) -> None:
    assert format_timestamp(value) is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20+00:00"),
        ("2023-11-14t22:13:20z", "2023-11-14T22:13:20+00:00"),
        ("2023-11-14 22:13:20+00:00", "2023-11-14T22:13:20+00:00"),
        ("2023-11-14T22:13:20-00:00", "2023-11-14T22:13:20+00:00"),
        ("2023-11-14T22:13:20+02:30", "2023-11-14T19:43:20+00:00"),
        ("2023-11-14T22:13:20-02:30", "2023-11-15T00:43:20+00:00"),
        ("2024-01-01T00:00:00+23:59", "2023-12-31T00:01:00+00:00"),
        ("2023-12-31T23:59:59-23:59", "2024-01-01T23:58:59+00:00"),
        ("2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00+00:00"),
        ("2023-03-01T00:30:00+01:00", "2023-02-28T23:30:00+00:00"),
        ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00+00:00"),
        ("2023-11-14T22:13:20.5Z", "2023-11-14T22:13:20.500+00:00"),
        ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20+00:00"),
        ("2023-11-14T22:13:20.0001Z", "2023-11-14T22:13:20.000100+00:00"),
        ("2023-11-14T22:13:20.1234567Z", "2023-11-14T22:13:20.123456700+00:00"),
        ("2023-11-14T22:13:20.123456789999Z", "2023-11-14T22:13:20.123456789+00:00"),
        ("2023-11-14T22:13:20.0000000009Z", "2023-11-14T22:13:20+00:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60+00:00"),
        ("2023-11-14T22:13:60.25+01:00", "2023-11-14T21:13:60.250+00:00"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00+00:00"),
        ("0000-01-01T00:00:00+00:01", "-0001-12-31T23:59:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
        ("9999-12-31T23:59:59-00:01", "+10000-01-01T00:00:59+00:00"),
    ],
    ids=str,
)
def test_a_text_is_rfc_3339(written: str, shown: str) -> None:
    """CLM-10: truncated to nine digits, second 60 stays 60, always in UTC."""
    assert format_timestamp(written) == shown


MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@pytest.mark.parametrize(
    ("month", "days"), list(enumerate(MONTH_LENGTHS, start=1)), ids=[f"month {n}" for n in range(1, 13)]
)
def test_every_month_has_its_days(month: int, days: int) -> None:
    last = f"2023-{month:02d}-{days:02d}T12:00:00"

    assert format_timestamp(f"{last}Z") == f"{last}+00:00"
    assert format_timestamp(f"2023-{month:02d}-{days + 1:02d}T12:00:00Z") is None


@pytest.mark.parametrize(
    ("year", "leap"),
    [
        (1600, True),
        (1700, False),
        (1900, False),
        (1999, False),
        (2000, True),
        (2004, True),
        (2100, False),
        (2400, True),
    ],
    ids=str,
)
def test_leap_years_are_those_of_the_gregorian_calendar(year: int, *, leap: bool) -> None:
    day = f"{year}-02-29T12:00:00"

    assert format_timestamp(f"{day}Z") == (f"{day}+00:00" if leap else None)


@pytest.mark.parametrize(
    ("seconds", "day"),
    [
        (-11_676_096_000, "1600-01-01"), (-11_671_084_800, "1600-02-28"), (-11_670_998_400, "1600-02-29"),
        (-11_670_912_000, "1600-03-01"), (-2_203_977_600, "1900-02-28"), (-2_203_891_200, "1900-03-01"),
        (951_696_000, "2000-02-28"), (951_782_400, "2000-02-29"), (951_868_800, "2000-03-01"),
        (978_220_800, "2000-12-31"), (978_307_200, "2001-01-01"), (4_107_456_000, "2100-02-28"),
        (4_107_542_400, "2100-03-01"), (13_574_563_200, "2400-02-29"), (13_574_649_600, "2400-03-01"),
    ],
    ids=str,
)  # fmt: skip
def test_days_that_are_easily_missed(seconds: int, day: str) -> None:
    """The ends of leap years, centuries and eras, in both directions."""
    assert format_timestamp(seconds) == f"{day}T00:00:00+00:00"
    assert format_timestamp(f"{day}T00:30:00+00:30") == f"{day}T00:00:00+00:00"
    assert days_from_date(int(day[:4]), int(day[5:7]), int(day[8:])) * 86_400 == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "2023-11-14", "22:13:20Z", "2023-11-14T22:13:20", "2023-11-14T22:13Z", "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20,5Z", "2023-11-14  22:13:20Z", "2023-11-14_22:13:20Z", "2023-11-14T22:13:20 Z",
        " 2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z\n", "2023-11-14T22:13:20+0000", "2023-11-14T22:13:20+00",
        "2023-11-14T22:13:20+24:00", "2023-11-14T22:13:20+23:60", "2023-11-14T22:13:20\u221200:00",
        "2023-00-14T22:13:20Z", "2023-13-14T22:13:20Z", "2023-11-00T22:13:20Z", "2023-11-31T22:13:20Z",
        "2023-02-29T22:13:20Z", "1900-02-29T22:13:20Z", "2100-02-29T22:13:20Z", "2000-02-30T22:13:20Z",
        "2023-11-14T24:00:00Z", "2023-11-14T22:60:20Z", "2023-11-14T22:13:61Z", "23-11-14T22:13:20Z",
        "12023-11-14T22:13:20Z", "-2023-11-14T22:13:20Z", "2023-1-14T22:13:20Z", "\u0662023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.\u0661Z", "1700000000", "2023-W46-2T22:13:20Z", "2023-318T22:13:20Z",
    ],
    ids=ascii,
)  # fmt: skip
def test_any_other_text_is_no_point_in_time(text: str) -> None:
    """CLM-10; DV-08: U+2212 is no minus sign."""
    assert format_timestamp(text) is None
