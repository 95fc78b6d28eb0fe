"""Reading of what a message says: which values are taken or refused, and how errors name the place."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from cartona_integration.dialects import reading
from cartona_integration.dialects.reading import Field
from cartona_integration.exceptions import PayloadError

# --- converters ---------------------------------------------------------------------------------

UTC = timezone.utc

READ = [
    (reading.text, " a ", "a"),
    (reading.text, 10, "10"),
    (reading.text, Decimal("10.0"), "10"),
    (reading.text, "904#2", "904#2"),
    (reading.identifier, "x" * 128, "x" * 128),
    (reading.decimal, 7, Decimal(7)),
    (reading.decimal, Decimal("0.000001"), Decimal("0.000001")),
    (reading.decimal, Decimal("1e2"), Decimal(100)),
    (reading.decimal, "120.00", Decimal("120.00")),
    (reading.decimal, "-1.5", Decimal("-1.5")),
    (reading.decimal, "1.5000000", Decimal("1.5")),
    (reading.decimal, "999999999999999", Decimal("999999999999999")),
    (reading.quantity, "0", Decimal(0)),
    (reading.integer, Decimal("7.0"), 7),
    (reading.integer, "24", 24),
    (reading.boolean, True, True),
    (reading.boolean, 0, False),
    (reading.boolean, "False", False),
    (reading.timestamp, "2026-11-12T12:15:05Z", datetime(2026, 11, 12, 12, 15, 5, tzinfo=UTC)),
    (reading.timestamp, "2026-11-12t12:15:05z", datetime(2026, 11, 12, 12, 15, 5, tzinfo=UTC)),
    (reading.timestamp, "2026-11-12 12:15:05+02:00", datetime(2026, 11, 12, 10, 15, 5, tzinfo=UTC)),
    (reading.timestamp, "2026-11-12T12:00:00-00:30", datetime(2026, 11, 12, 12, 30, tzinfo=UTC)),
    (
        reading.timestamp,
        "2026-11-12T12:00:00.123456789Z",
        datetime(2026, 11, 12, 12, 0, 0, 123456, tzinfo=UTC),
    ),
    (reading.timestamp, "2026-11-12T12:00:00.5Z", datetime(2026, 11, 12, 12, 0, 0, 500000, UTC)),
    (reading.day, "2025-07-14", date(2025, 7, 14)),
    (reading.day, "2025-07-14T23:30:00-05:00", date(2025, 7, 14)),
    (reading.country, "eg", "EG"),
    (reading.currency, "EGP", "EGP"),
]

REFUSED = [
    *((reading.text, value) for value in (True, Decimal("10.5"), Decimal("NaN"), [], {}, 1.0)),
    (reading.text, Decimal("1e999999")),
    (reading.text, "x" * 10_001),
    (reading.identifier, "x" * 129),
    *((reading.decimal, value) for value in (True, [], {}, 1.5, "abc", "1e3", "1,000.00", "1,5")),
    *((reading.decimal, value) for value in ("+5", ".5", "5.", "0x10", "١٢", "NaN", "--1", "1 0")),
    *((reading.decimal, value) for value in (Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN"))),
    *((reading.decimal, value) for value in (10**15, "1" + "0" * 15, Decimal("1e15"), "9" * 50)),
    *((reading.decimal, value) for value in ("0.0000001", "1.1234567")),
    *((reading.quantity, value) for value in (-1, "-0.01", "x", True)),
    *((reading.integer, value) for value in (Decimal("7.5"), "7.5", True, "x")),
    *((reading.boolean, value) for value in (2, "yes", "ja", [], {}, Decimal(1))),
    *((reading.timestamp, value) for value in ("2026-11-12T12:15:05", "2026-11-12", 1762900000)),
    *((reading.timestamp, value) for value in ("2026-02-30T00:00:00Z", "2026-11-12T25:00:00Z")),
    *((reading.timestamp, value) for value in ("0001-01-02T00:00:00+14:00", "2026-11-12T12:15Z")),
    *((reading.timestamp, value) for value in ("2026-11-12T12:00:00+29:00", "٢-11-12T12:00:00Z")),
    *((reading.day, value) for value in ("14/07/2025", "2025-02-30", "Monday", 20250714, [], True)),
    *((reading.country, value) for value in ("EGY", "E1", "Egypt", 20, "ﬁ")),
    *((reading.currency, value) for value in ("EG", "£", "E£P", 818)),
]  # fmt: skip


@pytest.mark.parametrize("convert, value, expected", READ)
def test_a_value_is_read(convert, value, expected):
    found = convert(value, "x")
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("convert, value", REFUSED)
def test_a_value_is_refused_with_its_path(convert, value):
    with pytest.raises(PayloadError) as caught:
        convert(value, "order_details[0].amount")
    assert caught.value.path == "order_details[0].amount"
    assert len(caught.value.found) <= 40


CONVERTERS = [
    reading.text, reading.identifier, reading.decimal, reading.quantity, reading.integer,
    reading.boolean, reading.timestamp, reading.day, reading.country, reading.currency,
    reading.one_of({"a": 1}), reading.rows({}, dict), reading.record({}, dict),
]  # fmt: skip


@pytest.mark.parametrize("convert", CONVERTERS)
@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_null_and_empty_text_are_missing(convert, nothing):
    assert convert(nothing) is None


def test_a_time_without_offset_needs_the_zone_a_dialect_gives():
    found = reading.timestamp("2026-01-12T12:00:00", "x", zone="Africa/Cairo")
    assert found == datetime(2026, 1, 12, 10, tzinfo=UTC)


def test_an_offset_wins_over_the_zone():
    found = reading.timestamp("2026-01-12T12:00:00Z", "x", zone="Africa/Cairo")
    assert found == datetime(2026, 1, 12, 12, tzinfo=UTC)


def test_an_unknown_word_is_refused_by_name():
    with pytest.raises(PayloadError, match='status: one of a, b expected, found "teleported"'):
        reading.one_of({"a": 1, "b": 2})("teleported", "status")


def test_a_lenient_converter_gives_nothing_for_what_it_cannot_read():
    assert reading.lenient(reading.decimal)("abc") is None


# --- tables -------------------------------------------------------------------------------------

LINE = {"amount": Field("amount", reading.quantity, required=True)}
TABLE = {
    "id": Field("id", reading.identifier, required=True),
    "city": Field("address.place.city", reading.text),
    "name": Field(("name", "nmae"), reading.text),
    "fee": Field("fee", reading.decimal, default=Decimal(0)),
    "lines": Field("order_details", reading.rows(LINE, dict), default=()),
}


def test_a_table_reads_dotted_paths_spellings_and_defaults():
    data = {"id": 5, "address": {"place": {"city": "طنطا"}}, "nmae": "x", "fee": None}
    assert reading.read(TABLE, data) == {
        "id": "5",
        "city": "طنطا",
        "name": "x",
        "fee": Decimal(0),
        "lines": (),
    }


@pytest.mark.parametrize(
    "data, path, expected, found",
    [
        ([], "message", "an object", "a list"),
        (None, "message", "an object", "nothing"),
        ({}, "id", "a value", "nothing"),
        ({"id": ""}, "id", "a value", "nothing"),
        ({"id": [1]}, "id", "a text", "a list"),
        ({"id": 1, "address": 5}, "address", "an object", "5"),
        ({"id": 1, "address": {"place": "x"}}, "address.place", "an object", '"x"'),
        ({"id": 1, "fee": "free"}, "fee", "a number", '"free"'),
        ({"id": 1, "nmae": {}}, "nmae", "a text", "an object"),
        ({"id": 1, "order_details": {}}, "order_details", "a list", "an object"),
        ({"id": 1, "order_details": [7]}, "order_details[0]", "an object", "7"),
        ({"id": 1, "order_details": [{}]}, "order_details[0].amount", "a value", "nothing"),
        (
            {"id": 1, "order_details": [{"amount": 1}, {"amount": True}]},
            "order_details[1].amount",
            "a number",
            "true",
        ),
    ],
)
def test_a_table_names_the_field_that_is_wrong(data, path, expected, found):
    with pytest.raises(PayloadError) as caught:
        reading.read(TABLE, data)
    assert (caught.value.path, caught.value.expected, caught.value.found) == (path, expected, found)


def test_the_path_of_a_nested_object_comes_first():
    with pytest.raises(PayloadError) as caught:
        reading.read({"a": Field("b.c", reading.text)}, {"b": 1}, "orders[3]")
    assert caught.value.path == "orders[3].b"


def test_a_list_of_rows_may_be_long():
    data = {"id": 1, "order_details": [{"amount": 1}] * 2000}
    assert len(reading.read(TABLE, data)["lines"]) == 2000


def test_a_list_of_rows_has_a_cap():
    with pytest.raises(PayloadError, match="order_details: at most 2000 rows"):
        reading.read(TABLE, {"id": 1, "order_details": [{"amount": 1}] * 2001})


# --- small readers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, found",
    [
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no"}, "no"),
        ({"error": "", "message": "later"}, "later"),
        ({"errors": ["first", "second"]}, "first"),
        ({"error": 17}, "17"),
        ({"error": {}}, None),
        ({}, None),
        ([], None),
        (None, None),
        ("text", None),
    ],
)
def test_the_first_text_is_found(data, found):
    paths = ("error.message", "error", "message", "errors")
    assert reading.first_text(data, paths) == found


NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("120", 120),
        (" 0 ", 0),
        (7, 7),
        ("999999999999", 3600),
        ("Thu, 12 Nov 2026 12:00:30 GMT", 30),
        ("Thu, 12 Nov 2026 14:00:30 +0200", 30),
        ("Thu, 12 Nov 2026 12:00:30", 30),
        ("Thu, 12 Nov 2036 12:00:00 GMT", 3600),
        ("Thu, 12 Nov 2026 11:59:59 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("٥", None),
        ("Thu, 99 Nov 2026 12:00:30 GMT", None),
        ("1e9", None),
    ],
)
def test_retry_after_is_read(value, seconds):
    assert reading.retry_after(value, NOW) == seconds


def test_retry_after_uses_the_clock_unless_told():
    later = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 <= reading.retry_after(later.strftime("%a, %d %b %Y %H:%M:%S GMT")) <= 100


def test_what_a_binary_fraction_leaves_of_a_number_is_rounded_off():
    assert reading.decimal(Decimal("33.333333333333336"), "price") == Decimal("33.333333")
    assert reading.decimal(Decimal("0.1000000000000000055"), "price") == Decimal("0.1")


@pytest.mark.parametrize("text", ["0000-00-00 00:00:00", "0001-01-01T00:00:00Z", "0001-01-01"])
def test_a_day_that_stands_for_none_is_none(text):
    assert reading.timestamp(text) is None
    assert reading.day(text) is None


@pytest.mark.parametrize("text", ["1066-10-14T10:00:00Z", "9999-12-31T10:00:00Z"])
def test_a_day_of_no_calendar_of_ours_is_refused(text):
    for read in (reading.timestamp, reading.day):
        with pytest.raises(PayloadError):
            read(text)
