"""Orders of both marketplaces, from the wire to the sale order, on a real server."""

import time

import pytest
import requests

from .conftest import link_sample, sample
from .harness import wait_for


def figures(shop, order_id):
    [[order, state, total, partner]] = shop.orders(
        "id, state, amount_total::text, partner_id", f"cartona_id = '{order_id}'"
    )
    lines = shop.server.sql(
        "SELECT marketplace_line_id, product_uom_qty::float, price_unit::float FROM sale_order_line"
        " WHERE order_id = %s ORDER BY id",
        [order],
    )
    [[customer]] = shop.server.sql("SELECT cartona_id FROM res_partner WHERE id = %s", [partner])
    return state, float(total), customer, lines


def bring(shop, way, message):
    """Bring a message in by webhook or by the feed and wait until it is settled."""
    before = len(shop.events())
    if way == "webhook":
        answer = requests.post(
            shop.address, json=message, headers={"Authorization": f"Bearer {shop.hook}"}, timeout=30
        )
        assert answer.status_code == 200, answer.text
    else:
        shop.post("orders", message)
        shop.pull()
    wait_for(lambda: len(shop.events()) > before, 15, "the message is stored")
    wait_for(lambda: all(state != "new" for [state] in shop.events()), 15, "the message is settled")


EXPECTED = {
    "cartona/order_pending": ("kT3vQx9a", "sale", 860.0, "retailer_A01027"),
    "cartona/order_offer_two_lines": ("mB7wLz2c", "sale", 44.0, "retailer_A01028"),
    "cartona/order_cancelled_by_retailer": ("mB7wLz2c", "cancel", 44.0, "retailer_A01028"),
    "cartona/order_delivered_by_cartona": ("sW1kHf6g", "sale", 51.0, "retailer_A01028"),
    "cartona/order_installment_credit_topup": ("pR5nYd8e", "sale", 3040.0, "retailer_A01027"),
    "cartona/order_sparse_nulls": ("4471902836", "sale", 120.0, None),
}


@pytest.mark.parametrize("way", ["webhook", "pull"])
@pytest.mark.parametrize("name", EXPECTED)
def test_each_sample_ends_as_it_should(open_shop, products, way, name):
    shop = open_shop("cartona")
    bring(shop, way, sample(name))
    order_id, state, total, customer = EXPECTED[name]
    assert figures(shop, order_id)[:3] == (state, total, customer)


@pytest.mark.parametrize("way", ["webhook", "pull"])
def test_an_edited_order_follows_line_by_line(open_shop, products, way):
    # Once approved, Cartona lets nobody edit: the order stays a quotation until then.
    shop = open_shop("cartona", order_policy="draft")
    for number, step in enumerate(("pending", "editing", "edited_back_to_pending"), start=1):
        bring(shop, way, sample(f"cartona/order_{step}"))
        if way == "pull":
            # Cartona's acknowledgement names no state: what changes meanwhile is acknowledged unseen.
            wait_for(lambda number=number: len(acknowledged(shop)) == number, 15, "it is acknowledged")
    state, total, _customer, lines = figures(shop, "kT3vQx9a")
    assert (state, total) == ("draft", 775.0)
    assert [line[1:] for line in lines] == [(1, 250), (5, 90), (15, 5)]


@pytest.mark.parametrize("way", ["webhook", "pull"])
def test_the_neutral_order_keeps_its_total_through_changes(open_shop, products, way):
    # A quotation: our approval would get today's time over there, and the samples are older.
    shop = open_shop("rest", order_policy="draft")
    link_sample(shop)
    envelopes = [sample(f"rest/neutral_order_{kind}") for kind in ("created", "updated", "cancelled")]
    ends = [("draft", 1317.5), ("draft", 1107.5), ("cancel", 1107.5)]
    for envelope, end in zip(envelopes, ends, strict=True):
        bring(shop, way, envelope if way == "webhook" else envelope["data"]["order"])
        assert figures(shop, "N-88123")[:2] == end


def test_an_unknown_product_holds_the_order_until_its_key_is_filled_in(open_shop, products, server):
    shop = open_shop("cartona")
    bring(shop, "pull", sample("cartona/order_unknown_product"))
    assert shop.events("state, reason") == [("hold", "Unknown product: NOT-IN-ODOO")]
    assert not shop.orders() and not acknowledged(shop)
    product = server.rpc("product.product", "create", {"name": "New one", "taxes_id": [(5,)]})
    server.rpc("product.product", "write", [product], {"cartona_id": "NOT-IN-ODOO"})
    wait_for(shop.orders, 15, "the order is imported by itself")
    assert figures(shop, "uN0kPr0d")[:2] == ("sale", 500.0)
    wait_for(lambda: acknowledged(shop), 15, "the order is acknowledged")


def acknowledged(shop):
    """Give the ids the marketplace was told of."""
    calls = shop.simulator.control("GET", "calls", account=shop.code, operation="acknowledge")
    return [row["hashed_id"] for call in calls for row in call["body"]]


def test_a_repeat_changes_nothing_and_is_acknowledged_after_the_commit(open_shop, products):
    shop = open_shop("cartona")
    order = sample("cartona/order_pending")
    bring(shop, "pull", order)
    wait_for(lambda: acknowledged(shop), 15, "the order is acknowledged")
    before = figures(shop, "kT3vQx9a"), shop.events("id, state")
    for _time in range(3):
        answer = requests.post(
            shop.address, json=order, headers={"Authorization": f"Bearer {shop.hook}"}, timeout=30
        )
        assert answer.json() == {"accepted": 0, "duplicate": 1}
    shop.pull()
    time.sleep(1)
    assert (figures(shop, "kT3vQx9a"), shop.events("id, state")) == before
    assert acknowledged(shop) == ["kT3vQx9a"]
    [[committed]] = shop.orders("extract(epoch FROM create_date AT TIME ZONE 'UTC')::float")
    [call] = shop.simulator.control("GET", "calls", account=shop.code, operation="acknowledge")
    assert call["at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(committed)))


def test_strangers_get_one_constant_answer_and_leave_no_row(open_shop, server):
    shop = open_shop("cartona")
    order = sample("cartona/order_pending")
    callers = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {shop.hook}"},
        {"Authorization": "Bearer "},
    ]
    addresses = [shop.address, shop.address.removesuffix(f"/{shop.key}"), shop.address + "x"]
    answers = {
        (answer.status_code, answer.text)
        for address in addresses
        for headers in callers
        for answer in [requests.post(address, json=order, headers=headers, timeout=30)]
    }
    assert answers == {(401, '{"error": "unauthorized"}')}
    assert not shop.events()
