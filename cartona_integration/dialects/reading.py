"""Reading of what a message says: converters of single values, and tables of fields.

Whatever is wrong leaves this file as a :class:`PayloadError`, as it does ``payload.py``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial, wraps
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..exceptions import PayloadError, _lt
from .payload import EXACT, MAX_DIGITS, wrong

MAX_INTEGER_DIGITS = 15  # of an amount: what a double holds exactly
MAX_DECIMALS = 6
MAX_ID = 128  # characters: ids are indexed
MAX_TEXT = 10_000  # characters
MAX_ROWS = 2_000
MAX_RETRY_AFTER = 3600  # seconds
FIRST_YEAR, LAST_YEAR = 1970, 2199
# How MySQL and .NET write that there is no date.
NO_DAYS = ("0000-00-00", "0001-01-01")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([Tt ][0-9]{2}:[0-9]{2}.*)?")
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,12}))?"
    r"([Zz]|[+-][0-2][0-9]:[0-5][0-9])?"
)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


# --- converters: (value, path) -> value, None for null, "" and missing ----------------------------


def _converter(convert):
    @wraps(convert)
    def wrapped(value, path="value", **options):
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        return convert(value, path, **options)

    return wrapped


@_converter
def text(value, path, limit=MAX_TEXT):
    """Read a text, trimmed; a whole number becomes text, as ids come as numbers too."""
    if isinstance(value, Decimal) and value.adjusted() < MAX_DIGITS:
        value = int(value) if value == value.to_integral_value() else value
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise wrong(path, _lt("a text"), value)
    value = str(value).strip()
    if len(value) > limit:
        raise wrong(path, _lt("a text of at most %s characters"), value, limit)
    return value


#: an id: short enough for a database index
identifier = partial(text, limit=MAX_ID)


@_converter
def decimal(value, path):
    """Read an exact number: int, Decimal or text such as ``120.00``.

    A JSON number's tail is what binary fractions leave of it (33.333333333333336): rounded off. A text is
    meant as it stands.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = Decimal(value.strip())
    elif isinstance(value, Decimal) and value.is_finite() and value.adjusted() < MAX_INTEGER_DIGITS:
        value = round(value, MAX_DECIMALS)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise wrong(path, _lt("a number"), value)
    number = Decimal(value)
    if not number.is_finite() or (number and number.adjusted() >= MAX_INTEGER_DIGITS):
        raise wrong(path, _lt("a number of at most %s digits"), value, MAX_INTEGER_DIGITS)
    if number.normalize(EXACT).as_tuple().exponent < -MAX_DECIMALS:
        raise wrong(path, _lt("a number of at most %s decimals"), value, MAX_DECIMALS)
    return number


@_converter
def quantity(value, path):
    """Read a number that cannot be below zero."""
    number = decimal(value, path)
    if number < 0:
        raise wrong(path, _lt("a number not below 0"), value)
    return number


@_converter
def integer(value, path):
    """Read a whole number; 7.0 is one."""
    number = decimal(value, path)
    if number != number.to_integral_value():
        raise wrong(path, _lt("a whole number"), value)
    return int(number)


@_converter
def boolean(value, path):
    """Read yes or no: true, false, 1, 0, also as text."""
    word = str(value).strip().lower() if isinstance(value, (bool, int, str)) else None
    if word not in _BOOLEANS:
        raise wrong(path, _lt("true or false"), value)
    return _BOOLEANS[word]


