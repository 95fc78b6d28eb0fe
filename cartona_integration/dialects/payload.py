"""Untrusted JSON: strict parsing, exact numbers, one way to write and to compare it.

Whatever is wrong with a message leaves this file as a :class:`PayloadError` that says where, what
was expected and, cut short, what was found. Nothing here knows a marketplace.
"""

import json
import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import partial
from hashlib import sha256
from itertools import accumulate
from json.encoder import encode_basestring

from ..exceptions import PayloadError, _lt

MAX_DEPTH = 32
MAX_ANSWER_DEPTH = 400  # far below Python's own limit, behind the deepest stack of Odoo
MAX_DIGITS = 40  # of one number as it is written
MAX_EXPONENT = 30

EXACT = Context(prec=100, Emin=MIN_EMIN, Emax=MAX_EMAX)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LEVELS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_LEVELS = bytes(set(range(256)) - {*_LEVELS, ord('"')})
_TEXT = re.compile(rb'"[^"]*"?')
_TOO_DEEP = _lt("at most %s levels")
_WORDS = {None: _lt("nothing"), True: "true", False: "false"}
_CONSTANTS = {None: "null", True: "true", False: "false"}


# --- showing ----------------------------------------------------------------------------------


def printable(text, limit=200):
    """Give a text safe for a log line: control and direction characters escaped, and cut."""
    text = str(text)
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:limit]
    )
    return shown if len(shown) <= limit and len(text) <= limit else shown[: limit - 1] + "…"


def shown(value):
    """Give the short form of a found value that an error may carry."""
    if isinstance(value, (bool, type(None))):
        return _WORDS[value]
    if isinstance(value, dict):
        return _lt("an object")
    if isinstance(value, (list, tuple)):
        return _lt("a list")
    return printable(f'"{value[:40]}"' if isinstance(value, str) else value, 40)


def wrong(path, expected, value, limit=None):
    """Give the error to raise for ``value`` at ``path``; for the rest see :class:`PayloadError`."""
    return PayloadError(path or "message", expected, shown(value), limit)


# --- JSON -------------------------------------------------------------------------------------


