"""Changed lines in both dialects: what is asked, what an answer means, what is left to tell after a doubt."""

from decimal import Decimal

import pytest

from cartona_integration.dialects import cartona, rest, words
from cartona_integration.dialects.words import Answer, LineChange, OrderLine
from cartona_integration.exceptions import Refused

CARTONA, REST = cartona.Cartona(), rest.Rest()
CHANGED = LineChange(1, "7", Decimal(4), None)
PRICED = LineChange(2, "8", None, Decimal("9.5"))
GONE = LineChange(3, "9", Decimal(0))
NEW = LineChange(4, None, Decimal(2), Decimal(3), key="SALT", product_id="501")


def line(line_id, quantity, price=1, **names):
    return OrderLine(line_id, Decimal(quantity), Decimal(price), **names)


def test_cartona_is_told_of_changed_priced_gone_and_new_lines():
    request = CARTONA.lines_request("A/1", (CHANGED, PRICED, GONE, NEW))
    assert request.path == "order/update-order-details"
    [row] = request.body
    assert row["hashed_id"] == "A/1"
    assert row["order_details"] == [
        {"id": 7, "amount": 4},
        {"id": 8, "price": Decimal("9.5")},
        {"id": 9, "cancelled": True},
        {"supplier_product_id": "501", "amount": 2, "price": 3},
    ]


def test_the_neutral_format_is_told_of_them_as_texts():
    request = REST.lines_request("A/1", (CHANGED, GONE, NEW), "key")
    assert (request.path, request.headers) == ("orders/A%2F1/lines", (("Idempotency-Key", "key"),))
    assert request.body["lines"] == [
        {"id": "7", "quantity": "4"},
        {"id": "9", "quantity": "0"},
        {"product_id": "501", "sku": "SALT", "quantity": "2", "unit_price": "3"},
    ]


@pytest.mark.parametrize("data", [None, {"message": "ok"}, [{"success": True}], [{"hashed_id": "A"}], []])
def test_cartona_takes_lines_whatever_the_answer_looks_like(data):
    assert CARTONA.read_changed_lines("A", Answer(200, data)) == ()


def test_cartona_refuses_lines_inside_an_answer_that_is_ok():
    with pytest.raises(Refused, match="not today"):
        CARTONA.read_changed_lines("A", Answer(200, [{"hashed_id": "A", "error": "not today"}]))


def test_lines_in_an_answer_are_read():
    detail = {"id": 70, "amount": 2, "selling_price": 3, "supplier_product_id": 501}
    told = [{"hashed_id": "A", "order_details": [detail]}]
    found = CARTONA.read_changed_lines("A", Answer(200, told))
    assert words.new_line_ids((NEW,), found, {"7"}) == {4: "70"}


def test_of_a_doubt_only_what_is_not_shown_is_told_again():
    lines = (line("7", 4), line("8", 1, 9), line("70", 2, 3, key="SALT"))
    assert words.still_to_tell((CHANGED, PRICED, GONE, NEW), lines) == (PRICED,)
    assert words.still_to_tell((GONE, NEW), (line("9", 5),)) == (GONE, NEW)


def test_a_known_line_is_never_taken_for_a_new_one():
    assert words.new_line_ids((NEW,), (line("7", 2, 3, key="SALT"),), {"7"}) == {}


def test_two_new_lines_alike_get_an_id_each():
    other = LineChange(5, None, Decimal(2), Decimal(3), key="SALT")
    lines = (line("70", 2, 3, key="SALT"), line("71", 2, 3, key="SALT"))
    assert words.new_line_ids((NEW, other), lines, set()) == {4: "70", 5: "71"}


@pytest.mark.parametrize("text", ["unknown line 9", "Line 9 was not found", "no such line"])
def test_a_line_that_is_gone_is_recognised(text):
    assert CARTONA.is_line_gone(Refused(text))
    assert REST.is_line_gone(Refused("x", code="unknown_line"))
    assert not CARTONA.is_line_gone(Refused("unknown order"))


@pytest.mark.parametrize(
    ("status", "taken"),
    [(words.PENDING, True), (words.CONFIRMED, True), (words.SHIPPED, True)]
    + [(status, False) for status in (words.HELD, words.DELIVERED, words.CANCELLED, words.RETURNED)],
)
def test_lines_are_taken_while_the_order_lives(status, taken):
    for dialect in (CARTONA, REST):
        assert dialect.takes_lines(status, words.BY_SELLER) is taken
    assert not CARTONA.takes_lines(status, words.BY_MARKETPLACE)


def test_the_code_is_due_for_instalments_and_top_ups():
    order = {"hashed_id": "A", "status": "approved", "total_price": 0, "order_details": []}
    assert not CARTONA.parse_order(order).needs_code
    for name in ("installment_cost", "wallet_top_up"):
        assert CARTONA.parse_order(order | {name: 1}).needs_code


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "https://a b", 5])
def test_only_a_web_address_becomes_a_link(address):
    order = {
        "id": "A", "status": "pending", "modified_at": "2026-11-12T10:00:00Z", "currency": "EGP",
        "total": "0", "lines": [],
    }  # fmt: skip
    assert REST.parse_order(order | {"url": address}).url is None
    assert REST.parse_order(order | {"url": "https://shop.test/A"}).url == "https://shop.test/A"