@_converter
def web_address(value, path):
    """Read a web address that may stand behind a link: no other scheme, which a browser might run."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s<>\"']{1,1000}", value.strip()):
        raise wrong(path, _lt("a web address"), value)
    return value.strip()


@_converter
def timestamp(value, path, zone=None):
    """Read an RFC 3339 time as aware UTC.

    :param str zone: name of the time zone of a time without offset; without it one is refused
    """
    if _is_no_day(value):
        return None
    found = _TIMESTAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or not (found[4] or zone):
        raise wrong(path, _lt("a time with offset such as 2026-01-31T10:00:00Z"), value)
    try:
        moment = datetime.fromisoformat(f"{_dated(found[1])}T{found[2]}.{(found[3] or '0')[:6]:0<6}")
        return moment.replace(tzinfo=_zone(found[4], zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError, ZoneInfoNotFoundError):
        raise wrong(path, _lt("a time that exists"), value) from None


def _is_no_day(value):
    return isinstance(value, str) and value.strip()[:10] in NO_DAYS


def _dated(day):
    """Refuse a slip of the pen: Odoo's dates and people's calendars end somewhere.

    :raise ValueError: it is none of our time
    """
    if not FIRST_YEAR <= int(day[:4]) <= LAST_YEAR:
        raise ValueError(day)
    return day


def _zone(offset, name):
    if not offset:
        return ZoneInfo(name)
    if offset in "Zz":
        return timezone.utc
    minutes = int(offset[1:3]) * 60 + int(offset[4:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


@_converter
def day(value, path):
    """Read a calendar day; of a time the day as it is written."""
    if _is_no_day(value):
        return None
    found = _DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        return date.fromisoformat(_dated(found[1]))
    except (TypeError, ValueError):
        raise wrong(path, _lt("a day such as 2026-01-31"), value) from None


@_converter
def country(value, path):
    """Read an ISO 3166-1 alpha-2 code."""
    return _code(value, path, 2, _lt("a country code of 2 letters"))


@_converter
def currency(value, path):
    """Read an ISO 4217 code."""
    return _code(value, path, 3, _lt("a currency code of 3 letters"))


def _code(value, path, length, expected):
    if not isinstance(value, str) or not re.fullmatch(f"[A-Za-z]{{{length}}}", value.strip()):
        raise wrong(path, expected, value)
    return value.strip().upper()


def one_of(words):
    """Make a converter that translates by a table; a word not in it is refused by name."""

    @_converter
    def convert(value, path):
        word = text(value, path)
        if word not in words:
            raise wrong(path, _lt("one of %s"), word, ", ".join(words))
        return words[word]

    return convert


def record(table, make):
    """Make a converter for an object: read by ``table``, made by ``make``."""

    @_converter
    def convert(value, path):
        return make(**read(table, value, path))

    return convert


def rows(table, make):
    """Make a converter for a list of objects, each as :func:`record` does; an empty list is one."""

    @_converter
    def convert(value, path):
        if not isinstance(value, list):
            raise wrong(path, _lt("a list"), value)
        if len(value) > MAX_ROWS:
            raise PayloadError(path, _lt("at most %s rows"), str(len(value)), MAX_ROWS)
        found = (read(table, row, f"{path}[{index}]") for index, row in enumerate(value))
        return tuple(make(**row) for row in found)

    return convert


def lenient(convert):
    """Make a converter that gives None for what it cannot read, where a guess harms nobody."""

    def converted(value, path="value"):
        try:
            return convert(value, path)
        except PayloadError:
            return None

    return converted


# --- tables -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One row of a table: where a value lies and how it is read.

    :param path: dotted path, or several: the first that holds something counts
    :param default: for what is missing; never for what is wrong
    :param is_informative: good to know, no more: what is wrong counts as missing where the reader is told
    """

    path: str | tuple[str, ...]
    convert: Callable
    required: bool = False
    default: object = None
    is_informative: bool = False

    @property
    def paths(self):
        """All paths, in the order they are tried."""
        return (self.path,) if isinstance(self.path, str) else self.path


def read(table, data, where="", unread=None):
    """Read an object by a table.

    :param dict table: name -> Field
    :param str where: path of the object itself, for errors
    :param list unread: takes the errors of informative fields; without it they are raised like the others
    :return: dict name -> converted value
    :raise PayloadError: with the full path of the first field that is missing or wrong
    """
    if not isinstance(data, dict):
        raise wrong(where, _lt("an object"), data)
    return {name: _value(field, data, where, unread) for name, field in table.items()}


def _value(field, data, where, unread):
    for path in field.paths:
        full = f"{where}.{path}" if where else path
        try:
            value = field.convert(_found(data, path, full), full)
        except PayloadError as error:
            if unread is None or not field.is_informative:
                raise
            unread.append(error)
            continue
        if value is not None:
            return value
    if field.required:
        raise wrong(full, _lt("a value"), None)
    return field.default


def _found(data, path, full):
    for depth, name in enumerate(path.split("."), 1):
        if data is None:
            return None
        if not isinstance(data, dict):
            parent = full.rsplit(".", path.count(".") + 2 - depth)[0]
            raise wrong(parent, _lt("an object"), data)
        data = data.get(name)
    return data


def first_text(data, paths):
    """Give the first non-empty text at the dotted ``paths`` (of a list its first), or None."""
    for path in paths:
        value = data
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, list) and value:
            value = value[0]
        found = lenient(text)(value)
        if found:
            return found
    return None


def retry_after(value, now=None):
    """Read the ``Retry-After`` header (RFC 9110, 10.2.3).

    :param datetime now: aware; for tests
    :return: seconds, at most an hour, or None when it says nothing usable
    """
    value = str(value or "").strip()[:40]
    if re.fullmatch("[0-9]+", value):
        return min(int(value), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    seconds = int((moment - (now or datetime.now(timezone.utc))).total_seconds())
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else None
