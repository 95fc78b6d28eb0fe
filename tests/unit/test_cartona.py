"""Cartona's dialect: its samples, its money, its ways of saying no."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from cartona_integration.dialects import payload, words
from cartona_integration.dialects.cartona import CANCEL_REASONS, STATUS_IN, STATUS_OUT, Cartona
from cartona_integration.exceptions import CredentialsRefused, PayloadError, Refused

CARTONA = Cartona()
SAMPLES = Path(__file__).parents[2] / "cartona_integration" / "tests" / "samples" / "cartona"


def sample(name):
    return payload.loads((SAMPLES / f"{name}.json").read_bytes())


def order_of(name):
    return CARTONA.parse_order(sample(name)[0])


def changed(**values):
    return sample("order_pending")[0] | values


def answer(data, status=200):
    return words.Answer(status, data)


# --- orders -------------------------------------------------------------------------------------

# sample -> order id, status, total, lines, to collect, receivable, payable
ORDERS = {
    "order_pending": ("kT3vQx9a", words.PENDING, "860", 2, "860", "0", "0"),
    "order_editing": ("kT3vQx9a", words.HELD, "860", 2, "860", "0", "0"),
    "order_edited_back_to_pending": ("kT3vQx9a", words.PENDING, "775", 3, "775", "0", "0"),
    "order_offer_two_lines": ("mB7wLz2c", words.PENDING, "44", 2, "44", "2", "0"),
    "order_cancelled_by_retailer": ("mB7wLz2c", words.CANCELLED, "44", 2, "44", "2", "0"),
    "order_delivered_by_cartona": ("sW1kHf6g", words.SHIPPED, "51", 1, "51", "0", "0"),
    "order_installment_credit_topup": (
        "pR5nYd8e", words.CONFIRMED, "3040", 2, "100", "3140", "100"
    ),
    "order_sparse_nulls": ("4471902836", words.PENDING, "120", 1, "120", "0", "0"),
    "order_unknown_product": ("uN0kPr0d", words.PENDING, "500", 2, "500", "0", "0"),
}  # fmt: skip


def test_every_sample_order_is_expected_here():
    assert {path.stem for path in SAMPLES.glob("order_*.json")} == set(ORDERS)


@pytest.mark.parametrize("name", ORDERS)
def test_a_sample_order_is_read(name):
    order = order_of(name)
    found = (order.id, order.status, order.total, len(order.lines))
    money = (order.to_collect, order.receivable, order.payable)
    order_id, status, total, lines, *expected = ORDERS[name]
    assert found == (order_id, status, Decimal(total), lines)
    assert money == tuple(map(Decimal, expected))
    assert all(isinstance(amount, Decimal) for amount in money)


@pytest.mark.parametrize("name", ORDERS)
def test_lines_and_charges_make_the_total(name):
    order = order_of(name)
    lines = sum(line.amount for line in order.lines)
    assert lines + sum(charge.amount for charge in order.charges) == order.total


def test_an_order_is_in_egp_and_says_nothing_of_taxes():
    order = order_of("order_pending")
    assert (order.currency, order.prices_include_tax) == ("EGP", None)


def test_an_order_keeps_what_people_look_for():
    order = order_of("order_delivered_by_cartona")
    assert order.delivered_by == words.BY_MARKETPLACE
    assert order.account_code == "1"
    assert order.delivery_otp == "204816"
    assert order.delivery_date == date(2025, 7, 14)


def test_the_settled_day_wins_over_the_wished_one():
    order = CARTONA.parse_order(changed(delivery_day="2025-07-20"))
    assert order.delivery_date == date(2025, 7, 20)


def test_an_offer_is_two_lines_of_one_product():
    first, second = order_of("order_offer_two_lines").lines
    assert first.id != second.id
    assert first.key == second.key


def test_a_line_keeps_amount_unit_and_price():
    line = order_of("order_pending").lines[0]
    assert line == words.OrderLine(
        id="20100001",
        key="TEA-25",
        product_id="90001",
        name="شاي أسود - 25 فتلة (كرتونة)",
        quantity=Decimal(2),
        unit_price=Decimal(250),
        unit="box",
        unit_count=Decimal(24),
    )


def test_a_retailer_is_known_on_the_whole_platform():
    customer = order_of("order_pending").customer
    assert (customer.id, customer.space) == ("A01027", words.PLATFORM)
    assert (customer.name, customer.phone) == ("ماركت النور", "+201000000017")


def test_a_retailer_without_code_has_no_id():
    customer = order_of("order_sparse_nulls").customer
    assert (customer.id, customer.name) == (None, "بقالة الأمل")


@pytest.mark.parametrize("retailer", [None, ""])
def test_an_order_without_retailer_is_read(retailer):
    order = CARTONA.parse_order(changed(retailer=retailer))
    assert order.customer == words.Customer(space=words.PLATFORM)
    assert order.shipping is None


def test_an_address_is_one_line_and_a_note():
    address = order_of("order_pending").shipping
    assert address.street == "١٢ شارع الجمهورية، سموحة، الإسكندرية"
    assert address.note == "بجوار الصيدلية"


def test_null_amounts_of_money_count_nothing():
    order = CARTONA.parse_order(changed(cartona_credit=None, installment_cost="", wallet_top_up=0))
    assert (order.to_collect, order.receivable, order.payable) == (860, 0, 0)


def test_cartonas_discount_is_per_unit():
    data = changed(total_price=30)
    data["order_details"] = [{"id": 1, "amount": 3, "selling_price": 10, "applied_cartona_discount": "1.50"}]
    assert CARTONA.parse_order(data).receivable == Decimal("4.50")


@pytest.mark.parametrize(
    "created, placed",
    [
        ("2025-07-10T09:00:00Z", datetime(2025, 7, 10, 9, tzinfo=timezone.utc)),
        ("2025-07-10T09:00:00.000+03:00", datetime(2025, 7, 10, 6, tzinfo=timezone.utc)),
        ("2025-01-10 09:00:00", datetime(2025, 1, 10, 7, tzinfo=timezone.utc)),
        ("2025-07-10 09:00:00 UTC", datetime(2025, 7, 10, 9, tzinfo=timezone.utc)),
        (None, None),
    ],
)
def test_the_time_of_an_order_may_come_in_cairos(created, placed):
    assert CARTONA.parse_order(changed(created_at=created)).placed_at == placed


@pytest.mark.parametrize(
    "values, path",
    [
        ({"hashed_id": None}, "hashed_id"),
        ({"hashed_id": {}}, "hashed_id"),
        ({"hashed_id": "x" * 129}, "hashed_id"),
        ({"status": None}, "status"),
        ({"status": "teleported"}, "status"),
        ({"total_price": None}, "total_price"),
        ({"total_price": "1,000"}, "total_price"),
        ({"total_price": -5}, "total_price"),
        ({"order_details": None}, "order_details"),
        ({"order_details": {}}, "order_details"),
        ({"order_details": ["x"]}, "order_details[0]"),
        ({"order_details": [{"amount": 1, "selling_price": 1}]}, "order_details[0].id"),
        ({"order_details": [{"id": 1, "selling_price": 1}]}, "order_details[0].amount"),
        ({"order_details": [{"id": 1, "amount": -1}]}, "order_details[0].amount"),
        ({"order_details": [{"id": 1, "amount": 1}]}, "order_details[0].selling_price"),
        ({"retailer": ["x"]}, "retailer"),
        ({"retailer": {"retailer_code": {}}}, "retailer.retailer_code"),
        ({"wallet_top_up": "much"}, "wallet_top_up"),
    ],
)
def test_an_order_that_cannot_be_read_names_the_field(values, path):
    with pytest.raises(PayloadError) as caught:
        CARTONA.parse_order(changed(**values))
    assert caught.value.path == path


@pytest.mark.parametrize(
    "name, value, field",
    [
        ("delivered_by", "delivered_by_drone", "delivered_by"),
        ("delivery_day", "31/01/2026", "delivery_date"),
        ("created_at", 1767323045, "placed_at"),
        ("created_at", "10.07.2025", "placed_at"),
    ],
)
def test_what_is_only_good_to_know_is_left_out_where_it_cannot_be_read(name, value, field):
    order = CARTONA.parse_order(changed(**{name: value}))
    [error] = order.unread
    assert error.path == name
    assert getattr(order, field) != value


def test_a_day_that_cannot_be_read_leaves_the_next_best():
    data = changed(delivery_day="31/01/2026", estimated_delivery_day="2026-02-01")
    assert CARTONA.parse_order(data).delivery_date == date(2026, 2, 1)


def test_an_unknown_status_is_named():
    with pytest.raises(PayloadError, match="teleported"):
        CARTONA.parse_order(changed(status="teleported"))


def test_a_member_we_do_not_know_is_ignored():
    assert CARTONA.parse_order(changed(gift_wrap={"paper": []})).id == "kT3vQx9a"


# --- statuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("word, status", STATUS_IN.items())
def test_a_status_is_translated(word, status):
    change = CARTONA.parse_status({"hashed_id": 17, "status": word})
    assert change == words.StatusChange("17", status)


def test_a_cancellation_keeps_its_reason():
    data = {"hashed_id": "a", "status": "cancelled_by_retailer", "cancellation_reason": "late"}
    assert CARTONA.parse_status(data).reason == "late"


@pytest.mark.parametrize("status, word", STATUS_OUT.items())
def test_what_is_sent_is_understood_when_it_comes_back(status, word):
    assert STATUS_IN[word] == status


@pytest.mark.parametrize(
    "known, status, legal",
    [
        (words.PENDING, words.HELD, True),
        (words.HELD, words.PENDING, True),
        (words.CONFIRMED, words.PENDING, False),
        (words.SHIPPED, words.CONFIRMED, False),
        (words.SHIPPED, words.RETURNED, True),
        (words.DELIVERED, words.SHIPPED, False),
        (words.CANCELLED, words.PENDING, False),
    ],
)
def test_steps_are_legal_or_not(known, status, legal):
    assert CARTONA.is_newer(known, None, status, None) is legal


@pytest.mark.parametrize(
    "delivered_by, status, wanted",
    [
        (words.BY_SELLER, words.CONFIRMED, True),
        (None, words.DELIVERED, True),
        (words.BY_SELLER, words.HELD, False),
        (words.BY_SELLER, words.RETURNED, False),
        (words.BY_MARKETPLACE, words.CONFIRMED, False),
        (words.BY_MARKETPLACE, words.DELIVERED, False),
        (words.BY_MARKETPLACE, words.CANCELLED, True),
    ],
)
def test_cartona_takes_only_some_statuses(delivered_by, status, wanted):
    assert CARTONA.sends(status, delivered_by) is wanted


def test_a_status_goes_out_as_a_single_call():
    request = CARTONA.status_request("a/b", words.CONFIRMED, idempotency_key="k")
    assert (request.method, request.path) == ("POST", "order/update-order-status/a%2Fb")
    assert request.body == {"hashed_id": "a/b", "status": "approved"}


def test_a_delivery_carries_the_retailers_otp():
    request = CARTONA.status_request("a", words.DELIVERED, otp="1234")
    assert request.body["retailer_otp"] == "1234"


@pytest.mark.parametrize("reason", sorted(CANCEL_REASONS))
def test_a_cancellation_gives_a_reason_cartona_knows(reason):
    body = CARTONA.status_request("a", words.CANCELLED, reason=reason).body
    assert body["status"] == "cancelled_by_supplier"
    assert body["cancellation_reason"] == reason


def test_a_reason_cartona_does_not_know_is_not_sent():
    body = CARTONA.status_request("a", words.CANCELLED, reason="no mood").body
    assert "cancellation_reason" not in body


@pytest.mark.parametrize("status", [words.HELD, words.PARTIALLY_SHIPPED, words.RETURNED, "synced"])
def test_a_status_cartona_does_not_take_is_refused(status):
    with pytest.raises(Refused):
        CARTONA.status_request("a", status)


@pytest.mark.parametrize(
    "said, status, repeat",
    [
        ("order already in this status", words.CONFIRMED, True),
        ("Order is already approved", words.CONFIRMED, True),
        ("already in status: assigned_to_salesman", words.SHIPPED, True),
        ("already assigned to salesman", words.SHIPPED, True),
        ("order already cancelled", words.CANCELLED, True),
        ("order already cancelled", words.CONFIRMED, False),
        ("already cancelled, cannot be approved", words.CONFIRMED, False),
        ("cannot be approved: already cancelled", words.CONFIRMED, False),
        ("wrong otp", words.DELIVERED, False),
    ],
)
def test_a_repeat_is_recognised(said, status, repeat):
    assert CARTONA.is_repeat(Refused(f"HTTP 422: {said}"), status) is repeat


# --- credentials --------------------------------------------------------------------------------


def test_the_token_is_sent_raw():
    headers = CARTONA.auth_headers(words.Credentials("secret"))
    assert headers == (("AuthorizationToken", "secret"),)


@pytest.mark.parametrize(
    "said",
    [
        {"error": "Invalid Credentials"},
        {"error": {"message": "sorry, invalid credentials."}},
        {"errors": ["invalid credentials"]},
        "invalid credentials",
        {"error": "AuthorizationToken is missing"},
        {"message": "Authorization header is not supported"},
    ],
)
def test_credentials_are_refused_with_400(said):
    with pytest.raises(CredentialsRefused):
        CARTONA.judge(answer(said, 400))


@pytest.mark.parametrize("said", [{"error": "stock is negative"}, None, words.UNREADABLE, []])
def test_another_400_is_not_about_credentials(said):
    with pytest.raises(Refused) as caught:
        CARTONA.judge(answer(said, 400))
    assert not isinstance(caught.value, CredentialsRefused)


def test_the_connection_test_reads_one_listing():
    request = CARTONA.test_request()
    assert (request.method, request.path) == ("GET", "supplier-product")
    assert request.query == (("page", "1"), ("per_page", "1"))


# --- the feed -----------------------------------------------------------------------------------


def test_the_feed_starts_at_page_one():
    request = CARTONA.orders_request()
    assert (request.method, request.path) == ("GET", "order/pull-orders")
    assert request.query == (("page", "1"), ("per_page", "100"))


def test_a_moment_to_read_from_is_told_in_utc():
    cairo = timezone(timedelta(hours=2))
    request = CARTONA.orders_request(datetime(2025, 1, 1, 1, tzinfo=cairo))
    assert dict(request.query)["from"] == "2024-12-31T23:00:00Z"


def test_a_full_page_is_followed_by_the_next():
    rows = [{"hashed_id": str(number)} for number in range(100)]
    page = CARTONA.read_orders(CARTONA.orders_request(), answer(rows))
    assert [message.order_id for message in page.rows] == [str(number) for number in range(100)]
    assert dict(page.next.query) == {"page": "2", "per_page": "100"}
    assert dict(CARTONA.read_orders(page.next, answer(rows)).next.query)["page"] == "3"


@pytest.mark.parametrize("rows", [[], [{"hashed_id": "1"}], [{}] * 99])
def test_a_short_page_is_the_last(rows):
    assert CARTONA.read_orders(CARTONA.orders_request(), answer(rows)).next is None


@pytest.mark.parametrize("data", [None, {}, {"orders": []}, "x", 5, words.UNREADABLE])
@pytest.mark.parametrize("topic", ["orders", "products"])
def test_anything_but_a_list_is_no_answer(topic, data):
    request = getattr(CARTONA, f"{topic}_request")()
    with pytest.raises(PayloadError):
        getattr(CARTONA, f"read_{topic}")(request, answer(data))


def test_a_row_nobody_can_attribute_does_not_stop_the_page():
    rows = [5, {"status": "pending"}, {"hashed_id": "a"}]
    page = CARTONA.read_orders(CARTONA.orders_request(), answer(rows))
    assert [message.order_id for message in page.rows] == [None, None, "a"]
    assert [message.payload for message in page.rows] == rows


def test_orders_are_acknowledged_together():
    request = CARTONA.acknowledge_request(["a", "b"])
    assert (request.method, request.path) == ("POST", "order/update-order-status")
    assert request.body == [
        {"hashed_id": "a", "status": "synced"},
        {"hashed_id": "b", "status": "synced"},
    ]


TAKEN = [
    (None, [True, True]),
    ({}, [True, True]),
    ("ok", [True, True]),
    ([], [True, True]),
    ([{}, {}], [True, True]),
    ([None, "x"], [True, None]),
    ([{"status": "synced"}, {"error": "not found"}], [True, False]),
    ([{"success": True}, {"success": False}], [True, False]),
    ([{"hashed_id": "b", "error": "no"}, {"hashed_id": "a", "error": None}], [True, False]),
    ([{"hashed_id": "b", "status": "failed"}], [True, False]),
    ([{"hashed_id": "b", "errors": ["gone", "late"]}], [True, False]),
    ([{"hashed_id": "b", "status": ["x"]}], [True, True]),
    ([{"hashed_id": "z", "error": "no"}], [True, True]),
    ([True, False], [True, False]),
    ({"success": False, "message": "no"}, [False, False]),
]


@pytest.mark.parametrize("data, expected", TAKEN)
def test_acknowledgements_are_taken_unless_refused(data, expected):
    results = CARTONA.read_acknowledged(["a", "b"], answer(data))
    assert [result.ok for result in results] == expected


def test_a_refused_acknowledgement_says_why():
    data = [{"hashed_id": "a", "error": "bad\nid", "code": 12}]
    assert CARTONA.read_acknowledged(["a"], answer(data)) == (words.ItemResult(False, "bad\\nid", "12"),)


# --- listings -----------------------------------------------------------------------------------


def test_listings_are_read_in_all_spellings():
    page = CARTONA.read_products(
        CARTONA.products_request(),
        answer(sample("supplier_products") + [{"id": 7, "is_unlimited_stock": True}]),
    )
    first, second, third = page.rows
    assert first == words.Listing(
        product_id="90001",
        key="TEA-25",
        name="شاي أسود - 25 فتلة (كرتونة)",
        price=Decimal(250),
        quantity=Decimal(40),
        active=True,
        unit="box",
        unit_count=Decimal(24),
    )
    assert (second.product_id, second.key, second.quantity) == ("90002", "SUGAR-1", 0)
    assert third == words.Listing(product_id="7", unlimited=True)


def test_a_listing_that_is_partly_unreadable_is_still_seen():
    rows = ["x", {"supplier_product_id": 7, "selling_price": "free", "is_published": "maybe"}]
    page = CARTONA.read_products(CARTONA.products_request(), answer(rows))
    assert page.rows == (words.Listing(product_id="7"),)


def test_listings_are_asked_by_the_sellers_key():
    query = dict(CARTONA.products_request("904#2").query)
    assert query == {"page": "1", "per_page": "100", "internal_product_id": "904#2"}


UPDATES = [
    (
        words.ProductUpdate(key="A", product_id="7", price=Decimal("12.50"), currency="EGP"),
        {"supplier_product_id": "7", "selling_price": Decimal("12.50")},
    ),
    (
        words.ProductUpdate(key="A", quantity=Decimal("3.9")),
        {"internal_product_id": "A", "available_stock_quantity": 3},
    ),
    (
        words.ProductUpdate(key="A", quantity=Decimal(-4), account_code="2"),
        {"internal_product_id": "A", "available_stock_quantity": 0, "supplier_code": "2"},
    ),
    (
        words.ProductUpdate(key="A", unlimited=True, active=False),
        {"internal_product_id": "A", "is_unlimited_stock": True, "is_published": False},
    ),
    (words.ProductUpdate(key="A", quantity=None, name="x"), {"internal_product_id": "A"}),
]


@pytest.mark.parametrize("update, row", UPDATES)
def test_an_update_sends_what_is_given_and_nothing_else(update, row):
    request = CARTONA.update_products_request([update])
    assert (request.method, request.path) == ("POST", "supplier-product/bulk-update")
    assert request.body == [row]
    assert payload.loads(payload.dumps(request.body).encode()) == [row]


ITEMS = [
    (None, [True, True]),
    ([], [True, True]),
    (False, [False, False]),
    ("ok", [True, True]),
    ("failed", [False, False]),
    ("words nobody knows", [None, None]),
    (["failed", "ok"], [False, True]),
    ({"message": "done"}, [True, True]),
    ({"success": False, "message": "no"}, [False, False]),
    ([{"error": "no"}], [None, None]),
    ([{}, {"error": "no"}, {}], [None, None]),
    ({"results": [{"supplier_product_id": 2, "error": "no"}]}, [None, False]),
    ({"data": [{"internal_product_id": "A"}, {"supplier_product_id": 2, "success": False}]}, [True, False]),
    ({"failed": [{"supplier_product_id": 2}]}, [True, False]),
    ({"failed": []}, [True, True]),
    ({"errors": ["bad price"]}, [False, False]),
    ([{}, {"error": "negative stock"}], [True, False]),
    ([{"suppler_prodcut_id": 2, "error": "no"}, {"internal_product_id": "A"}], [True, False]),
    ([{"supplier_product_id": 2, "success": False}], [None, False]),
    ([{"internal_product_id": "unknown"}], [None, None]),
    ([{"internal_product_id": "B", "error": "no"}, {"supplier_product_id": 2}], [None, True]),
]


@pytest.mark.parametrize("data, expected", ITEMS)
def test_the_answer_of_a_bulk_update_is_read_per_item(data, expected):
    updates = [words.ProductUpdate(key="A"), words.ProductUpdate(key="B", product_id="2")]
    results = CARTONA.read_product_results(updates, answer(data))
    assert [result.ok for result in results] == expected


# --- messages -----------------------------------------------------------------------------------

ONE = {"hashed_id": 17, "status": "approved"}


@pytest.mark.parametrize(
    "topic, data, ids",
    [
        (words.ORDERS, ONE, ["17"]),
        (words.ORDERS, [ONE, ONE], ["17", "17"]),
        (words.ORDERS, {"orders": [ONE]}, ["17"]),
        (words.ORDERS, {"orders": ONE}, ["17"]),
        (words.ORDERS, [], []),
        (words.ORDERS, {"status": "pending"}, [None]),
        (words.ORDERS, {"hashed_id": [], "status": "pending"}, [None]),
        (words.ORDERS, {"hashed_id": "x" * 129}, [None]),
        (words.ORDERS, [5], [None]),
        (words.ORDERS, [ONE, "x"], ["17", None]),
        (words.ORDERS, [[ONE]], [None]),
        (words.ORDERS, {"orders": [5, ONE]}, [None, "17"]),
        (words.STATUS, ONE, ["17"]),
        (words.STATUS, [ONE, None], ["17", None]),
        (words.STATUS, [ONE], ["17"]),
    ],
)
def test_a_webhook_is_cut_into_messages(topic, data, ids):
    messages = CARTONA.split(topic, data)
    assert [message.order_id for message in messages] == ids
    assert {message.topic for message in messages} <= {topic}


@pytest.mark.parametrize("topic", [words.ORDERS, words.STATUS])
@pytest.mark.parametrize("data", [None, 5, "x", True])
def test_a_webhook_of_another_shape_is_refused(topic, data):
    with pytest.raises(PayloadError):
        CARTONA.split(topic, data)


@pytest.mark.parametrize("data", [None, 5, "x"])
def test_orders_of_another_shape_are_refused(data):
    with pytest.raises(PayloadError):
        CARTONA.split(words.ORDERS, {"orders": data})


@pytest.mark.parametrize(
    "status, stored",
    [
        ("approved", words.CONFIRMED),
        ("tele\nported", "tele\\nported"),
        ("x" * 100, "x" * 63 + "…"),
        (None, None),
        ({}, None),
    ],
)
def test_a_message_carries_a_status_that_can_be_stored(status, stored):
    message = CARTONA.split(words.STATUS, {"hashed_id": "a", "status": status})[0]
    assert message.status == stored
