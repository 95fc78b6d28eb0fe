"""What all dialects share: judging answers, newer or not, paths, matching of bulk answers."""

import random
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from cartona_integration import dialects
from cartona_integration.dialects import base, payload, words
from cartona_integration.exceptions import (
    CredentialsRefused,
    MarketplaceError,
    PayloadError,
    Refused,
    TooManyCalls,
    Unavailable,
)

SAMPLES = Path(__file__).parents[2] / "cartona_integration" / "tests" / "samples"
BOTH = list(dialects.DIALECTS)


def answer(status, data=None, **headers):
    return words.Answer(status, data, {name.replace("_", "-"): headers[name] for name in headers})


# --- the table of dialects ----------------------------------------------------------------------


def test_a_dialect_is_found_by_its_code():
    assert {code: dialects.get(code).code for code in BOTH} == {
        "cartona": "cartona",
        "rest": "rest",
    }


def test_an_unknown_code_has_no_dialect():
    with pytest.raises(KeyError):
        dialects.get("bazaar")


PROMISED = {
    "can_acknowledge": ("acknowledge_request", "read_acknowledged"),
    "can_read_order": ("order_request", "read_order"),
    "can_create_products": ("create_product_request", "read_created_product"),
}


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize("flag", PROMISED)
def test_what_a_flag_offers_is_written_and_nothing_else(code, flag):
    dialect = type(dialects.get(code))
    for name in PROMISED[flag]:
        assert (getattr(dialect, name) is not getattr(base.Dialect, name)) == getattr(dialect, flag)


@pytest.mark.parametrize("code", BOTH)
def test_what_every_dialect_must_answer_is_written(code):
    dialect = dialects.get(code)
    for name in (
        "auth_headers", "test_request", "orders_request", "read_orders", "status_request",
        "products_request", "read_products", "update_products_request", "read_product_results",
        "split", "parse_order", "parse_status",
    ):  # fmt: skip
        assert getattr(type(dialect), name) is not getattr(base.Dialect, name)


def test_credentials_are_not_printed():
    assert "s3cret" not in repr(words.Credentials(token="s3cret"))


# --- judge --------------------------------------------------------------------------------------