def loads(raw):
    """Parse a JSON body that nobody vouches for.

    :param bytes raw: UTF-8 without a byte order mark
    :return: the data; whole numbers are int, all others Decimal
    :raise PayloadError: see the limits above; also duplicate keys, NaN, NUL, lone surrogates
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError(f"byte {error.start}", "UTF-8", _lt("another encoding")) from None
    if not text.strip():
        raise PayloadError("body", "JSON", _WORDS[None])
    if _is_deeper(raw, MAX_DEPTH):
        raise PayloadError("body", _TOO_DEEP, _lt("more"), MAX_DEPTH)
    try:
        data = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        found = shown(text[error.pos : error.pos + 10])
        raise PayloadError(f"character {error.pos}", "JSON", found) from None
    _check(data, ())
    return data


def _is_deeper(raw, levels):
    """Tell whether JSON nests deeper, before a parser does.

    A parser that only ends at Python's limit fails whatever finalizer happens to run at its depth:
    a cursor of somebody else's, say, that is never closed.

    :param bytes raw: UTF-8; broken JSON counts as far as a parser would get
    """
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    marks = raw.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_LEVELS)
    marks = _TEXT.sub(b"", marks.replace(b'""', b""))
    return max(accumulate(map(_LEVELS.__getitem__, marks)), default=0) > levels


def _whole(text):
    if len(text) > MAX_DIGITS:
        raise wrong("body", _lt("a number of at most %s digits"), text, MAX_DIGITS)
    return int(text)


def _fraction(text):
    number = _scaled(text)
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise wrong("body", _lt("a number of at most %s digits"), text, MAX_DIGITS)
    return number


def _scaled(text):
    """Read a number with any tail; 33.3 is as long as 33.2999999999999971578290569595992565155029296875."""
    exponent = text.lower().partition("e")[2]
    if len(exponent) > 4 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise wrong("body", _lt("an exponent within %s"), text, MAX_EXPONENT)
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise wrong("body", _lt("a number of at most %s digits"), text, MAX_DIGITS)
    return number


def loads_answer(raw):
    """Parse the JSON a marketplace answers: more leniently than what strangers send.

    A number no field can hold stays the text it is: the field that has it cannot be read, all others can.

    :param bytes raw: UTF-8
    :return: the data; whole numbers are int, all others Decimal
    :raise ValueError: it is no JSON
    :raise PayloadError: it nests deeper than ``MAX_ANSWER_DEPTH``
    """
    text = raw.decode(json.detect_encoding(raw), "surrogatepass")
    if _is_deeper(text.encode(errors="surrogatepass"), MAX_ANSWER_DEPTH):
        raise PayloadError("body", _TOO_DEEP, _lt("more"), MAX_ANSWER_DEPTH)
    return _ANSWER_DECODER.decode(text)


def storable(data, levels=MAX_DEPTH + 1):
    """Cut what is nested so deep that it could not be stored; it stays deeper than :func:`loads` takes.

    :param data: of :func:`loads_answer`
    """
    if not isinstance(data, (dict, list)):
        return data
    if not levels:
        return None
    if isinstance(data, list):
        return [storable(value, levels - 1) for value in data]
    return {key: storable(value, levels - 1) for key, value in data.items()}


def _or_text(read, text):
    try:
        return read(text)
    except PayloadError:
        return text


_ANSWER_DECODER = json.JSONDecoder(
    parse_int=partial(_or_text, _whole), parse_float=partial(_or_text, _scaled), parse_constant=str
)


def _constant(text):
    raise wrong("body", _lt("a finite number"), text)


def _object(pairs):
    data = dict(pairs)
    if len(data) < len(pairs):
        seen = set()
        twice = next(key for key, _value in pairs if key in seen or seen.add(key))
        raise PayloadError(printable(twice, 40), _lt("a key once in its object"), _lt("it twice"))
    return data


_DECODER = json.JSONDecoder(
    parse_int=_whole, parse_float=_fraction, parse_constant=_constant, object_pairs_hook=_object
)


def _check(data, where):
    """Refuse what no database stores."""
    if isinstance(data, str):
        if _UNSTORABLE.search(data):
            raise wrong(_joined(where), _lt("text without NUL and lone surrogates"), data)
    elif isinstance(data, (dict, list)):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            # Called for what can be wrong only: a message has hundreds of values.
            if isinstance(key, str) and _UNSTORABLE.search(key):
                raise wrong(_joined(where), _lt("text without NUL and lone surrogates"), key)
            if isinstance(value, (dict, list)) or (isinstance(value, str) and _UNSTORABLE.search(value)):
                _check(value, (*where, key))


def _joined(where):
    parts = (f"[{part}]" if isinstance(part, int) else f".{printable(part, 40)}" for part in where)
    return "".join(parts).lstrip(".")


def dumps(data):
    """Write JSON that :func:`loads` reads back equal, or refuses, but any database stores.

    :raise TypeError: for a float, which was exact nowhere
    """
    return _UNSTORABLE.sub(_escaped, _written(data))


def _escaped(found):
    return f"\\u{ord(found[0]):04x}"


def _written(value):
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    if isinstance(value, dict):
        # A key that is no text is a TypeError here.
        members = [f"{encode_basestring(key)}:{_written(item)}" for key, item in value.items()]
        return f"{{{','.join(members)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join([_written(item) for item in value])}]"
    if isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    raise TypeError(f"no exact JSON for {type(value).__name__}")


def digest(data):
    """Give the SHA-256 of what ``data`` says, whatever the key order and spelling of numbers.

    :param data: of :func:`loads`
    """
    return sha256(_canonical(data).encode(errors="surrogatepass")).hexdigest()


def _canonical_number(value):
    """Give a whole number as such, and any other as a text that no message can hold."""
    number = EXACT.add(value, 0).normalize(EXACT)
    return int(number) if number == number.to_integral_value() else f"\x00{number}"


_canonical = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_canonical_number
).encode
