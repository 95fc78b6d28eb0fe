"""The neutral format: orders, envelopes, paging that must advance, results by id."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from cartona_integration.dialects import payload, reading, words
from cartona_integration.dialects.rest import Rest
from cartona_integration.exceptions import PayloadError, Refused

REST = Rest()
SAMPLES = Path(__file__).parents[2] / "cartona_integration" / "tests" / "samples" / "rest"


def sample(name):
    return payload.loads((SAMPLES / f"neutral_{name}.json").read_bytes())


def changed(**values):
    return sample("order_created")["data"]["order"] | values


def line(**values):
    return {"id": "1", "sku": "A", "quantity": "1", "unit_price": "5"} | values


def answer(data, status=200):
    return words.Answer(status, data)


# --- orders -------------------------------------------------------------------------------------

ORDERS = {
    "order_created": (words.PENDING, "1317.50", "2026-11-12T10:15:05Z"),
    "order_updated": (words.PENDING, "1107.50", "2026-11-12T11:00:00Z"),
    "order_cancelled": (words.CANCELLED, "1107.50", "2026-11-12T11:30:00Z"),
}


@pytest.mark.parametrize("name", ORDERS)
def test_a_sample_order_is_read(name):
    (message,) = REST.split(words.ORDERS, sample(name))
    order = REST.parse_order(message.payload)
    status, total, modified = ORDERS[name]
    assert (order.id, order.status, order.total) == ("N-88123", status, Decimal(total))
    assert order.modified_at == reading.timestamp(modified)
    assert (message.order_id, message.status, message.modified_at) == (
        order.id, order.status, order.modified_at
    )  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_lines_and_charges_make_the_total(name):
    order = REST.parse_order(sample(name)["data"]["order"])
    lines = sum(line.amount for line in order.lines)
    assert lines + sum(charge.amount for charge in order.charges) == order.total


def test_an_order_is_read_whole():
    order = REST.parse_order(changed(payment_method="cash", cancel_reason="late"))
    assert order.currency == "EGP"
    assert order.prices_include_tax is True
    assert order.placed_at == datetime(2026, 11, 12, 10, 15, tzinfo=timezone.utc)
    assert order.delivery_date == date(2026, 11, 14)
    assert order.delivered_by == words.BY_SELLER
    assert (order.payment_method, order.cancel_reason) == ("cash", "late")
    assert order.note == "اتصل قبل الوصول"
    assert (order.shipping.country, order.shipping.city) == ("EG", "طنطا")
    assert (order.to_collect, order.receivable, order.payable) == (None, None, None)


def test_a_customer_is_known_per_account():
    customer = REST.parse_order(changed()).customer
    assert (customer.id, customer.space, customer.language) == ("C-1007", words.ACCOUNT, "ar")


def test_a_line_is_read_whole():
    first, second = REST.parse_order(changed()).lines
    assert (first.key, first.product_id, first.unit_count) == ("COLA-330", "P-479", 24)
    assert (second.key, second.product_id) == (None, "P-512")
    assert second.unit_price == Decimal("20.625")
    assert second.discount == 10
    assert second.amount == Decimal("237.50")


def test_the_rate_of_a_line_is_a_fraction_there_and_percent_here():
    assert [line.tax_rate for line in REST.parse_order(changed()).lines] == [14, 14]


def test_the_taxes_of_a_line_are_added_up():
    taxes = [{"amount": "1.10", "rate": "0.1"}, {"amount": "2.20"}]
    order = REST.parse_order(changed(lines=[line(taxes=taxes)]))
    assert order.lines[0].tax == Decimal("3.30")


def test_a_removed_line_has_quantity_zero():
    order = REST.parse_order(changed(lines=[line(quantity="0")]))
    assert order.lines[0].amount == 0


def test_charges_and_their_taxes_are_read():
    charges = [
        {"kind": "shipping", "amount": "30.00", "tax_amount": "3.68", "name": "توصيل"},
        {"kind": "discount", "amount": "-5"},
    ]
    order = REST.parse_order(changed(charges=charges))
    assert order.charges == (
        words.Charge("shipping", Decimal(30), "توصيل", Decimal("3.68")),
        words.Charge("discount", Decimal(-5)),
    )


OPTIONAL = (
    "number", "placed_at", "prices_include_tax", "delivered_by", "delivery_date", "customer",
    "shipping", "billing", "charges", "payments", "refunds", "note", "extra", "tax_total",
)  # fmt: skip


@pytest.mark.parametrize("missing", OPTIONAL)
@pytest.mark.parametrize("how", ["null", "left out"])
def test_what_is_optional_may_be_missing(missing, how):
    data = changed(**{missing: None})
    if how == "left out":
        del data[missing]
    assert REST.parse_order(data).id == "N-88123"


def test_a_line_without_optional_members_costs_quantity_times_price():
    (found,) = REST.parse_order(changed(lines=[line()])).lines
    assert found == words.OrderLine("1", Decimal(1), Decimal(5), key="A")


@pytest.mark.parametrize(
    "values, path",
    [
        *(({name: None}, name) for name in ("id", "status", "modified_at", "currency", "total")),
        ({"lines": None}, "lines"),
        ({"lines": {}}, "lines"),
        ({"lines": [line(), 5]}, "lines[1]"),
        *(({"lines": [line(**{n: None})]}, f"lines[0].{n}") for n in ("id", "quantity")),
        ({"lines": [line(unit_price="1,50")]}, "lines[0].unit_price"),
        ({"lines": [line(unit_price="-1")]}, "lines[0].unit_price"),
        ({"lines": [line(quantity="-1")]}, "lines[0].quantity"),
        ({"lines": [line(sku=None)]}, "lines[0]"),
        ({"lines": [line(taxes=[{"rate": "0.1"}])]}, "lines[0].taxes[0].amount"),
        ({"charges": [{"kind": "bribe", "amount": "1"}]}, "charges[0].kind"),
        ({"charges": [{"kind": "fee"}]}, "charges[0].amount"),
        ({"status": "ignore"}, "status"),
        ({"modified_at": "2026-11-12T12:15:05"}, "modified_at"),
        ({"currency": "pounds"}, "currency"),
        ({"total": "1e3"}, "total"),
        ({"shipping": {"country": "Egypt"}}, "shipping.country"),
        ({"customer": "C-1007"}, "customer"),
        ({"delivered_by": "drone"}, "delivered_by"),
    ],
)
def test_an_order_that_cannot_be_read_names_the_field(values, path):
    with pytest.raises(PayloadError) as caught:
        REST.parse_order(changed(**values))
    assert caught.value.path == path


@pytest.mark.parametrize("name", ["product_id", "sku", "barcode"])
def test_one_name_of_a_product_is_enough(name):
    order = REST.parse_order(changed(lines=[line(sku=None) | {name: "X"}]))
    assert order.lines[0].quantity == 1


# --- messages -----------------------------------------------------------------------------------


def envelope(kind, data, **values):
    return {"version": 1, "type": kind, "id": "evt_1", "data": data} | values


ORDER = {"id": "1", "status": "pending", "modified_at": "2026-11-12T12:00:00Z"}
MODIFIED = datetime(2026, 11, 12, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "topic, data, ids",
    [
        (words.ORDERS, ORDER, ["1"]),
        (words.ORDERS, [ORDER, {"id": 2}], ["1", "2"]),
        (words.ORDERS, {"orders": [ORDER]}, ["1"]),
        (words.ORDERS, {"order": ORDER}, ["1"]),
        (words.ORDERS, [], []),
        (words.ORDERS, {"status": "pending"}, [None]),
        (words.STATUS, ORDER, ["1"]),
        (words.STATUS, [ORDER], ["1"]),
    ],
)
def test_a_bare_body_is_cut_into_messages(topic, data, ids):
    messages = REST.split(topic, data)
    assert [message.order_id for message in messages] == ids
    assert {message.topic for message in messages} <= {topic}
    assert {message.delivery_id for message in messages} <= {None}


@pytest.mark.parametrize("kind", ["order.created", "order.updated", "order.cancelled"])
@pytest.mark.parametrize("data", [{"order": ORDER}, {"orders": [ORDER]}])
@pytest.mark.parametrize("topic", [words.ORDERS, words.STATUS])
def test_an_envelope_is_opened_whatever_the_route(kind, data, topic):
    (message,) = REST.split(topic, envelope(kind, data))
    assert message == words.Message(words.ORDERS, ORDER, "1", words.PENDING, MODIFIED, delivery_id="evt_1:1")


def test_orders_of_one_envelope_have_delivery_ids_of_their_own():
    data = {"orders": [ORDER, {"id": "2"}, ORDER, {}]}
    messages = REST.split(words.ORDERS, envelope("order.updated", data))
    assert [message.delivery_id for message in messages] == [
        "evt_1:1", "evt_1:2", "evt_1:1:2", "evt_1:"
    ]  # fmt: skip


@pytest.mark.parametrize("envelope_id", [None, "", {}, "x" * 129])
def test_an_envelope_without_usable_id_gives_no_delivery_id(envelope_id):
    data = envelope("order.created", {"order": ORDER}, id=envelope_id)
    assert REST.split(words.ORDERS, data)[0].delivery_id is None


def test_a_status_envelope_is_a_status():
    (message,) = REST.split(words.ORDERS, sample("order_status"))
    assert (message.topic, message.delivery_id) == (words.STATUS, "evt_01HMADEUP0004:N-88123")
    assert REST.parse_status(message.payload) == words.StatusChange(
        "N-88123", words.DELIVERED, datetime(2026, 11, 12, 11, 40, tzinfo=timezone.utc)
    )


def test_a_deleted_order_is_a_cancellation_at_the_time_of_the_envelope():
    data = envelope("order.deleted", {"id": "1"}, timestamp="2026-11-12T12:00:00Z")
    (message,) = REST.split(words.ORDERS, data)
    assert message.topic == words.STATUS
    assert REST.parse_status(message.payload) == words.StatusChange("1", words.CANCELLED, MODIFIED, "deleted")


def test_a_ping_is_no_message():
    assert REST.split(words.ORDERS, sample("ping")) == ()


def test_an_envelope_of_unknown_type_is_kept_and_no_more():
    data = envelope("order.teleported", {"id": "1"})
    assert REST.split(words.ORDERS, data) == (words.Message(words.OTHER, data, delivery_id="evt_1:"),)


@pytest.mark.parametrize("topic", [words.ORDERS, words.STATUS])
@pytest.mark.parametrize(
    "data",
    [
        None, 5, "x",
        envelope("order.created", None),
        envelope("order.created", []),
        envelope("order.created", {"orders": None}),
        envelope("order.status", "x"),
        envelope("order.deleted", 5),
        envelope([], {}),
        envelope({}, {}),
    ],
)  # fmt: skip
def test_another_shape_is_refused(topic, data):
    with pytest.raises(PayloadError):
        REST.split(topic, data)


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        ([5], [None]),
        ([ORDER, None], [ORDER["id"], None]),
        ([[ORDER]], [None]),
        (envelope("order.created", {"orders": ["x", ORDER]}), [None, ORDER["id"]]),
    ],
)
def test_a_row_that_is_no_object_does_not_stop_the_others(data, ids):
    assert [message.order_id for message in REST.split(words.ORDERS, data)] == ids


def test_what_is_wrong_inside_waits_for_the_import():
    data = {"id": {}, "status": "tele\nported", "modified_at": "yesterday"}
    assert REST.split(words.ORDERS, data) == (words.Message(words.ORDERS, data, None, "tele\\nported", None),)


# --- calls --------------------------------------------------------------------------------------


def test_the_token_is_a_bearer():
    headers = REST.auth_headers(words.Credentials("secret"))
    assert headers == (("Authorization", "Bearer secret"),)


def test_the_connection_test_reads_one_product():
    request = REST.test_request()
    assert (request.path, request.query) == ("products", (("page", "1"), ("per_page", "1")))


def test_orders_are_asked_since_a_moment_in_utc():
    since = datetime(2026, 11, 12, 14, 0, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    query = dict(REST.orders_request(since).query)
    assert query == {"since": "2026-11-12T12:00:05Z", "page": "1", "per_page": "100"}


def test_the_first_pull_has_no_moment():
    assert "since" not in dict(REST.orders_request().query)


def test_the_next_page_keeps_the_moment():
    request = REST.orders_request(MODIFIED)
    page = REST.read_orders(request, answer({"orders": [ORDER], "next_page": 2}))
    assert [message.order_id for message in page.rows] == ["1"]
    assert dict(page.next.query) == dict(request.query) | {"page": "2"}


def test_null_is_the_last_page_and_an_empty_one_is_not():
    request = REST.orders_request()
    assert REST.read_orders(request, answer({"orders": [], "next_page": None})).next is None
    assert REST.read_orders(request, answer({"orders": [], "next_page": 3})).next is not None


@pytest.mark.parametrize("number", [1, 0, -1, True, "2", [], Decimal("2.5"), "absent"])
def test_a_next_page_that_does_not_advance_is_no_answer(number):
    data = {"orders": [ORDER]} | ({} if number == "absent" else {"next_page": number})
    with pytest.raises(PayloadError):
        REST.read_orders(REST.orders_request(), answer(data))


@pytest.mark.parametrize("data", [None, [], {}, "x", {"orders": {}}, words.UNREADABLE])
def test_a_list_of_another_shape_is_no_answer(data):
    with pytest.raises(PayloadError):
        REST.read_orders(REST.orders_request(), answer(data))


def test_a_row_nobody_can_attribute_does_not_stop_the_page():
    data = {"orders": [5, {}, ORDER], "next_page": None}
    page = REST.read_orders(REST.orders_request(), answer(data))
    assert [message.order_id for message in page.rows] == [None, None, "1"]


def test_one_order_is_read_by_its_id():
    assert REST.order_request("a/b").path == "orders/a%2Fb"
    assert REST.read_order(answer({"order": ORDER})).order_id == "1"


@pytest.mark.parametrize("data", [None, [], ORDER, {"order": None}, {"order": [ORDER]}])
def test_one_order_of_another_shape_is_no_answer(data):
    with pytest.raises(PayloadError):
        REST.read_order(answer(data))


def test_a_status_goes_out_with_its_key():
    request = REST.status_request("a/b", words.CANCELLED, reason="late", otp=None, idempotency_key="k-1")
    assert (request.method, request.path) == ("POST", "orders/a%2Fb/status")
    assert request.body == {"status": "cancelled", "reason": "late"}
    assert request.headers == (("Idempotency-Key", "k-1"),)


def test_a_status_without_key_has_no_header():
    request = REST.status_request("a", words.SHIPPED)
    assert (request.body, request.headers) == ({"status": "shipped"}, ())


@pytest.mark.parametrize("code, repeat", [("already_in_status", True), ("409", False)])
def test_a_repeat_has_a_code(code, repeat):
    assert REST.is_repeat(Refused("no", code=code), words.SHIPPED) is repeat


# --- products -----------------------------------------------------------------------------------


def test_products_are_asked_by_the_sellers_key():
    query = dict(REST.products_request("904#2").query)
    assert query == {"page": "1", "per_page": "100", "sku": "904#2"}


def test_listings_are_read():
    row = {"id": 7, "sku": "A", "price": "12.50", "stock": "3", "active": True, "name": "x"}
    row["stock_managed"] = False
    data = {"products": [row, "x", {"id": "8", "price": "free"}], "next_page": 2}
    page = REST.read_products(REST.products_request(), answer(data))
    assert page.rows == (
        words.Listing(
            "7", "A", "x", price=Decimal("12.50"), quantity=Decimal(3), unlimited=True, active=True
        ),
        words.Listing("8"),
    )
    assert dict(page.next.query)["page"] == "2"


UPDATES = [
    (
        words.ProductUpdate("A", "7", price=Decimal("12.50"), currency="EGP"),
        {"id": "7", "sku": "A", "price": "12.50", "currency": "EGP"},
    ),
    (words.ProductUpdate("A", quantity=Decimal("1E+1")), {"sku": "A", "stock": "10"}),
    (words.ProductUpdate("A", quantity=Decimal(0)), {"sku": "A", "stock": "0"}),
    (
        words.ProductUpdate("A", unlimited=True, active=False, name="x"),
        {"sku": "A", "stock_managed": False, "active": False, "name": "x"},
    ),
]


@pytest.mark.parametrize("update, item", UPDATES)
def test_an_update_sends_what_is_given_as_text(update, item):
    request = REST.update_products_request([update])
    assert (request.method, request.path) == ("POST", "products/bulk")
    assert request.body == {"items": [item]}


def test_the_sample_answer_is_read_by_id():
    updates = [words.ProductUpdate("B", "P-999"), words.ProductUpdate("A", "P-479")]
    results = REST.read_product_results(updates, answer(sample("batch_answer")))
    assert results == (
        words.ItemResult(False, "No such product", "unknown_product"),
        words.ItemResult(True),
    )


@pytest.mark.parametrize(
    "rows, expected",
    [
        ([], [None, None]),
        ([{"sku": "B", "ok": True}, {"sku": "A", "ok": False}], [False, True]),
        ([{"id": 2, "ok": True}, {"sku": "unknown", "ok": True}], [None, True]),
        ([{"id": "2", "ok": 1}, "x"], [None, False]),
        ([{"id": "2"}], [None, False]),
    ],
)
def test_results_are_matched_by_id_or_sku(rows, expected):
    updates = [words.ProductUpdate("A"), words.ProductUpdate("B", "2")]
    results = REST.read_product_results(updates, answer({"results": rows}))
    assert [result.ok for result in results] == expected


@pytest.mark.parametrize("data", [None, [], {}, {"results": {}}])
def test_results_of_another_shape_are_no_answer(data):
    with pytest.raises(PayloadError):
        REST.read_product_results([words.ProductUpdate("A")], answer(data))


def test_a_product_is_created():
    update = words.ProductUpdate("A", name="x", barcode="622", price=Decimal(5), currency="EGP")
    request = REST.create_product_request(update)
    assert (request.method, request.path) == ("POST", "products")
    assert request.body == {
        "product": {"sku": "A", "name": "x", "barcode": "622", "price": "5", "currency": "EGP"}
    }
    assert REST.read_created_product(answer({"product": {"id": 9, "sku": "A"}})) == words.Listing("9", "A")