JUDGED = [
    (200, [], None),
    (201, {"id": 1}, None),
    (204, None, None),
    (200, words.UNREADABLE, Unavailable),
    (200, {"error": "no such order"}, Refused),
    (200, {"error": {"code": "x", "message": "no"}}, Refused),
    (200, {"error": None, "orders": []}, None),
    (300, None, Unavailable),
    (301, None, Unavailable),
    (302, {}, Unavailable),
    (304, None, Unavailable),
    (400, {"error": "selling_price is invalid"}, Refused),
    (400, words.UNREADABLE, Refused),
    (401, None, CredentialsRefused),
    (403, words.UNREADABLE, CredentialsRefused),
    (404, None, Refused),
    (408, None, Unavailable),
    (409, None, Refused),
    (422, {"errors": ["is invalid"]}, Refused),
    (425, None, Unavailable),
    (429, None, TooManyCalls),
    (500, {"error": "oops"}, Unavailable),
    (502, words.UNREADABLE, Unavailable),
    (503, None, Unavailable),
    (504, None, Unavailable),
]


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize("status, data, expected", JUDGED)
def test_an_answer_is_judged(code, status, data, expected):
    try:
        dialects.get(code).judge(answer(status, data))
        found = None
    except MarketplaceError as error:
        found = type(error)
    assert found is expected


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry_After": "30"}, 30),
        ({"retry_after": "30"}, 30),
        ({"Retry_After": "99999"}, 3600),
        ({"Retry_After": "Wed, 01 Jan 2020 00:00:00 GMT"}, None),
        ({"Retry_After": "soon"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_the_marketplace_asks_for_is_kept(code, status, headers, seconds):
    with pytest.raises(Unavailable) as caught:
        dialects.get(code).judge(answer(status, **headers))
    assert caught.value.retry_after == seconds


def test_a_refusal_carries_the_marketplaces_words_and_code():
    refusal = {"error": {"code": "too_late", "message": "Order\nis\x1b[31m closed"}}
    with pytest.raises(Refused) as caught:
        dialects.get("rest").judge(answer(409, refusal))
    assert str(caught.value) == "HTTP 409: Order\\nis\\x1b[31m closed"
    assert caught.value.code == "too_late"


def test_a_refusal_without_words_has_its_status_as_code():
    with pytest.raises(Refused) as caught:
        dialects.get("rest").judge(answer(404))
    assert (str(caught.value), caught.value.code) == ("HTTP 404", "404")


def test_a_long_refusal_is_cut():
    with pytest.raises(Refused) as caught:
        dialects.get("rest").judge(answer(400, {"error": "x" * 5000}))
    assert len(str(caught.value)) == 200


# --- newer or not -------------------------------------------------------------------------------

NOW = datetime(2026, 11, 12, tzinfo=timezone.utc)
EARLIER = NOW - timedelta(seconds=1)

NEWER = [
    (words.PENDING, None, words.CONFIRMED, None, True),
    (words.PENDING, None, words.PENDING, None, True),
    (words.PENDING, None, words.DELIVERED, None, True),
    (words.PENDING, None, words.HELD, None, True),
    (words.HELD, None, words.PENDING, None, True),
    (words.CONFIRMED, None, words.PENDING, None, False),
    (words.SHIPPED, None, words.CONFIRMED, None, False),
    (words.CANCELLED, None, words.PENDING, None, False),
    (words.RETURNED, None, words.DELIVERED, None, False),
    (words.CANCELLED, None, words.RETURNED, None, False),
    (words.DELIVERED, None, words.SHIPPED, None, False),
    (words.DELIVERED, None, words.CANCELLED, None, True),
    (words.CANCELLED, None, words.DELIVERED, None, True),
    (words.DELIVERED, NOW, words.CANCELLED, EARLIER, False),
    (words.SHIPPED, EARLIER, words.CONFIRMED, NOW, True),
    (words.PENDING, NOW, words.CONFIRMED, EARLIER, False),
    (words.PENDING, NOW, words.PENDING, NOW, True),
    (words.PENDING, NOW, words.CONFIRMED, None, True),
    (words.SHIPPED, NOW, words.CONFIRMED, None, False),
    (words.PENDING, None, words.CONFIRMED, NOW, True),
    (None, None, words.CONFIRMED, None, True),
    (words.PENDING, None, "teleported", None, False),
]


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize("known, known_at, status, at, expected", NEWER)
def test_a_message_is_newer(code, known, known_at, status, at, expected):
    assert dialects.get(code).is_newer(known, known_at, status, at) is expected


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize(
    ("known", "status", "outlook"),
    [
        (None, words.CONFIRMED, words.SEND),
        (words.PENDING, words.CONFIRMED, words.SEND),
        (words.CONFIRMED, words.CANCELLED, words.SEND),
        (words.SHIPPED, words.CANCELLED, words.SEND),
        (words.CONFIRMED, words.CONFIRMED, words.REACHED),
        (words.SHIPPED, words.CONFIRMED, words.REACHED),
        (words.DELIVERED, words.CONFIRMED, words.REACHED),
        (words.RETURNED, words.CANCELLED, words.REACHED),
        (words.HELD, words.CONFIRMED, words.WAIT),
        (words.HELD, words.CANCELLED, words.WAIT),
        (words.CANCELLED, words.CONFIRMED, words.OVER),
        (words.RETURNED, words.CONFIRMED, words.OVER),
        (words.DELIVERED, words.CANCELLED, words.IMPOSSIBLE),
    ],
)
def test_what_telling_a_status_would_come_to(code, known, status, outlook):
    assert dialects.get(code).outlook(known, status) == outlook


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize(
    ("reported", "sent", "shown"),
    [
        (words.PENDING, None, words.PENDING),
        (words.PENDING, words.CONFIRMED, words.CONFIRMED),
        (None, words.CONFIRMED, words.CONFIRMED),
        (words.SHIPPED, words.CONFIRMED, words.SHIPPED),
        (words.CANCELLED, words.CONFIRMED, words.CANCELLED),
        (None, None, None),
    ],
)
def test_what_a_marketplace_shows_after_it_took_a_status(code, reported, sent, shown):
    assert dialects.get(code).shown(reported, sent) == shown


@pytest.mark.parametrize("code", BOTH)
def test_every_status_has_its_steps(code):
    steps = dialects.get(code).transitions
    assert set(steps) == set(words.STATUSES)
    assert set().union(*steps.values()) <= set(words.STATUSES)


# --- ids in paths -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, encoded",
    [
        ("kT3vQx9a", "kT3vQx9a"),
        ("a/b", "a%2Fb"),
        ("../admin", "..%2Fadmin"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a%2Fb", "a%252Fb"),
        ("ا", "%D8%A7"),
        ("a b\r\n", "a%20b%0D%0A"),
    ],
)
def test_an_id_is_one_segment_of_a_path(value, encoded):
    assert base.segment(value) == encoded


@pytest.mark.parametrize("value", ["", ".", ".."])
@pytest.mark.parametrize("code", BOTH)
def test_an_id_that_would_vanish_from_a_path_is_refused(code, value):
    with pytest.raises(Refused):
        dialects.get(code).status_request(value, words.CONFIRMED)


# --- matching a bulk answer ---------------------------------------------------------------------


def _said(row):
    return words.ItemResult(True, row["said"])


def test_rows_are_matched_by_id_and_not_by_position():
    rows = [{"id": "2", "said": "b"}, {"id": 1, "said": "a"}, {"id": "9", "said": "extra"}]
    asked = [("1",), ("2",), ("3",)]
    found = base.results(rows, asked, (("id",),), _said, words.ItemResult(None))
    assert [(result.ok, result.reason) for result in found] == [
        (True, "a"), (True, "b"), (None, None)
    ]  # fmt: skip


def test_an_id_of_one_kind_never_matches_an_id_of_another():
    rows = [{"id": "5", "said": "id"}, {"sku": "7", "said": "sku"}]
    asked = [("7", "5"), (None, "7"), ("5", None)]
    found = base.results(rows, asked, (("id",), ("sku",)), _said, words.ItemResult(None))
    assert [result.reason for result in found] == [None, "sku", "id"]


def test_two_listings_of_one_key_are_told_apart_by_their_ids():
    rows = [{"id": "1", "sku": "A", "said": "one"}, {"id": "2", "sku": "A", "said": "two"}]
    asked = [("1", "A"), ("2", "A")]
    found = base.results(rows, asked, (("id",), ("sku",)), _said, words.ItemResult(None))
    assert [result.reason for result in found] == ["one", "two"]


def test_of_several_spellings_of_an_id_the_first_counts():
    rows = [{"listing_id": "1", "id": "2", "said": "one"}, {"id": "3", "said": "three"}]
    asked = [("1",), ("2",), ("3",)]
    found = base.results(rows, asked, (("listing_id", "id"),), _said, words.ItemResult(None))
    assert [result.reason for result in found] == ["one", None, "three"]


def test_of_two_rows_about_one_listing_a_refusal_counts():
    judge = lambda row: words.ItemResult(row["ok"])  # noqa: E731
    for first in (True, False):
        rows = [{"id": "1", "ok": first}, {"id": "1", "ok": not first}]
        [result] = base.results(rows, [("1",)], (("id",),), judge, words.ItemResult(None))
        assert result.ok is False


# --- anything may be posted ---------------------------------------------------------------------

JUNK = [None, True, False, 0, -1, 10**30, "", "x", "\u202e", [], {}, [[]], [None], {"id": {}}, "٥"]


def _spoil(dice, data):
    """Replace, drop or add something somewhere inside."""
    node, parents = data, []
    while isinstance(node, (dict, list)) and node and dice.random() < 0.9:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        parents.append((node, dice.choice(keys)))
        node = node[parents[-1][1]]
    if not parents:
        return deepcopy(dice.choice(JUNK))
    parent, key = parents[-1]
    if isinstance(parent, dict) and dice.random() < 0.3:
        del parent[key]
    else:
        parent[key] = deepcopy(dice.choice(JUNK))
    return data


def _mutated(dice, raw):
    if dice.random() < 0.5:
        body = bytearray(raw)
        for _ in range(dice.randrange(1, 6)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        return bytes(body[: dice.randrange(1, len(body) * 4)])
    data = payload.loads(raw)
    for _ in range(dice.randrange(1, 4)):
        data = _spoil(dice, data)
    return payload.dumps(data).encode()


@pytest.mark.parametrize("code", BOTH)
@pytest.mark.parametrize("topic", [words.ORDERS, words.STATUS])
def test_500_mutated_bodies_give_values_or_payload_errors(code, topic):
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    bodies = [path.read_bytes() for path in sorted((SAMPLES / code).glob("*order*.json"))]
    dialect, parsed, refused = dialects.get(code), 0, 0
    for _ in range(500):
        try:
            messages = dialect.split(topic, payload.loads(_mutated(dice, dice.choice(bodies))))
        except PayloadError:
            refused += 1
            continue
        for message in messages:
            payload.digest(message.payload)
            assert message.order_id is None or 0 < len(message.order_id) <= 128
            assert message.status is None or message.status.isprintable()
            parse = dialect.parse_order if message.topic == words.ORDERS else dialect.parse_status
            try:
                assert parse(message.payload).id == message.order_id
                parsed += 1
            except PayloadError:
                refused += 1
    assert parsed and refused


@pytest.mark.parametrize("code", BOTH)
def test_a_smaller_page_begins_where_the_larger_one_does(code):
    dialect = dialects.get(code)
    request, sizes = base.at_page(dialect.orders_request(None), 4), []
    first = 3 * dialect.page_size
    while request:
        query = dict(request.query)
        sizes.append(int(query["per_page"]))
        assert (int(query["page"]) - 1) * sizes[-1] == first
        request = dialect.in_smaller_pages(request)
    assert sizes == [100, 50, 25, 5, 1]


def test_what_has_no_pages_has_no_smaller_ones():
    assert dialects.get("rest").in_smaller_pages(words.Request("thing", "GET", "thing")) is None
