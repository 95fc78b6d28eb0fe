"""Reading of untrusted JSON: what is refused, what is exact, and how errors name the place."""

import json
import random
from decimal import Decimal
from hashlib import sha256

import pytest

from cartona_integration.dialects import payload, reading
from cartona_integration.exceptions import PayloadError

# --- loads: M9 and faults 18-20 of the reliability study ----------------------------------------

REFUSED_BODIES = {
    "an empty body": b"",
    "only blanks": b" \n ",
    "not JSON": b"order=1",
    "two values": b"{} {}",
    "a cut body": b'{"a": [1, 2',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without mark": '{"a": 1}'.encode("utf-16-le"),
    "invalid UTF-8": b'{"a": "\xff"}',
    "an encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "1e999": b"[1e999]",
    "an exponent below -30": b"[1e-31]",
    "an exponent of many digits": b"[1e99999999999999999999]",
    "an exponent of 5,000 digits": b"[1e" + b"9" * 5000 + b"]",
    "an integer of 41 digits": b"9" * 41,
    "a fraction of 41 digits": b"1." + b"9" * 40,
    "a fraction too large": b"9" * 32 + b".5",
    "a fraction too small": b"0." + b"0" * 30 + b"1",
    "an integer of 5,000 digits": b"9" * 5000,
    "a fraction of 5,000 digits": b"0." + b"9" * 5000,
    "a key twice": b'{"a": 1, "a": 1}',
    "a key twice further in": b'{"x": [{"a": 1, "b": 2, "a": 3}]}',
    "NUL in a text": b'{"a": "x\\u0000"}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone surrogate in a key": b'{"\\udc00": 1}',
    "33 levels": b"[" * 33 + b"]" * 33,
    "33 levels of objects": b'{"a":' * 33 + b"1" + b"}" * 33,
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "100,000 levels never closed": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("raw", REFUSED_BODIES.values(), ids=REFUSED_BODIES)
def test_a_body_is_refused(raw):
    with pytest.raises(PayloadError) as caught:
        payload.loads(raw)
    assert caught.value.path
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "raw, data",
    [
        (b"null", None),
        (b"[]", []),
        (b'{"a": 7}', {"a": 7}),
        (b"[12.50]", [Decimal("12.50")]),
        (b"[1e30, 1e-30]", [Decimal("1e30"), Decimal("1e-30")]),
        ('{"ا": "ماركت 😀"}'.encode(), {"ا": "ماركت 😀"}),
        (b'["\\ud83d\\ude00"]', ["😀"]),
        (b"[" * 4 + b"]" * 4, [[[[]]]]),
        (b"9" * 40, int("9" * 40)),
    ],
)
def test_a_body_is_read(raw, data):
    assert payload.loads(raw) == data


def test_what_an_answer_nests_too_deep_is_cut_to_what_can_be_stored_and_is_refused_all_the_same():
    deep = payload.loads_answer(b'{"a":[' * 200 + b"1" + b"]}" * 200)
    with pytest.raises(PayloadError, match="32 levels"):
        payload.loads(payload.dumps(payload.storable(deep)).encode())
    shallow = payload.loads_answer(b"[" * 31 + b'{"a": 1.50}' + b"]" * 31)
    assert payload.storable(shallow) == shallow


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 32 + b"]" * 32,
        b"[" + b",".join([b"[" * 31 + b"]" * 31] * 9) + b"]",
        b'{"a\\\\": "[\\"' + b"[{" * 50 + b'\\\\", "b": [], "": ""}',
        b'["' + b'[","[' * 50 + b'"]',
    ],
    ids=["32 levels", "32 levels, 9 times", "in a text", "in texts side by side"],
)
def test_up_to_32_levels_are_read(raw):
    assert payload.loads(raw) == json.loads(raw)


@pytest.mark.parametrize("read", [payload.loads, payload.loads_answer])
@pytest.mark.parametrize("level", [b"[", b'{"a":', b'{"\\\\":[', b'["",'])
def test_what_is_nested_without_end_reaches_no_parser(monkeypatch, read, level):
    monkeypatch.setattr(json.JSONDecoder, "decode", lambda self, text: pytest.fail("parsed"))
    with pytest.raises(PayloadError, match="levels"):
        read(level * 100_000)


def test_a_fraction_stays_exact():
    assert str(payload.loads(b"0.10")) == "0.10"


def test_an_unstorable_text_is_found_by_its_path():
    with pytest.raises(PayloadError) as caught:
        payload.loads(b'{"order_details": [{"id": 1}, {"product_name": "x\\u0000"}]}')
    assert caught.value.path == "order_details[1].product_name"


def test_broken_json_is_found_by_its_position():
    with pytest.raises(PayloadError) as caught:
        payload.loads(b'{"a": 1, b}')
    assert caught.value.path == "character 9"


def test_invalid_utf8_is_found_by_its_position():
    with pytest.raises(PayloadError) as caught:
        payload.loads(b'{"a": "\xff"}')
    assert caught.value.path == "byte 7"


def test_a_key_given_twice_is_named():
    with pytest.raises(PayloadError) as caught:
        payload.loads(b'{"status": 1, "status": 2}')
    assert caught.value.path == "status"


