"""The simulated marketplace: what it answers, whom it refuses, and how it misbehaves when told to."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from cartona_integration.dialects import words
from cartona_integration.dialects.cartona import Cartona
from cartona_integration.dialects.rest import Rest
from cartona_integration.exceptions import CredentialsRefused
from tests.simulator.app import create_app
from tests.simulator.faults import PARAMS, PLAYS
from tests.simulator.webhooks import mixed

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "cartona_integration" / "tests" / "samples"
TEA = {"supplier_product_id": "1", "internal_product_id": "TEA", "selling_price": 10.0}
PRODUCTS = [{"key": "TEA", "price": 10}, {"key": "SUGAR", "price": "12.25"}, {"key": "SALT", "price": 5}]


class Marketplace:
    """One account of a simulator, asked through any client with Flask's or requests' calls."""

    def __init__(self, send, code, dialect, prefix, headers):
        self.send, self.code, self.dialect, self.prefix, self.headers = send, code, dialect, prefix, headers

    def get(self, path, **query):
        return self.send("GET", self.prefix + path, query, None, self.headers)

    def post(self, path, body, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", self.prefix + path, {}, body, self.headers | named)

    def control(self, path, body=None, method=None, **query):
        """Ask the control API about this account and give the data of its answer."""
        data = self.control_answer(f"accounts/{self.code}/{path}", body, method, **query)
        assert data.status < 300, data
        return data.data

    def control_answer(self, path, body=None, method=None, **query):
        method = method or ("GET" if body is None else "POST")
        return self.send(method, f"/_control/{path}", query, body, {})

    def add_account(self, **values):
        known = {"code": self.code, "dialect": self.dialect, "token": f"{self.code}-secret"}
        answer = self.control_answer("accounts", known | values)
        assert answer.status == 200, answer
        return answer.data

    def add_orders(self, count=1, **values):
        return self.control("order_factory", {"count": count, "products": PRODUCTS} | values)

    def fail(self, kind, operation="*", times=1, **params):
        body = {"kind": kind, "operation": operation, "times": times, "params": params}
        answer = self.control_answer("faults", body)
        assert answer.status == 200, answer

    def calls(self, **query):
        return self.control_answer("calls", **query).data


def through_flask(client):
    def send(method, path, query, body, headers):
        found = client.open(path, method=method, query_string=query, json=body, headers=headers)
        data = found.get_json(silent=True) if found.data else None
        return SimpleNamespace(status=found.status_code, data=data, headers=found.headers, raw=found.data)

    return send


def through_network(root):
    def send(method, path, query, body, headers, timeout=5):
        found = requests.request(
            method, root + path, params=query, json=body, headers=headers, timeout=timeout,
            allow_redirects=False,
        )  # fmt: skip
        return SimpleNamespace(status=found.status_code, data=found.json(), headers=found.headers)

    return send


def cartona_of(send):
    market = Marketplace(send, "c", "cartona", "/cartona/api/v1/", {"AuthorizationToken": "c-secret"})
    market.add_account(supplier_code="1")
    return market


def rest_of(send):
    market = Marketplace(send, "r", "rest", "/rest/", {"Authorization": "Bearer r-secret"})
    market.add_account()
    return market


@pytest.fixture(scope="module")
def app():
    return create_app()


@pytest.fixture
def client(app):
    """Ask an empty marketplace within this process."""
    send = through_flask(app.test_client())
    send("POST", "/_control/reset", {}, {}, {})
    return send


@pytest.fixture
def cartona(client):
    return cartona_of(client)


@pytest.fixture
def rest(client):
    return rest_of(client)


def exact(answer):
    """Read an answer as our client does."""
    return json.loads(answer.raw, parse_float=Decimal)


def ids(rows, name):
    return [row[name] for row in rows]


# --- credentials --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"AuthorizationToken": "wrong"},
        {"AuthorizationToken": ""},
        {"Authorization": "c-secret"},
        {"Authorization": "Bearer c-secret"},
        {"AuthorizationToken": "c-secret", "Authorization": "c-secret"},
        {"AuthorizationToken": "r-secret"},
    ],
)
def test_cartona_refuses_a_stranger_with_400(cartona, rest, headers):
    cartona.headers = headers
    for answer in (cartona.get("order/pull-orders"), cartona.post("supplier-product/bulk-update", [])):
        assert answer.status == 400
        assert "invalid credentials" in answer.data["error"]
    judged = words.Answer(answer.status, answer.data)
    with pytest.raises(CredentialsRefused):
        Cartona().judge(judged)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "r-secret"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic r-secret"},
        {"AuthorizationToken": "r-secret"},
    ],
)
def test_rest_refuses_a_stranger_with_401(rest, headers):
    rest.headers = headers
    answer = rest.get("orders")
    assert (answer.status, answer.data["error"]["code"]) == (401, "unauthorized")


def test_unknown_addresses_are_refused_and_written_down(cartona, rest):
    assert cartona.get("order/pull-orders/").status == 404
    assert cartona.post("order/pull-orders", []).status == 404
    assert rest.get("nothing").data == {"error": {"code": "unknown_address", "message": "no such address"}}
    assert [call["answered"] for call in cartona.calls(operation="unknown")] == [404, 404, 404]


# --- Cartona's feed -----------------------------------------------------------------------------


def acknowledge(market, order_ids):
    body = [{"hashed_id": order_id, "status": "synced"} for order_id in order_ids]
    return market.post("order/update-order-status", body)


def drain(market, size=3):
    """Read the feed to its end, as our client does: a short page is the end."""
    found = []
    for page in range(1, 100):
        rows = market.get("order/pull-orders", page=page, per_page=size).data
        found += rows
        if len(rows) < size:
            return found
    raise AssertionError("the feed has no end")


def test_the_feed_is_drained_by_acknowledging_and_a_change_brings_an_order_back(cartona):
    made = cartona.add_orders(7)
    assert drain(cartona) == made
    assert acknowledge(cartona, ids(made, "hashed_id")).data[0] == {
        "hashed_id": made[0]["hashed_id"],
        "success": True,
    }
    assert drain(cartona) == []
    cartona.control(f"orders/{made[2]['hashed_id']}", {"status": "editing"})
    (changed,) = drain(cartona)
    assert (changed["hashed_id"], changed["status"]) == (made[2]["hashed_id"], "editing")


def test_an_acknowledgement_shifts_the_pages(cartona):
    made = ids(cartona.add_orders(4), "hashed_id")
    first = cartona.get("order/pull-orders", page=1, per_page=2).data
    acknowledge(cartona, ids(first, "hashed_id"))
    assert cartona.get("order/pull-orders", page=2, per_page=2).data == []
    assert ids(cartona.get("order/pull-orders", page=1, per_page=2).data, "hashed_id") == made[2:]


def test_posted_orders_come_out_exactly_as_they_went_in(cartona):
    for path in sorted((SAMPLES / "cartona").glob("order_*.json")):
        sample = json.loads(path.read_bytes())
        cartona.control("orders", sample)
        (found,) = [row for row in drain(cartona) if row["hashed_id"] == sample[0]["hashed_id"]]
        assert found == sample[0]


def test_arabic_travels_unescaped(cartona):
    (order,) = cartona.add_orders(1)
    assert order["retailer"]["retailer_name"].encode() in cartona.get("order/pull-orders").raw


def test_one_token_covers_several_accounts(cartona):
    other = Marketplace(cartona.send, "c2", "cartona", cartona.prefix, cartona.headers)
    other.add_account(token="c-secret", supplier_code="2")
    order_ids = [market.add_orders(1)[0]["hashed_id"] for market in (cartona, other)]
    assert ids(drain(cartona), "supplier_code") == ["1", "2"]
    assert all(row["success"] for row in acknowledge(cartona, order_ids).data)
    assert drain(other) == []
    for market, price in ((cartona, 10.0), (other, 20.0)):
        market.control("listings", TEA | {"selling_price": price})
    rows = [{"internal_product_id": "TEA", "supplier_code": "2", "selling_price": 21}]
    rows += [{"internal_product_id": "TEA", "selling_price": 1}]
    rows += [{"internal_product_id": "TEA", "supplier_code": "9", "selling_price": 1}]
    done = [row["success"] for row in cartona.post("supplier-product/bulk-update", rows).data]
    assert done == [True, False, False]
    assert [market.control("listings")[0]["selling_price"] for market in (cartona, other)] == [10.0, 21]
    assert cartona.calls()[0]["accounts"] == ["c", "c2"]


@pytest.mark.parametrize(("window", "of_old", "of_new"), [("ignored", 1, 1), ("filter", 1, 0), ("all", 2, 0)])
def test_a_window_has_the_effect_the_account_gives_it(cartona, window, of_old, of_new):
    cartona.add_account(supplier_code="1", options={"window": window})
    made = cartona.add_orders(2)
    acknowledge(cartona, [made[0]["hashed_id"]])
    assert len(cartona.get("order/pull-orders", **{"from": "2020-01-01T00:00:00Z"}).data) == of_old
    assert len(cartona.get("order/pull-orders", **{"from": "2999-01-01T00:00:00Z"}).data) == of_new
    assert len(cartona.get("order/pull-orders").data) == 1
    assert cartona.get("order/pull-orders", **{"from": "yesterday"}).status == 422


def test_the_suppliers_own_change_may_bring_an_order_back(cartona):
    for option, listed in (("silent", 0), ("listed", 1)):
        cartona.add_account(supplier_code="1", options={"own_changes": option})
        order_id = cartona.add_orders(1)[0]["hashed_id"]
        acknowledge(cartona, [order_id])
        cartona.post(f"order/update-order-status/{order_id}", {"status": "approved"})
        assert len(drain(cartona)) == listed


# --- Cartona's statuses -------------------------------------------------------------------------

# order's status -> statuses the supplier may set
SUPPLIER_MAY = {
    "pending": {"approved", "cancelled_by_supplier"},
    "editing": set(),
    "approved": {"assigned_to_salesman", "cancelled_by_supplier"},
    "assigned_to_salesman": {"delivered", "cancelled_by_supplier"},
    "delivered": set(),
    "cancelled_by_retailer": set(),
    "cancelled_by_supplier": set(),
    "returned": set(),
}
RETAILER_MAY = {
    "pending": {"editing", "cancelled_by_retailer"},
    "editing": {"pending", "cancelled_by_retailer"},
    "approved": {"cancelled_by_retailer"},
}


def order_in(market, status, **values):
    (order,) = market.add_orders(1, values={"status": status} | values)
    return order.get("hashed_id") or order["id"]


@pytest.mark.parametrize("status", SUPPLIER_MAY)
def test_cartona_lets_the_supplier_do_what_its_table_says(cartona, status):
    for wanted in set(SUPPLIER_MAY) - {status}:
        answer = cartona.post(f"order/update-order-status/{order_in(cartona, status)}", {"status": wanted})
        assert (answer.status == 200) == (wanted in SUPPLIER_MAY[status]), (wanted, answer)
        assert answer.status == 200 or answer.data["error"]


@pytest.mark.parametrize("status", SUPPLIER_MAY)
def test_cartona_lets_the_retailer_do_what_its_table_says(cartona, status):
    for wanted in set(SUPPLIER_MAY) - {status}:
        path = f"accounts/c/orders/{order_in(cartona, status)}"
        answer = cartona.control_answer(path, {"status": wanted})
        assert answer.status == (200 if wanted in RETAILER_MAY.get(status, ()) else 409)
        assert cartona.control_answer(path, {"status": wanted}, by="marketplace").status == 200


def test_the_retailer_edits_only_what_is_not_yet_accepted(cartona):
    lines = [{"id": 1, "amount": 3, "selling_price": "2.5"}]
    for status, code in (("pending", 200), ("editing", 200), ("approved", 409), ("delivered", 409)):
        path = f"accounts/c/orders/{order_in(cartona, status)}"
        answer = cartona.control_answer(path, {"order_details": lines})
        assert answer.status == code
    order = drain(cartona)[0]
    assert (order["order_details"], order["total_price"]) == (lines, 7.5)


def test_an_order_cartona_delivers_can_only_be_cancelled(cartona):
    for status, wanted in (("pending", "approved"), ("assigned_to_salesman", "delivered")):
        order_id = order_in(cartona, status, delivered_by="delivered_by_cartona")
        path = f"order/update-order-status/{order_id}"
        assert cartona.post(path, {"status": wanted}).status == 422
        assert cartona.post("order/update-order-details", [
            {"hashed_id": order_id, "order_details": []}
        ]).data[0]["success"] is False  # fmt: skip
        assert cartona.post(path, {"status": "cancelled_by_supplier"}).status == 200


@pytest.mark.parametrize("amount", ["installment_cost", "wallet_top_up"])
def test_delivering_money_needs_the_retailers_otp(cartona, amount):
    order_id = order_in(cartona, "assigned_to_salesman", **{amount: 5})
    path = f"order/update-order-status/{order_id}"
    wrong = [{}, {"retailer_otp": "1"}, {"retailer_otp": ""}]
    assert [cartona.post(path, {"status": "delivered"} | otp).status for otp in wrong] == [422] * 3
    (kept,) = cartona.control("orders")
    good = {"status": "delivered", "retailer_otp": kept["retailer_otp"]}
    assert cartona.post(path, good).status == 200


def test_an_otp_can_be_chosen(cartona):
    otp = {"retailer_otp": "77"}
    cartona.control("orders", {"hashed_id": "x", "status": "assigned_to_salesman", "wallet_top_up": 1} | otp)
    assert "retailer_otp" not in drain(cartona)[0]
    assert cartona.post("order/update-order-status/x", {"status": "delivered"} | otp).status == 200


def test_the_array_form_answers_per_row_and_never_fails(cartona):
    order_id = order_in(cartona, "pending")
    rows = [
        {"hashed_id": order_id, "status": "approved"},
        {"hashed_id": order_id, "status": "delivered"},
        {"hashed_id": "nobody", "status": "approved"},
        {"hashed_id": order_id, "status": "fine"},
        {"hashed_id": order_id, "status": "cancelled_by_supplier", "cancellation_reason": "mood"},
        {},
    ]
    answer = cartona.post("order/update-order-status", rows)
    assert answer.status == 200
    assert [row["success"] for row in answer.data] == [True] + [False] * 5
    assert cartona.post("order/update-order-status", {"hashed_id": order_id}).status == 400
    read = Cartona().read_acknowledged(["nobody", order_id], words.Answer(200, answer.data[1:3]))
    assert [result.ok for result in read] == [False, False]


@pytest.mark.parametrize(
    ("style", "shape"),
    [
        ("ids", [{"hashed_id": "x", "success": False, "error": "unknown order x"}]),
        ("positions", [{"success": False, "error": "unknown order x"}]),
        ("message", {"message": "1 rows received"}),
        ("empty", None),
    ],
)
def test_a_bulk_answer_has_the_shape_the_account_wants(cartona, style, shape):
    cartona.add_account(options={"answers": style})
    answer = acknowledge(cartona, ["x"])
    assert (answer.status, answer.data) == (204 if style == "empty" else 200, shape)


def test_a_repeated_status_is_answered_either_way(cartona):
    path = f"order/update-order-status/{order_in(cartona, 'approved')}"
    assert cartona.post(path, {"status": "approved"}).status == 200
    cartona.add_account(options={"repeat_status": "refuse", "refusal_status": 400})
    answer = cartona.post(path, {"status": "approved"})
    assert answer.status == 400
    assert Cartona().is_repeat(answer.data["error"], words.CONFIRMED)


def test_ids_with_odd_characters_reach_their_order(cartona):
    cartona.control("orders", [{"hashed_id": "a/b c#%?", "status": "pending"}])
    request = Cartona().status_request("a/b c#%?", words.CONFIRMED)
    assert cartona.post(request.path, request.body).data == {"hashed_id": "a/b c#%?", "status": "approved"}


def test_the_supplier_changes_adds_and_cancels_lines(cartona):
    cartona.control("listings", TEA)
    lines = [{"id": number, "amount": 2, "selling_price": 5.0} for number in (1, 2)]
    order_id = order_in(cartona, "approved", order_details=lines)
    changes = [
        {"id": 1, "amount": 3, "price": "4.5"},
        {"id": "2", "cancelled": True},
        {"internal_product_id": "TEA", "amount": 2, "price": 9},
    ]
    answer = cartona.post("order/update-order-details", [{"hashed_id": order_id, "order_details": changes}])
    assert answer.data == [{"hashed_id": order_id, "success": True}]
    order = drain(cartona)[0]
    names = ("internal_product_id", "amount", "selling_price")
    found = [[line.get(name) for name in names] for line in order["order_details"]]
    assert found == [[None, 3, "4.5"], ["TEA", 2, 9]]
    assert order["total_price"] == 31.5


@pytest.mark.parametrize(
    "change",
    [{"id": 9}, {"id": 1, "amount": 0}, {"id": 1, "price": -1}, {"internal_product_id": "X", "amount": 1}],
)
def test_a_bad_line_refuses_its_whole_order(cartona, change):
    order_id = order_in(cartona, "pending", order_details=[{"id": 1, "amount": 2, "selling_price": 5.0}])
    changes = [{"id": 1, "amount": 7}, change]
    answer = cartona.post("order/update-order-details", [{"hashed_id": order_id, "order_details": changes}])
    assert answer.data[0]["success"] is False
    assert drain(cartona)[0]["order_details"][0]["amount"] == 2


# --- Cartona's listings -------------------------------------------------------------------------


def test_listings_are_read_to_the_end_and_found_by_their_ids(cartona):
    keys = [{"supplier_product_id": number, "internal_product_id": f"K{number}"} for number in range(5)]
    cartona.control("listings", keys)
    pages = [cartona.get("supplier-product", page=page, per_page=2).data for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert ids(sum(pages, []), "internal_product_id") == [f"K{n}" for n in range(5)]
    for name, value in (("internal_product_id", "K3"), ("supplier_product_id", "3")):
        (found,) = cartona.get("supplier-product", **{name: value}).data
        assert found["supplier_product_id"] == "3"
    assert cartona.get("supplier-product", page="0").status == 422
    assert cartona.get("supplier-product", per_page="many").status == 422


def test_the_sample_listings_are_kept_in_one_spelling_and_shown_in_any(cartona):
    cartona.control("listings", json.loads((SAMPLES / "cartona" / "supplier_products.json").read_bytes()))
    assert ids(cartona.control("listings"), "supplier_product_id")[:2] == ["90001", "90002"]
    for name in ("supplier_product_id", "suppler_prodcut_id", "id"):
        cartona.add_account(options={"listing_id": name, "listing_id_type": "integer"})
        request = Cartona().products_request()
        answer = cartona.get("supplier-product", **dict(request.query))
        assert ids(answer.data, name)[:2] == [90001, 90002]
        listings = Cartona().read_products(request, words.Answer(200, answer.data)).rows
        assert listings[0].product_id == "90001"


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"selling_price": 12}, True),
        ({"selling_price": "12.50"}, True),
        ({"selling_price": -1}, False),
        ({"selling_price": "NaN"}, False),
        ({"available_stock_quantity": 0}, True),
        ({"available_stock_quantity": -1}, False),
        ({"available_stock_quantity": 1.5}, False),
        ({"available_stock_quantity": "3"}, False),
        ({"is_published": False}, True),
        ({"is_published": "no"}, False),
        ({"notes": "x", "min_order": 2}, True),
        ({"internal_product_id": "TEA", "supplier_product_id": "404"}, False),
    ],
)
def test_a_listing_takes_good_values_only(cartona, change, good):
    cartona.control("listings", TEA)
    key = {} if "supplier_product_id" in change else {"internal_product_id": "TEA"}
    (row,) = cartona.post("supplier-product/bulk-update", [key | change]).data
    assert row["success"] is good
    (kept,) = cartona.control("listings")
    assert good == all(kept.get(name) == value for name, value in change.items())


def test_stock_says_whether_a_listing_is_in_stock(cartona):
    cartona.control("listings", TEA)
    for change, in_stock in (
        ({"available_stock_quantity": 0}, False),
        ({"available_stock_quantity": 2}, True),
        ({"available_stock_quantity": 2, "in_stock": False}, False),
    ):
        cartona.post("supplier-product/bulk-update", [{"internal_product_id": "TEA"} | change])
        assert cartona.control("listings")[0]["in_stock"] is in_stock


def test_a_listing_is_addressed_by_base_product_and_unit(cartona):
    units = [("1", "can", 1), ("2", "box", 24)]
    cartona.control("listings", [
        {"supplier_product_id": known, "base_product_id": 650, "unit": unit, "unit_count": count}
        for known, unit, count in units
    ])  # fmt: skip
    row = {"base_product_id": "650", "unit": "box", "unit_count": 24, "available_stock_quantity": 3}
    for path in ("base-product", "supplier-product", "supplier-product/base-product"):
        assert cartona.post(f"{path}/bulk-update", [row]).data[0]["success"]
    assert cartona.post("base-product/bulk-update", [row | {"unit_count": 12}]).data[0]["success"] is False
    for path in ("supplier-product/base-products", "supplier-product/base-product"):
        (product,) = cartona.get(path).data
        assert ids(product["units"], "unit") == ["can", "box"]
    for path in ("base-product/bulk-update-stock", "supplier-product/base-product/bulk-update-stock"):
        rows = [{"base_product_id": 650, "available_stock_quantity": 50}, {"base_product_id": 1}]
        assert [row["success"] for row in cartona.post(path, rows).data] == [True, False]
    assert ids(cartona.control("listings"), "available_stock_quantity") == [50, 2]


def test_one_bad_row_may_fail_the_whole_batch(cartona):
    cartona.add_account(options={"bad_row": "batch", "text_price": "refuse"})
    cartona.control("listings", TEA)
    rows = [{"internal_product_id": "TEA", "selling_price": price} for price in (11, "12")]
    assert cartona.post("supplier-product/bulk-update", rows).status == 422
    assert cartona.control("listings")[0]["selling_price"] == 10.0
    assert cartona.post("supplier-product/bulk-update", rows[:1]).status == 200
    assert cartona.control("listings")[0]["selling_price"] == 11


# --- REST: orders -------------------------------------------------------------------------------


def test_orders_come_by_their_time_of_change_from_since_on(rest):
    made = ids(rest.add_orders(5), "id")
    rest.control(f"orders/{made[1]}", {"note": "later"})
    expected = [made[0], *made[2:], made[1]]
    found, page = [], 1
    while page:
        answer = rest.get("orders", page=page, per_page=2).data
        found += answer["orders"]
        page = answer["next_page"]
    assert ids(found, "id") == expected
    since = found[2]["modified_at"]
    assert ids(rest.get("orders", since=since).data["orders"], "id") == expected[2:]
    assert rest.get("orders", since="soon").status == 422
    assert rest.get("orders", page=9).data == {"orders": [], "next_page": None}


def test_our_dialect_reads_what_the_simulator_makes(rest, cartona):
    for dialect, market in ((Rest(), rest), (Cartona(), cartona)):
        market.add_orders(30, offers=0.3)
        request = dialect.orders_request(datetime(2020, 1, 1, tzinfo=timezone.utc))
        answer = market.get(request.path, **dict(request.query))
        messages = dialect.read_orders(request, words.Answer(200, exact(answer))).rows
        orders = [dialect.parse_order(message.payload) for message in messages]
        assert len({order.id for order in orders}) == 30
        assert len({order.customer.id for order in orders}) > 3
        for order in orders:
            assert order.total == sum(line.amount for line in order.lines)
            assert order.placed_at and order.shipping.name


@pytest.mark.parametrize("option", ["utc", "local", "absent"])
def test_created_at_is_written_as_the_account_wants(cartona, option):
    cartona.add_account(options={"created_at": option})
    cartona.add_orders(1)
    order = Cartona().parse_order(exact(cartona.get("order/pull-orders"))[0])
    assert (order.placed_at is None) == (option == "absent")
    assert option == "absent" or abs((datetime.now(timezone.utc) - order.placed_at).total_seconds()) < 60


def test_one_order_is_read_and_an_unknown_one_is_404(rest):
    (order,) = rest.add_orders(1)
    assert rest.get(f"orders/{order['id']}").data == {"order": order}
    assert rest.get("orders/nobody").data["error"]["code"] == "unknown_order"


REST_SUPPLIER_MAY = {
    "pending": {"confirmed", "partially_shipped", "shipped", "delivered", "cancelled"},
    "held": set(),
    "confirmed": {"partially_shipped", "shipped", "delivered", "cancelled"},
    "partially_shipped": {"shipped", "delivered", "cancelled"},
    "shipped": {"delivered", "cancelled", "returned"},
    "delivered": {"returned"},
    "cancelled": set(),
    "returned": set(),
}


@pytest.mark.parametrize("status", REST_SUPPLIER_MAY)
def test_rest_takes_legal_steps_and_bumps_the_time(rest, status):
    for wanted in set(REST_SUPPLIER_MAY) - {status}:
        order_id = order_in(rest, status)
        before = rest.get(f"orders/{order_id}").data["order"]["modified_at"]
        answer = rest.post(f"orders/{order_id}/status", {"status": wanted})
        after = rest.get(f"orders/{order_id}").data["order"]["modified_at"]
        if wanted in REST_SUPPLIER_MAY[status]:
            assert (answer.status, answer.data["order"]["status"], after > before) == (200, wanted, True)
        else:
            assert (answer.status, answer.data["error"]["code"]) == (409, "illegal_transition")
            assert after == before


def test_the_same_idempotency_key_gets_the_same_answer(rest):
    order_id = order_in(rest, "pending")
    path = f"orders/{order_id}/status"
    first = rest.post(path, {"status": "confirmed"}, Idempotency_Key="k1")
    rest.post(path, {"status": "shipped"}, Idempotency_Key="k2")
    again = rest.post(path, {"status": "confirmed"}, Idempotency_Key="k1")
    assert (again.status, again.data) == (200, first.data)
    assert rest.get(f"orders/{order_id}").data["order"]["status"] == "shipped"
    refused = [rest.post(path, {"status": "confirmed"}, Idempotency_Key="k3") for _ in range(2)]
    assert [answer.status for answer in refused] == [409, 409]
    other = rest.post(path, {"status": "delivered"}, Idempotency_Key="k1")
    assert (other.status, other.data["error"]["code"]) == (422, "idempotency_key_reused")


def test_a_repeat_and_a_word_nobody_knows(rest):
    order_id = order_in(rest, "confirmed")
    assert rest.post(f"orders/{order_id}/status", {"status": "confirmed"}).status == 200
    rest.add_account(options={"repeat_status": "refuse"})
    answer = rest.post(f"orders/{order_id}/status", {"status": "confirmed"})
    assert (answer.status, answer.data["error"]["code"]) == (409, "already_in_status")
    assert rest.post(f"orders/{order_id}/status", {"status": "fine"}).status == 422
    assert rest.post(f"orders/{order_id}/status", ["confirmed"]).status == 422


def test_an_order_keeps_what_was_posted_and_its_total_follows_its_lines(rest):
    sample = json.loads((SAMPLES / "rest" / "neutral_order_created.json").read_bytes())["data"]["order"]
    rest.control("orders", sample)
    assert rest.get("orders").data["orders"] == [sample]
    changed = rest.control(f"orders/{sample['id']}", {"lines": sample["lines"][:1]})["order"]
    assert (changed["total"], changed["status"]) == ("1080.00", "pending")
    rest.control("orders", {"id": "odd", "modified_at": "never", "status": "pending"})
    assert ids(rest.get("orders").data["orders"], "id")[-1] == "odd"


# --- REST: products -----------------------------------------------------------------------------


def test_a_product_is_created_once(rest):
    product = {"sku": "TEA", "name": "شاي", "price": "10.50", "barcode": "622"}
    answer = rest.post("products", {"product": product})
    assert answer.status == 201
    assert {name: answer.data["product"][name] for name in product} == product
    assert Rest().read_created_product(words.Answer(201, answer.data)).key == "TEA"
    again = rest.post("products", {"product": product})
    assert (again.status, again.data["error"]["code"]) == (409, "sku_exists")
    for bad in ({}, {"sku": "X"}, {"sku": " ", "name": "x"}, {"sku": "X", "name": "x", "price": 10}, []):
        assert rest.post("products", {"product": bad}).status == 422


def test_products_are_updated_item_by_item(rest):
    rest.control("listings", [{"id": "P1", "sku": "TEA"}, {"id": "P2", "sku": "SALT"}])
    items = [
        {"id": "P1", "sku": "SALT", "price": "9.00"},
        {"sku": "SALT", "stock": "-2", "active": False},
        {"sku": "NONE", "stock": "1"},
        {"sku": "TEA", "stock": 1},
        {"sku": "TEA", "price": "-1"},
    ]
    answer = rest.post("products/bulk", {"items": items})
    assert [(row["ok"], row.get("code")) for row in answer.data["results"]] == [
        (True, None),
        (True, None),
        (False, "unknown_product"),
        (False, "invalid_stock"),
        (False, "invalid_price"),
    ]
    assert rest.get("products").data["products"] == [
        {"id": "P1", "sku": "TEA", "price": "9.00"},
        {"id": "P2", "sku": "SALT", "stock": "-2", "active": False},
    ]
    rest.add_account(options={"negative_stock": "refuse"})
    assert not rest.post("products/bulk", {"items": items[1:2]}).data["results"][0]["ok"]
    assert rest.post("products/bulk", items).status == 400


def test_products_are_paged_and_found_by_sku(rest):
    rest.control("listings", [{"sku": f"K{number}"} for number in range(5)])
    pages = [rest.get("products", page=page, per_page=2).data for page in (1, 2, 3)]
    assert [page["next_page"] for page in pages] == [2, 3, None]
    assert rest.get("products", per_page=5).data["next_page"] is None
    assert [len(page["products"]) for page in pages] == [2, 2, 1]
    assert ids(rest.get("products", sku="K3").data["products"], "sku") == ["K3"]


# --- control ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "x", "dialect": "shopify", "token": "t"},
        {"code": "x", "dialect": "cartona"},
        {"code": "x", "dialect": "cartona", "token": "t", "colour": "red"},
        {"code": "x", "dialect": "cartona", "token": "t", "options": {"answers": "loud"}},
        {"code": "x", "dialect": "rest", "token": "t", "options": {"answers": "ids"}},
        {"code": "x", "dialect": "rest", "token": "t", "webhook": {"key": "k"}},
    ],
)
def test_a_wrong_account_is_refused(cartona, body):
    assert cartona.control_answer("accounts", body).status == 400


def test_an_account_shows_no_secret_and_keeps_its_orders_when_replaced(rest):
    rest.add_orders(2)
    webhook = {"base_url": "http://localhost:1", "key": "k", "token": "hook-secret"}
    answer = rest.add_account(webhook=webhook)
    assert (answer["orders"], answer["webhook"]["token"]) == (2, "***")
    assert "secret" not in json.dumps(rest.control_answer("accounts").data)
    taken = {"code": "r2", "dialect": "rest", "token": "r-secret"}
    assert rest.control_answer("accounts", taken).status == 409


def test_a_listing_posted_again_is_found_by_its_new_key_only(rest):
    for key in ("OLD", "NEW"):
        rest.control("listings", {"id": "P1", "sku": key})
    results = rest.post("products/bulk", {"items": [{"sku": "OLD"}, {"sku": "NEW"}]}).data["results"]
    assert [row["ok"] for row in results] == [False, True]


@pytest.mark.parametrize("path", ["listings", "orders", "orders/x", "order_factory", "push"])
def test_what_is_no_object_is_refused(cartona, path):
    for body in ("text", [1], [[]], 5):
        assert cartona.control_answer(f"accounts/c/{path}", body).status == 400


def test_reset_forgets_everything(cartona):
    cartona.add_orders(1)
    cartona.fail("500")
    cartona.get("order/pull-orders")
    cartona.control_answer("reset", {})
    for path in ("accounts", "calls", "faults"):
        assert cartona.control_answer(path).data == []
    assert cartona.control_answer("webhooks").data["attempts"] == []
    assert cartona.control_answer("accounts/c/orders").status == 404


def test_an_order_tells_its_history(cartona):
    order_id = order_in(cartona, "pending")
    acknowledge(cartona, [order_id])
    cartona.post(f"order/update-order-status/{order_id}", {"status": "approved"})
    cartona.control(f"orders/{order_id}", {"status": "cancelled_by_retailer"})
    (order,) = cartona.control("orders")
    assert [(step["status"], step["by"]) for step in order["history"]] == [
        ("pending", "retailer"),
        ("approved", "supplier"),
        ("cancelled_by_retailer", "retailer"),
    ]
    assert (order["acknowledged"], order["version"]) == (False, 3)


def test_the_factory_repeats_its_baskets_but_never_an_id(rest):
    first, second = (rest.add_orders(20, seed=1) for _ in range(2))
    assert [order["total"] for order in first] == [order["total"] for order in second]
    assert len(set(ids(first + second, "id"))) == 40
    assert rest.control_answer("accounts/r/order_factory", {"count": 1}).status == 400


def test_calls_are_written_down_without_secrets(cartona, rest):
    cartona.get("order/pull-orders", page=1)
    acknowledge(cartona, ["x"])
    cartona.post("order/update-order-status", [{"hashed_id": "x", "status": "approved"}])
    rest.get("products")
    rest.post("orders/x/status", {"status": "confirmed"}, Idempotency_Key="k")
    rest.post("products/bulk", {"items": []})
    rest.post("products", {})
    rest.get("orders/x")
    calls = rest.calls()
    assert [(call["account"], call["operation"], call["answered"]) for call in calls] == [
        ("c", "orders", 200),
        ("c", "acknowledge", 200),
        ("c", "status", 200),
        ("r", "products", 200),
        ("r", "status", 404),
        ("r", "update_products", 200),
        ("r", "create_product", 422),
        ("r", "order", 404),
    ]
    assert "secret" not in json.dumps(calls)
    assert calls[0]["query"] == {"page": "1"}
    assert calls[1]["body"] == [{"hashed_id": "x", "status": "synced"}]
    assert (calls[4]["headers"]["Authorization"], calls[4]["headers"]["Idempotency-Key"]) == (
        "Bearer ***",
        "k",
    )
    assert rest.calls(account="r", operation="products") == [calls[3]]
    assert rest.calls(since_id=calls[5]["id"]) == calls[6:]


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["400", "401", "403", "404", "429", "500", "502", "503"])
def test_an_error_is_answered_once_and_nothing_is_applied(cartona, rest, kind):
    for market, path in ((cartona, "order/update-order-status/{}"), (rest, "orders/{}/status")):
        order_id = order_in(market, "pending")
        word = "approved" if market is cartona else "confirmed"
        market.fail(kind)
        statuses = [market.post(path.format(order_id), {"status": word}).status for _ in range(2)]
        assert statuses == [int(kind), 200]
        assert [call["fault"] for call in market.calls(account=market.code)] == [kind, None]
        assert market.control("orders")[0]["version"] == 2


@pytest.mark.parametrize("value", [7, "Wed, 21 Oct 2015 07:28:00 GMT", "99999999999", "soon", "-5"])
def test_retry_after_is_sent_as_given(rest, value):
    rest.fail("429", retry_after=value)
    assert rest.get("orders").headers["Retry-After"] == str(value)


def test_retry_after_may_be_a_date_or_absent(rest):
    rest.fail("429", retry_after={"date_in": 60})
    moment = parsedate_to_datetime(rest.get("orders").headers["Retry-After"])
    assert 55 < (moment - datetime.now(timezone.utc)).total_seconds() <= 60
    rest.fail("429")
    assert "Retry-After" not in rest.get("orders").headers


def test_a_fault_strikes_its_account_and_operation_as_often_as_asked(cartona, rest):
    body = {"kind": "500", "operation": "products", "account": "r", "times": 2}
    rest.control_answer("faults", body)
    assert [rest.get("orders").status, cartona.get("supplier-product").status] == [200, 200]
    assert [rest.get("products").status for _ in range(3)] == [500, 500, 200]
    rest.fail("503", times=-1)
    assert {rest.get("orders").status for _ in range(5)} == {503}
    assert rest.control_answer("faults").data[0]["times"] == -1
    rest.control_answer("faults", method="DELETE")
    assert rest.get("orders").status == 200


def test_an_unknown_fault_or_param_is_refused(rest):
    assert set(PARAMS) == set(PLAYS)
    for body in ({"kind": "gremlin"}, {"kind": "200"}, {"kind": "cut", "params": {"kep": 1}}, {}):
        assert rest.control_answer("faults", body).status == 400


def test_answers_that_are_not_what_was_promised(cartona, rest):
    cartona.add_orders(2)
    rest.fail("not_json")
    cartona_page = cartona.get("order/pull-orders")
    assert (cartona_page.status, cartona_page.headers["Content-Type"][:9]) == (200, "text/html")
    rest.fail("empty", status=204)
    assert (rest.get("orders").status, rest.calls()[-1]["answered"]) == (204, 204)
    rest.fail("empty")
    assert rest.get("orders").raw == b""
    rest.fail("wrong_shape", times=2)
    assert list(cartona.get("order/pull-orders").data) == ["data"]
    assert rest.get("orders").data == [{"orders": [], "next_page": None}]
    rest.fail("wrong_shape", body={"orders": "none"})
    assert rest.get("orders").data == {"orders": "none"}


def test_a_closed_connection_is_no_error_of_the_simulator(rest):
    rest.fail("timeout_before", seconds=0)
    with pytest.raises(ConnectionAbortedError):
        rest.get("orders")


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_shows_in_the_journal_who_follows(rest, status):
    rest.fail("redirect", status=status)
    answer = rest.get("orders", page=1)
    assert (answer.status, answer.headers["Location"]) == (
        status,
        "http://localhost/rest/orders?page=1&followed=1",
    )
    rest.fail("redirect", status=status, location="http://elsewhere.example/")
    assert rest.get("orders").headers["Location"] == "http://elsewhere.example/"


@pytest.mark.parametrize(
    ("params", "answered", "applied"),
    [
        ({}, "ABC", "ABC"),
        ({"refuse": ["B"]}, "AbC", "AC"),
        ({"omit": ["B"]}, "AC", "ABC"),
        ({"skip": ["B"]}, "AC", "AC"),
        ({"extra": ["Z"]}, "ABCZ", "ABC"),
        ({"reorder": True, "seed": 1}, "BCA", "ABC"),
    ],
)
def test_single_rows_may_fare_differently(cartona, rest, params, answered, applied):
    """In ``answered`` a small letter is a refusal."""
    for market, named in ((cartona, "supplier_product_id"), (rest, "id")):
        market.control("listings", [{named: known} for known in "ABC"])
        market.fail("partial", "update_products", **params)
        stock = {"available_stock_quantity": 5} if market is cartona else {"stock": "5"}
        rows = [{named: known} | stock for known in "ABC"]
        path = "supplier-product/bulk-update" if market is cartona else "products/bulk"
        data = market.post(path, rows if market is cartona else {"items": rows}).data
        results = data if market is cartona else data["results"]
        said = [row[named] if row.get("success", row.get("ok")) else row[named].lower() for row in results]
        assert said == list(answered)
        kept = market.control("listings")
        assert [row[named] for row in kept if set(stock) <= set(row)] == list(applied)


def test_single_acknowledgements_may_be_refused_too(cartona):
    made = ids(cartona.add_orders(2), "hashed_id")
    cartona.fail("partial", "acknowledge", refuse=made[:1])
    assert [row["success"] for row in acknowledge(cartona, made).data] == [False, True]
    assert ids(drain(cartona), "hashed_id") == made[:1]


# --- a real server ------------------------------------------------------------------------------

START = 20  # seconds


def start():
    """Start the program as its users do and give it with its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulator", "--port", "0", "--log-level", "ERROR"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    watchdog = threading.Timer(START, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    return process, re.fullmatch(r"LISTENING (http://127\.0\.0\.1:\d+)\n", line)[1]


@pytest.fixture(scope="module")
def root():
    process, address = start()
    yield address
    process.kill()
    process.communicate()


@pytest.fixture
def network(root):
    """Ask an empty marketplace over the network."""
    send = through_network(root)
    send("POST", "/_control/reset", {}, {}, {})
    yield send
    send("POST", "/_control/reset", {}, {}, {})


@pytest.fixture
def shop(network):
    return rest_of(network)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_stops_when_told_to(number):
    process, address = start()
    assert requests.get(f"{address}/_control/accounts", timeout=5).json() == []
    process.send_signal(number)
    rest_of_output, _none = process.communicate(timeout=START)
    assert (process.returncode, rest_of_output) == (0, "")


@pytest.mark.parametrize(("kind", "version"), [("timeout_before", 1), ("timeout_after", 2)])
def test_a_timeout_leaves_the_caller_in_the_dark(shop, kind, version):
    order_id = order_in(shop, "pending")
    path, body = f"/rest/orders/{order_id}/status", {"status": "confirmed"}
    shop.fail(kind, "status", times=2, seconds=0.3)
    for timeout, error in ((0.1, requests.ReadTimeout), (5, requests.ConnectionError)):
        with pytest.raises(error):
            shop.send("POST", path, {}, body, shop.headers | {"Idempotency-Key": "k"}, timeout=timeout)
    assert shop.control("orders")[0]["version"] == version
    assert [(call["fault"], call["answered"]) for call in shop.calls()] == [(kind, None)] * 2
    assert shop.post(path.removeprefix("/rest/"), body, Idempotency_Key="k").status == 200
    assert shop.control("orders")[0]["version"] == 2


def test_a_late_call_is_applied_behind_a_newer_one(shop):
    listing = shop.control("listings", [{"id": "L1", "sku": "TEA", "price": "1"}])[0]["id"]
    shop.fail("late", "update_products", seconds=0, after=0.5)

    def price(figure):
        shop.post("products/bulk", {"items": [{"id": listing, "price": figure}]})

    def shown():
        return shop.control("listings")[0]["price"]

    with pytest.raises(requests.ConnectionError):
        price("2")
    price("3")
    assert shown() == "3"
    time.sleep(1)
    assert shown() == "2"


def test_removing_the_faults_ends_a_hang(shop):
    shop.fail("timeout_before", seconds=60)
    threading.Timer(0.2, shop.control_answer, ("faults",), {"method": "DELETE"}).start()
    started = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        shop.get("orders")
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("keep", [None, 0, 7])
def test_a_cut_answer_is_shorter_than_promised(shop, root, keep):
    whole = len(requests.get(f"{root}/rest/orders", headers=shop.headers, timeout=5).content)
    shop.fail("cut", **({} if keep is None else {"keep": keep}))
    connection = http.client.HTTPConnection(root.removeprefix("http://"), timeout=5)
    connection.request("GET", "/rest/orders", headers=shop.headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(whole))
    with pytest.raises(http.client.IncompleteRead) as cut:
        answer.read()
    assert len(cut.value.partial) == (whole // 2 if keep is None else keep)
    connection.close()


def test_a_drip_comes_byte_by_byte(shop, root):
    shop.fail("drip", pause=0.01)
    started = time.monotonic()
    with requests.get(f"{root}/rest/orders", headers=shop.headers, timeout=5, stream=True) as answer:
        first = answer.raw.read(1)
        early = time.monotonic() - started
        rest = answer.raw.read()
    assert json.loads(first + rest) == {"orders": [], "next_page": None}
    assert time.monotonic() - started > early + 0.01 * len(rest) * 0.9


@pytest.mark.parametrize("gzip", [False, True])
def test_a_huge_answer_is_still_json(shop, root, gzip):
    shop.fail("huge", megabytes=3, gzip=gzip)
    answer = requests.get(f"{root}/rest/orders", headers=shop.headers, timeout=10)
    assert len(answer.content) > 3 * 1024 * 1024
    assert answer.json() == {"orders": [], "next_page": None}
    assert (int(answer.headers["Content-Length"]) < 20_000) == gzip


def test_a_slow_answer_is_right_but_late(shop):
    shop.fail("slow", seconds=0.2)
    started = time.monotonic()
    assert shop.get("orders").status == 200
    assert time.monotonic() - started > 0.2


def at_once(count, call):
    """Run a call in as many threads; give the results."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_calls_at_the_same_time_change_an_order_once(shop):
    path = f"orders/{order_in(shop, 'pending')}/status"
    answers = at_once(12, lambda: shop.post(path, {"status": "confirmed"}, Idempotency_Key="k"))
    assert {answer.status for answer in answers} == {200}
    assert shop.control("orders")[0]["version"] == 2
    assert len(shop.calls(operation="status")) == 12


def test_a_check_and_the_change_it_allows_are_one_step(rest, app, monkeypatch):
    state = app.extensions["state"]
    now = state.now
    monkeypatch.setattr(state, "now", lambda: time.sleep(0.05) or now())
    path = f"/rest/orders/{order_in(rest, 'pending')}/status"

    def confirm():
        return through_flask(app.test_client())("POST", path, {}, {"status": "confirmed"}, rest.headers)

    assert {answer.status for answer in at_once(3, confirm)} == {200}
    assert rest.control("orders")[0]["version"] == 2


# --- webhooks -----------------------------------------------------------------------------------


class Receiver(BaseHTTPRequestHandler):
    """Takes pushes; ``server.say(body, attempt)`` gives the HTTP status to answer."""

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.seen.append(
                SimpleNamespace(path=self.path, headers=self.headers, raw=raw, at=time.monotonic())
            )
            attempt = sum(one.raw == raw for one in server.seen)
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        time.sleep(server.takes)
        with server.lock:
            server.busy -= 1
        self.send_response(server.say(json.loads(raw), attempt))
        self.send_header("Content-Length", "0")
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen, server.lock, server.busy, server.most_busy = [], threading.Lock(), 0, 0
    server.takes, server.say = 0, lambda _body, _attempt: 200
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def hook(receiver, **values):
    address = f"http://127.0.0.1:{receiver.server_port}/"
    return {"base_url": address, "key": "k1", "token": "hook-secret", "first_pause": 0.02} | values


def until(is_so):
    """Wait for something to become true."""
    end = time.monotonic() + 8
    while not is_so():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def ledger(market):
    return market.control_answer("webhooks", account=market.code).data


def test_a_new_order_is_pushed_as_it_is(shop, receiver):
    shop.add_account(webhook=hook(receiver))
    body = {"count": 1, "products": PRODUCTS}
    (order,) = shop.control("order_factory", body, push=1)
    until(lambda: ledger(shop)["acknowledged"])
    (seen,) = receiver.seen
    assert seen.path == "/marketplace_integration/webhook/orders/k1"
    assert (seen.headers["Authorization"], seen.headers["Content-Type"]) == (
        "Bearer hook-secret",
        "application/json",
    )
    assert json.loads(seen.raw) == order
    assert order["customer"]["name"].encode() in seen.raw
    (row,) = ledger(shop)["acknowledged"]
    assert (row["order_id"], row["status"], row["attempt"]) == (order["id"], 200, 1)
    changed = shop.control(f"orders/{order['id']}", {"status": "cancelled"}, push=1)["order"]
    until(lambda: len(receiver.seen) == 2)
    assert json.loads(receiver.seen[1].raw) == changed


def test_a_push_is_repeated_with_growing_pauses_until_it_is_taken(shop, receiver):
    shop.add_account(webhook=hook(receiver, first_pause=0.04))
    receiver.say = lambda _body, attempt: {1: 500, 2: 302, 3: 401}.get(attempt, 204)
    shop.add_orders(1)
    answer = shop.control("push", {"wait": 8})
    assert (answer["deliveries"], answer["finished"]) == (1, True)
    found = ledger(shop)
    assert [row["status"] for row in found["attempts"]] == [500, 302, 401, 204]
    assert ids(found["acknowledged"], "attempt") == [4]
    times = [one.at for one in receiver.seen]
    pauses = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert [pause > least for pause, least in zip(pauses, (0.02, 0.04, 0.08), strict=True)] == [True] * 3


def test_a_push_nobody_takes_is_given_up_at_its_deadline(shop, receiver):
    shop.add_account(webhook=hook(receiver))
    receiver.server_close()
    (order,) = shop.add_orders(1)
    assert shop.control("push", {"deadline": 0.3, "wait": 8})["finished"]
    found = ledger(shop)
    assert len(found["attempts"]) > 2
    assert {row["status"] for row in found["attempts"]} == {None}
    assert (ids(found["given_up"], "order_id"), found["waiting"]) == ([order["id"]], 0)


def test_one_that_is_not_taken_does_not_hold_up_the_others(shop, receiver):
    shop.add_account(webhook=hook(receiver))
    made = ids(shop.add_orders(5), "id")
    receiver.say = lambda body, _attempt: 500 if body["id"] == made[0] else 200
    shop.control("push", {"concurrency": 1})
    until(lambda: len(ledger(shop)["acknowledged"]) == 4)
    assert ledger(shop)["waiting"] == 1


def test_pushes_are_copied_shuffled_and_kept_to_their_concurrency(shop, receiver):
    shop.add_account(webhook=hook(receiver))
    made = ids(shop.add_orders(10), "id")
    receiver.takes = 0.01
    asked = {"duplicates": 2, "reorder": True, "seed": 1, "concurrency": 3, "wait": 8}
    assert shop.control("push", asked)["deliveries"] == 30
    order_ids = [json.loads(one.raw)["id"] for one in receiver.seen]
    assert Counter(order_ids) == dict.fromkeys(made, 3)
    assert order_ids != sorted(order_ids, key=made.index)
    assert 1 < receiver.most_busy <= 3


def test_pushes_keep_to_their_rate(shop, receiver):
    shop.add_account(webhook=hook(receiver))
    shop.add_orders(10)
    shop.control("push", {"rate": 40, "wait": 8})
    assert 0.2 < receiver.seen[-1].at - receiver.seen[0].at < 3


def test_statuses_envelopes_and_anything_else_can_be_pushed(shop, receiver):
    shop.add_account(webhook=hook(receiver))
    new, changed, gone = ids(shop.add_orders(3), "id")
    shop.control(f"orders/{changed}", {"note": "x"})
    shop.control(f"orders/{gone}", {"status": "cancelled"})
    shop.control("push", {"orders": [new, changed, gone], "envelope": True, "concurrency": 1, "wait": 8})
    shop.control("push", {"orders": [gone], "topic": "status", "envelope": True, "wait": 8})
    shop.control("push", {"orders": [gone], "topic": "status", "wait": 8})
    shop.control("push", {"orders": [{"any": "thing"}, [1]], "concurrency": 1, "wait": 8})
    bodies = [json.loads(one.raw) for one in receiver.seen]
    assert ids(bodies[:4], "type") == ["order.created", "order.updated", "order.cancelled", "order.status"]
    read = [message for body in bodies[:4] for message in Rest().split(words.ORDERS, body)]
    assert [(message.topic, message.order_id) for message in read] == [
        (words.ORDERS, new),
        (words.ORDERS, changed),
        (words.ORDERS, gone),
        (words.STATUS, gone),
    ]
    assert (bodies[4]["id"], bodies[4]["status"], sorted(bodies[4])) == (
        gone,
        "cancelled",
        ["id", "modified_at", "status"],
    )
    assert bodies[5:] == [{"any": "thing"}, [1]]
    assert receiver.seen[4].path.endswith("/webhook/status/k1")


def test_a_push_that_cannot_be_is_refused(shop, receiver):
    assert shop.control_answer("accounts/r/push", {}).status == 409
    shop.add_account(webhook=hook(receiver))
    for body, status in (({"orders": ["nobody"]}, 404), ({"topic": "news"}, 400), ({"speed": 1}, 400)):
        assert shop.control_answer("accounts/r/push", body).status == status
    assert shop.control("push", {"orders": [], "wait": 1})["finished"]


def test_a_fraction_of_duplicates_is_a_probability():
    found = mixed([("x", {})] * 1000, duplicates=1.5, seed=1)
    assert 2400 < len(found) < 2600
    assert mixed([1, 2, 3]) == [1, 2, 3]