def test_an_error_shows_only_the_beginning_of_a_long_text():
    with pytest.raises(PayloadError) as caught:
        payload.loads(b'{"secret": "' + b"s" * 5000 + b'\\u0000"}')
    assert str(caught.value).count("s" * 41) == 0


# --- dumps and digest ---------------------------------------------------------------------------


def _random_value(dice, depth=0):
    kinds = [
        lambda: None,
        lambda: dice.random() < 0.5,
        lambda: dice.randrange(-(10**20), 10**20),
        lambda: Decimal(dice.randrange(-(10**12), 10**12)).scaleb(-dice.randrange(0, 12)),
        lambda: Decimal(dice.randrange(1, 10**9)).scaleb(dice.randrange(-21, 21)),
        lambda: "".join(chr(dice.choice((9, 34, 92, 65, 0x627, 0x1F600))) for _ in range(4)),
    ]
    if depth < 4:
        kinds += [
            lambda: [_random_value(dice, depth + 1) for _ in range(3)],
            lambda: {f"k{n}": _random_value(dice, depth + 1) for n in range(3)},
        ]
    return dice.choice(kinds)()


@pytest.mark.parametrize("seed", range(200))
def test_what_is_written_is_read_back_equal(seed):
    data = _random_value(random.Random(seed))
    assert payload.loads(payload.dumps(data).encode()) == data


@pytest.mark.parametrize(
    "raw", [b"1e30", b"-1e-30", b"0e-30", b"0.00", b"1234567890123456789012345678901234567890e-20"]
)
def test_numbers_at_the_limits_can_be_read_again(raw):
    data = payload.loads(raw)
    assert payload.loads(payload.dumps(data).encode()) == data


def test_decimals_are_written_as_they_are():
    assert payload.dumps({"price": Decimal("120.00"), "n": 3}) == '{"price":120.00,"n":3}'


@pytest.mark.parametrize("text", ["a\ud800", "a\x00"])
def test_a_text_no_database_takes_is_written_so_that_it_does(text):
    written = payload.dumps({text: text})
    assert "\x00" not in written
    written.encode()
    assert payload.digest(text) != payload.digest("a")
    with pytest.raises(PayloadError):
        payload.loads(written.encode())


def test_people_can_read_what_is_written():
    assert payload.dumps(["ماركت النور"]) == '["ماركت النور"]'


@pytest.mark.parametrize("value", [0.1, Decimal("NaN"), Decimal("Infinity"), {1: 2}, b"x", {1}])
def test_what_has_no_exact_json_is_not_written(value):
    with pytest.raises(TypeError):
        payload.dumps([value])


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([7], [Decimal("7.0")]),
        ([7], [Decimal("7.00")]),
        ([Decimal("1e2")], [100]),
        ([0], [Decimal("-0.00")]),
        ([int("9" * 40)], [Decimal("9" * 40)]),
    ],
)
def test_the_digest_ignores_how_the_same_is_written(one, other):
    assert payload.digest(one) == payload.digest(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ([7], ["7"]),
        ([1], [True]),
        ([0], [None]),
        ([[1, 2]], [[2, 1]]),
        ({"a": None}, {}),
        ([""], [None]),
        (["a", "b"], ["a,b"]),
        ([int("9" * 40)], [int("9" * 39 + "8")]),
        ([Decimal("0." + "3" * 30)], [Decimal("0." + "3" * 29)]),
    ],
)
def test_the_digest_tells_different_things_apart(one, other):
    assert payload.digest(one) != payload.digest(other)


def test_the_digest_is_stable_for_ever():
    known = sha256('{"a":"ا","b":7}'.encode()).hexdigest()
    assert payload.digest({"b": Decimal("7.0"), "a": "ا"}) == known


# --- showing, and what marketplaces answer -----------------------------------------------------


@pytest.mark.parametrize(
    "text, shown",
    [
        ("شاي أسود", "شاي أسود"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("\x00", "\\x00"),
        (404, "404"),
    ],
)
def test_a_text_becomes_printable(text, shown):
    assert payload.printable(text) == shown


@pytest.mark.parametrize("text", ["x" * 500, "\n" * 500, "\n" * 20])
def test_a_printable_text_is_cut(text):
    assert len(payload.printable(text, 30)) == 30


def test_an_answer_may_write_a_number_with_a_long_tail():
    data = payload.loads_answer(b'{"price": 33.2999999999999971578290569595992565155029296875}')
    assert reading.decimal(data["price"]) == Decimal("33.3")
    long = "9" * 5000 + ".5"
    assert payload.loads_answer(f"[{long}]".encode()) == [long]


def test_an_answer_with_a_number_no_field_can_hold_is_read_all_the_same():
    long = "9" * 5000
    data = payload.loads_answer(
        f'{{"a": 1e5000, "b": {long}, "c": 1e100000000, "d": 1.50, "e": NaN}}'.encode()
    )
    assert data == {"a": "1e5000", "b": long, "c": "1e100000000", "d": Decimal("1.50"), "e": "NaN"}
    assert payload.digest(data)
    assert payload.dumps(data)
