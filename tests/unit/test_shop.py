"""The simulator's pages for people: what they show, how one orders there, and what a restart keeps."""

import json
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from tests.simulator.app import create_app
from tests.simulator.keeping import Keeper, Unreadable, seed

ROOT = Path(__file__).parents[2]
NOWHERE = {"base_url": "http://127.0.0.1:9", "key": "k", "token": "hook"}  # the discard port: nobody listens

# what one listing of each dialect looks like: two that can be had, then why one cannot
CARTONA = {
    "tea": {
        "supplier_product_id": "1", "internal_product_id": "TEA", "supplier_product_name": "شاي",
        "selling_price": 10.5, "available_stock_quantity": 5, "in_stock": True, "unit": "box",
    },
    "salt": {
        "supplier_product_id": "2", "internal_product_id": "SALT", "selling_price": "4.25",
        "is_unlimited_stock": True, "available_stock_quantity": 7,
    },
    "sold out": {"supplier_product_id": "3", "selling_price": 1, "available_stock_quantity": 0},
    "unpublished": {"supplier_product_id": "4", "selling_price": 1, "is_published": False},
    "unpriced": {"supplier_product_id": "5", "available_stock_quantity": 3},
}  # fmt: skip
REST = {
    "tea": {"id": "1", "sku": "TEA", "name": "شاي", "price": "10.50", "stock": "5"},
    "salt": {"id": "2", "sku": "SALT", "price": "4.25", "stock": "7", "stock_managed": False},
    "sold out": {"id": "3", "sku": "S", "price": "1", "stock": "-2"},
    "unpublished": {"id": "4", "sku": "U", "price": "1", "stock": "9", "active": False},
    "unpriced": {"id": "5", "sku": "P", "stock": "3"},
}
LISTINGS = {"cartona": CARTONA, "rest": REST}
STOCK = {"cartona": "available_stock_quantity", "rest": "stock"}
ORDER_ID = {"cartona": "hashed_id", "rest": "id"}
CALLED_OFF = {"cartona": "cancelled_by_retailer", "rest": "cancelled"}
FEED = {
    "cartona": ("/cartona/api/v1/order/pull-orders", {"AuthorizationToken": "secret"}),
    "rest": ("/rest/orders", {"Authorization": "Bearer secret"}),
}


class Elements(HTMLParser):
    """Collects the attributes of a page's elements that have one of a name."""

    def __init__(self, name, html):
        super().__init__()
        self.name, self.found = name, []
        self.feed(html)

    def handle_starttag(self, _tag, attributes):
        values = dict(attributes)
        if self.name in values:
            self.found.append(values)


class Shop:
    """One account's shop, used as a browser would without a script."""

    def __init__(self, client, dialect, code="s"):
        self.client, self.dialect, self.code = client, dialect, code
        self.add_account()

    def add_account(self, **values):
        known = {"code": self.code, "dialect": self.dialect, "token": "secret"}
        return self.control("accounts", known | values)

    def control(self, path, body=None, **query):
        method = "GET" if body is None else "POST"
        answer = self.client.open(f"/_control/{path}", method=method, json=body, query_string=query)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def put(self, *rows):
        return self.control(f"accounts/{self.code}/listings", list(rows))

    def page(self, path="", **query):
        answer = self.client.get(f"/shop/{self.code}{path}", query_string=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    def all(self, name, **query):
        """Give the attributes of the page's elements that have one of this name."""
        return Elements(name, self.page(**query)).found

    def listing(self, known):
        return next(one for one in self.all("data-listing") if one["data-listing"] == known)

    def order(self, **form):
        fields = {name.replace("of_", "quantity:"): value for name, value in form.items()}
        return self.client.post(f"/shop/{self.code}", data=fields)

    def place(self, **form):
        """Place an order and give it as the seller's feed lists it."""
        answer = self.order(**form)
        assert answer.status_code == 303, answer.text
        return self.feed()[-1]

    def change(self, order, status):
        form = {"order": order[ORDER_ID[self.dialect]], "status": status}
        return self.client.post(f"/shop/{self.code}/change", data=form)

    def feed(self):
        path, headers = FEED[self.dialect]
        found = self.client.get(path, headers=headers).get_json()
        return found if self.dialect == "cartona" else found["orders"]

    def stock(self, known="1"):
        rows = self.control(f"accounts/{self.code}/listings")
        return next(row for row in rows if known in (row.get("id"), row.get("supplier_product_id")))[
            STOCK[self.dialect]
        ]


def message(answer):
    """Give (kind, text) of a page's message."""
    return re.search(r'id="message" data-kind="(\w+)"[^>]*>(?:<span[^>]*>)?([^<]*)', answer.text).groups()


@pytest.fixture
def client():
    return create_app().test_client()


@pytest.fixture(params=["cartona", "rest"])
def shop(request, client):
    shop = Shop(client, request.param)
    shop.put(*LISTINGS[request.param].values())
    return shop


# --- finding a shop -----------------------------------------------------------------------------


def test_a_marketplace_without_sellers_says_what_to_do(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "/_control/accounts" in page.text


def test_the_only_shop_is_opened_at_once_and_several_are_listed(client):
    Shop(client, "cartona", "one")
    assert client.get("/").headers["Location"] == "/shop/one"
    Shop(client, "rest", "two")
    assert [one["data-account"] for one in Elements("data-account", client.get("/").text).found] == [
        "one",
        "two",
    ]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/data"), ("POST", ""), ("POST", "/change")]
)
def test_an_unknown_shop_is_404_for_people(client, method, path):
    answer = client.open(f"/shop/nobody{path}", method=method)
    assert (answer.status_code, message(answer)) == (404, ("refused", "no account nobody"))


# --- what is shown ------------------------------------------------------------------------------


def test_listings_show_price_stock_and_whether_they_can_be_had(shop):
    names = ("data-listing-key", "data-price", "data-stock", "data-state", "data-unlimited")
    tea, salt, *others = ([one[name] for name in names] for one in shop.all("data-listing"))
    assert tea == ["TEA", "10.50", "5", "available", "false"]
    assert [salt[1], *salt[3:]] == ["4.25", "available", "true"]
    assert [one[3] for one in others] == ["sold out", "unpublished", "unpriced"]
    assert "شاي" in shop.page()


def test_what_cannot_be_had_has_its_field_and_button_disabled(shop):
    fields = [one for one in shop.all("name") if one["name"].startswith("quantity:")]
    buttons = [one for one in shop.all("name") if one["name"] == "only"]
    for controls in (fields, buttons):
        assert ["disabled" in one for one in controls] == [False, False, True, True, True]


def test_the_live_part_has_the_same_rows_as_the_page(shop):
    shop.place(of_1="2")
    for name in ("data-listing", "data-order", "data-field", "data-action"):
        (whole, part) = (Elements(name, html).found for html in (shop.page(), shop.page("/data")))
        assert whole == part
        assert whole


def test_a_change_by_the_seller_is_in_the_live_part(shop):
    shop.put(LISTINGS[shop.dialect]["tea"] | {STOCK[shop.dialect]: 77 if shop.dialect == "cartona" else "77"})
    assert 'data-stock="77"' in shop.page("/data")


def test_names_are_shown_and_never_run(shop):
    hostile = '"><script>alert(1)</script>'
    name = "supplier_product_name" if shop.dialect == "cartona" else "name"
    shop.put(LISTINGS[shop.dialect]["tea"] | {name: hostile})
    order = shop.place(of_1="1")
    texts = [shop.page(), shop.page("/data"), shop.page(search=hostile), shop.order(of_1="99").text]
    shop.control("accounts/s/orders", order | {"status": hostile, "customer": {"name": hostile}})
    texts += [shop.page(), shop.client.get("/shop/<script>alert(1)").text]
    for text in texts:
        assert "alert(1)" in text
        assert "<script>" not in text
    policy = shop.client.get("/shop/s").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_orders_and_listings_made_of_nonsense_do_not_break_the_page(shop):
    nonsense = [None, [], {}, "x", 5, [None], ["x"]]
    paths = ("retailer", "customer", "order_details", "lines", "total_price", "total", "status", "number")
    for number, value in enumerate(nonsense):
        shop.control(
            "accounts/s/orders", {ORDER_ID[shop.dialect]: f"o{number}"} | dict.fromkeys(paths, value)
        )
    names = ("price", "stock", "name", "sku", "unit", "selling_price", "available_stock_quantity")
    known = "id" if shop.dialect == "rest" else "supplier_product_id"
    shop.put(*({known: f"l{number}"} | dict.fromkeys(names, value) for number, value in enumerate(nonsense)))
    assert len(shop.all("data-order")) == len(nonsense)
    assert len(shop.all("data-listing")) == len(nonsense) + 5


def test_a_search_narrows_the_listings_and_a_long_list_is_cut(shop):
    assert [one["data-listing"] for one in shop.all("data-listing", search="tea")] == ["1"]
    assert shop.all("data-listing", search="nothing") == []
    known = "id" if shop.dialect == "rest" else "supplier_product_id"
    shop.put(*({known: f"l{number}"} for number in range(200)))
    assert len(shop.all("data-listing")) == 200
    assert "5 more are not shown" in shop.page()


# --- ordering -----------------------------------------------------------------------------------


def test_one_order_of_several_products_reaches_the_feed_with_its_total(shop):
    order = shop.place(of_1="2", of_2="3", of_3="", of_4="0", customer="2")
    if shop.dialect == "cartona":
        lines = [(line["internal_product_id"], line["amount"]) for line in order["order_details"]]
        assert [line["selling_price"] for line in order["order_details"]] == [10.5, 4.25]
        assert (lines, order["total_price"]) == ([("TEA", 2), ("SALT", 3)], 33.75)
        assert order["retailer"]["retailer_name"] == "ماركت النور"
        assert order["order_details"][0]["unit"] == "box"
    else:
        lines = [(line["sku"], line["quantity"], line["unit_price"]) for line in order["lines"]]
        assert lines == [("TEA", "2", "10.50"), ("SALT", "3", "4.25")]
        assert (order["total"], order["customer"]["name"]) == ("33.75", "ماركت النور")
    (shown,) = shop.all("data-order")
    assert (shown["data-total"], shown["data-status"]) == ("33.75", "pending")
    assert [(one["data-step"], one["data-by"]) for one in shop.all("data-step")] == [("pending", "retailer")]


def test_a_placed_order_is_told_and_keeps_the_customer_chosen(shop):
    answer = shop.order(of_1="1", customer="4")
    page = shop.client.get(answer.headers["Location"])
    kind, text = message(page)
    assert (kind, "was placed" in text, "fetch" in text) == ("done", True, True)
    assert [one["value"] for one in Elements("selected", page.text).found] == ["4"]


def test_one_button_orders_one_product(shop):
    shop.order(only="1", of_1="", of_2="9")
    shop.order(only="1", of_1="2")
    assert shop.stock() in (2, "2")
    assert len(shop.feed()) == 2


def test_the_same_customer_always_has_the_same_address(shop):
    first, second = shop.place(of_1="1", customer="3"), shop.place(of_1="1", customer="3")
    for name in ("retailer", "customer", "shipping"):
        assert first.get(name) == second.get(name)


def test_an_order_takes_from_the_stock_down_to_nothing(shop):
    shop.place(of_1="4")
    assert shop.listing("1")["data-stock"] == "1"
    shop.place(of_1="1")
    assert (shop.listing("1")["data-stock"], shop.listing("1")["data-state"]) == ("0", "sold out")


def test_what_is_unlimited_takes_nothing(shop):
    before = shop.listing("2")
    shop.place(of_2="5000")
    assert shop.listing("2") == before


def test_a_listing_without_a_figure_can_be_ordered_and_gets_none(shop):
    row = dict(LISTINGS[shop.dialect]["tea"])
    del row[STOCK[shop.dialect]]
    shop.put(row)
    shop.place(of_1="1000")
    assert shop.listing("1")["data-stock"] == ""


def test_what_cartona_says_is_out_of_stock_cannot_be_had_whatever_its_figure(client):
    shop = Shop(client, "cartona")
    shop.put(CARTONA["tea"] | {"in_stock": False})
    assert (shop.listing("1")["data-stock"], shop.listing("1")["data-state"]) == ("5", "sold out")
    assert shop.order(of_1="1").status_code == 409


def test_the_newest_orders_come_first_and_the_oldest_are_left_out(shop):
    for number in range(51):
        shop.control("accounts/s/orders", {ORDER_ID[shop.dialect]: f"o{number}"})
    assert [one["data-order"] for one in shop.all("data-order")] == [
        f"o{number}" for number in range(50, 0, -1)
    ]
    assert "1 older ones are not shown" in shop.page()


def test_an_order_through_the_control_api_takes_nothing(shop):
    shop.control("accounts/s/order_factory", {"count": 3, "products": [{"key": "TEA", "price": 10}]})
    assert shop.listing("1")["data-stock"] == "5"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Nothing is ordered"),
        ({"of_1": "0"}, "Nothing is ordered"),
        ({"of_1": "6"}, "Only 5 in stock, 6 ordered: شاي"),
        ({"of_1": "-1"}, "-1 is no quantity"),
        ({"of_1": "1.5"}, "1.5 is no quantity"),
        ({"of_1": "9" * 5000}, "is no quantity"),
        ({"of_1": "1", "of_3": "1"}, "sold out"),
        ({"of_1": "1", "of_4": "1"}, "unpublished"),
        ({"of_1": "1", "of_5": "1"}, "unpriced"),
        ({"of_1": "1", "of_404": "1"}, "unknown listing 404"),
        ({"of_1": "1", "customer": "99"}, "no such customer"),
        ({"of_1": "1", "customer": "x"}, "no such customer"),
    ],
)
def test_an_order_that_cannot_be_is_refused_whole_and_says_why(shop, form, said):
    answer = shop.order(**form)
    kind, text = message(answer)
    assert (kind, 400 <= answer.status_code < 500) == ("refused", True)
    assert said in text
    assert shop.feed() == []
    assert shop.listing("1")["data-stock"] == "5"


def test_what_was_typed_survives_a_refusal(shop):
    typed = Elements("name", shop.order(of_1="6", of_2="2", customer="5").text).found
    assert [one["value"] for one in typed if one["name"].startswith("quantity:")][:2] == ["6", "2"]


def test_one_order_has_one_currency(client):
    shop = Shop(client, "rest")
    shop.put(REST["tea"] | {"currency": "USD"}, REST["salt"])
    assert "currencies" in message(shop.order(of_1="1", of_2="1"))[1]
    assert shop.place(of_1="1")["currency"] == "USD"


# --- what the retailer may do -------------------------------------------------------------------


def actions(shop):
    return [one["data-action"] for one in shop.all("data-action")]


def test_calling_off_gives_back_what_was_taken_once(shop):
    order = shop.place(of_1="3", of_2="1")
    assert shop.change(order, CALLED_OFF[shop.dialect]).status_code == 303
    assert shop.listing("1")["data-stock"] == "5"
    assert shop.listing("1")["data-state"] == "available"
    again = shop.change(order, "pending")
    assert (again.status_code, message(again)[0]) == (409, "refused")
    assert shop.change(order, CALLED_OFF[shop.dialect]).status_code == 303
    assert shop.listing("1")["data-stock"] == "5"
    assert actions(shop) == []
    assert shop.feed()[-1]["status"] == CALLED_OFF[shop.dialect]


def test_a_sellers_cancellation_leaves_the_stock_to_the_seller(shop):
    order = shop.place(of_1="3")
    headers, known = FEED[shop.dialect][1], order[ORDER_ID[shop.dialect]]
    path, word = {
        "cartona": (f"/cartona/api/v1/order/update-order-status/{known}", "cancelled_by_supplier"),
        "rest": (f"/rest/orders/{known}/status", "cancelled"),
    }[shop.dialect]
    assert shop.client.post(path, json={"status": word}, headers=headers).status_code == 200
    assert shop.listing("1")["data-stock"] == "2"


def test_an_order_is_paused_and_resumed(shop):
    pausing = {"cartona": "editing", "rest": "held"}[shop.dialect]
    order = shop.place(of_1="1")
    assert actions(shop) == [pausing, CALLED_OFF[shop.dialect]]
    answer = shop.change(order, pausing)
    assert f"is now {pausing}" in message(shop.client.get(answer.headers["Location"]))[1]
    assert actions(shop) == ["pending", CALLED_OFF[shop.dialect]]
    shop.change(order, "pending")
    assert [one["data-step"] for one in shop.all("data-step")] == ["pending", pausing, "pending"]


@pytest.mark.parametrize("status", ["approved", "confirmed", "nonsense", ""])
def test_the_retailer_may_not_do_what_is_the_sellers(shop, status):
    order = shop.place(of_1="1")
    assert shop.change(order, status).status_code == 409
    assert shop.feed()[-1]["status"] == "pending"


def test_an_order_nobody_placed_is_refused(shop):
    answer = shop.change({ORDER_ID[shop.dialect]: "x"}, "cancelled")
    assert (answer.status_code, message(answer)) == (404, ("refused", "unknown order x"))


def test_orders_with_odd_ids_can_be_called_off(shop):
    odd = {ORDER_ID[shop.dialect]: "a/b c#%?\"'", "status": "pending"}
    shop.control("accounts/s/orders", odd)
    answer = shop.change(odd, CALLED_OFF[shop.dialect])
    assert shop.client.get(answer.headers["Location"]).status_code == 200
    assert shop.feed()[-1]["status"] == CALLED_OFF[shop.dialect]


# --- pushing ------------------------------------------------------------------------------------


def test_placing_and_changing_are_pushed_where_there_is_a_webhook(shop):
    shop.place(of_1="1")
    assert shop.control("webhooks")["waiting"] == 0
    shop.add_account(webhook=NOWHERE)
    order = shop.place(of_1="1")
    assert shop.control("webhooks", account="s")["waiting"] == 1
    answer = shop.change(order, CALLED_OFF[shop.dialect])
    assert shop.control("webhooks", account="s")["waiting"] == 2
    assert "pushed" in message(shop.client.get(answer.headers["Location"]))[1]
    assert len(shop.feed()) == 2


# --- partial failures of a batch ----------------------------------------------------------------

BULK = {
    "cartona": (
        "/cartona/api/v1/supplier-product/bulk-update",
        lambda ids: [{"supplier_product_id": known, "selling_price": 99} for known in ids],
        lambda answer: [row["success"] for row in answer],
    ),
    "rest": (
        "/rest/products/bulk",
        lambda ids: {"items": [{"id": known, "price": "99.00"} for known in ids]},
        lambda answer: [row["ok"] for row in answer["results"]],
    ),
}


def bulk(shop, *ids):
    path, body, read = BULK[shop.dialect]
    answer = shop.client.post(path, json=body(ids), headers=FEED[shop.dialect][1])
    return answer.status_code, read(answer.get_json()) if answer.status_code == 200 else None


def repriced(shop):
    return [one["data-listing"] for one in shop.all("data-listing") if one["data-price"] == "99.00"]


def test_a_bad_row_fails_alone_or_its_whole_batch_as_the_account_says(shop):
    assert bulk(shop, "1", "404", "2") == (200, [True, False, True])
    assert repriced(shop) == ["1", "2"]
    shop.put(*LISTINGS[shop.dialect].values())
    shop.add_account(options={"bad_row": "batch"})
    assert bulk(shop, "1", "404", "2") == (422, None)
    assert repriced(shop) == []
    assert bulk(shop, "1", "2") == (200, [True, True])


@pytest.mark.parametrize(
    ("rule", "status", "done"), [("row", 200, ["1", "3"]), ("batch", 422, [])], ids=["row", "batch"]
)
def test_a_row_refused_by_a_fault_follows_the_same_rule(shop, rule, status, done):
    shop.add_account(options={"bad_row": rule})
    fault = {"kind": "partial", "operation": "update_products", "params": {"refuse": ["2"]}}
    shop.control("faults", fault)
    assert bulk(shop, "1", "2", "3")[0] == status
    assert repriced(shop) == done
    assert bulk(shop, "1", "2", "3")[0] == 200


@pytest.mark.parametrize("rule", ["row", "batch"])
def test_base_products_fail_by_row_or_by_batch_too(client, rule):
    shop = Shop(client, "cartona")
    shop.put(*({"supplier_product_id": known, "base_product_id": known} for known in ("650", "651")))
    shop.add_account(options={"bad_row": rule})
    fault = {"kind": "partial", "operation": "update_base_stock", "params": {"refuse": ["651"]}}
    shop.control("faults", fault)
    rows = [{"base_product_id": known, "available_stock_quantity": 8} for known in ("650", "651")]
    path = "/cartona/api/v1/base-product/bulk-update-stock"
    answer = client.post(path, json=rows, headers=FEED["cartona"][1])
    assert answer.status_code == {"row": 200, "batch": 422}[rule]
    assert [one["data-stock"] for one in shop.all("data-listing")] == [{"row": "8", "batch": ""}[rule], ""]


def test_base_stock_goes_to_the_account_it_names(client):
    for code in ("1", "2"):
        shop = Shop(client, "cartona", code)
        shop.add_account(supplier_code=code)
        shop.put({"supplier_product_id": code, "base_product_id": "650"})
    row = {"base_product_id": "650", "available_stock_quantity": 8, "supplier_code": "2"}
    path = "/cartona/api/v1/base-product/bulk-update-stock"
    assert client.post(path, json=[row], headers=FEED["cartona"][1]).get_json()[0]["success"]
    stocks = [Shop(client, "cartona", code).all("data-listing")[0]["data-stock"] for code in ("1", "2")]
    assert stocks == ["", "8"]


# --- keeping ------------------------------------------------------------------------------------


def kept_by(path):
    """Start a marketplace on a state file."""
    app = create_app()
    keeper = Keeper(app, path)
    return SimpleNamespace(app=app, keeper=keeper, found=keeper.load(), client=app.test_client())


def everything(client):
    accounts = client.get("/_control/accounts").get_json()
    parts = [(account["code"], name) for account in accounts for name in ("listings", "orders")]
    return [accounts] + [client.get(f"/_control/accounts/{code}/{name}").get_json() for code, name in parts]


def test_a_restart_finds_everything_again(tmp_path):
    path = tmp_path / "state.json"
    first = kept_by(path)
    assert not first.found
    for dialect in ("cartona", "rest"):
        shop = Shop(first.client, dialect, dialect)
        shop.add_account(webhook=NOWHERE, supplier_code="1")
        shop.put(*LISTINGS[dialect].values())
        shop.order(of_1="2")
    first.keeper.save()
    second = kept_by(path)
    assert second.found
    assert everything(second.client) == everything(first.client)
    assert second.client.get("/rest/products?sku=TEA", headers=FEED["rest"][1]).get_json()["products"]
    assert second.app.extensions["state"].accounts["rest"].webhook == NOWHERE


def test_a_restart_goes_on_with_new_numbers_and_the_same_answers(tmp_path):
    first = kept_by(tmp_path / "state.json")
    shop = Shop(first.client, "rest")
    shop.put(REST["tea"])
    order = shop.place(of_1="3")
    path, headers = f"/rest/orders/{order['id']}/status", FEED["rest"][1] | {"Idempotency-Key": "k"}
    said = first.client.post(path, json={"status": "confirmed"}, headers=headers).get_json()
    first.keeper.save()
    second = kept_by(tmp_path / "state.json")
    again = second.client.post(path, json={"status": "confirmed"}, headers=headers)
    assert (again.status_code, again.get_json()) == (200, said)
    shop.client = second.client
    shop.change(order, "cancelled")
    assert shop.listing("1")["data-stock"] == "5"
    assert shop.place(of_1="1")["number"] > order["number"]


def test_the_file_holds_secrets_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "state.json"
    first = kept_by(path)
    Shop(first.client, "rest")
    first.keeper.save()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 9}', '{"version": 1, "state": {}}', "\xff"])
def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(Unreadable, match=r"state\.json"):
        kept_by(path)
    assert path.read_bytes() == content.encode("latin-1")


def test_a_seed_fills_an_empty_marketplace(tmp_path, client):
    path = tmp_path / "seed.json"
    account = {"code": "s", "dialect": "rest", "token": "secret", "webhook": NOWHERE}
    order = {"id": "O1", "status": "pending", "lines": []}
    path.write_text(json.dumps([account | {"listings": [REST["tea"]], "orders": [order]}]))
    seed(client.application, path)
    accounts, listings, orders = everything(client)
    assert (accounts[0]["webhook"]["key"], listings, len(orders)) == ("k", [REST["tea"]], 1)


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '[{"code": "x"}]', '[{"code":"x","dialect":"rest","token":"t","orders":5}]']
)
def test_a_seed_that_is_none_is_refused(tmp_path, client, content):
    path = tmp_path / "seed.json"
    path.write_text(content)
    with pytest.raises(Unreadable, match=r"seed\.json"):
        seed(client.application, path)


def start(*options):
    """Start the program and give it with its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulator", "--log-level", "ERROR", *map(str, options)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return process, re.fullmatch(r"LISTENING (\S+)\n", process.stdout.readline())[1]


@pytest.mark.parametrize("brutally", [False, True], ids=["SIGTERM", "kill -9"])
def test_the_program_keeps_its_orders_over_a_restart(tmp_path, brutally):
    path, seed_file = tmp_path / "state.json", tmp_path / "seed.json"
    account = {"code": "s", "dialect": "rest", "token": "secret", "listings": [REST["tea"]]}
    seed_file.write_text(json.dumps([account]))
    process, address = start("--state", path, "--seed", seed_file)
    answer = requests.post(f"{address}/shop/s", data={"only": "1"}, timeout=5)
    assert "was placed" in answer.text
    if brutally:
        deadline = time.monotonic() + 5
        while '"taken": {"1": 1}' not in path.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
    (process.kill if brutally else process.terminate)()
    process.communicate(timeout=10)
    process, address = start("--state", path, "--seed", seed_file)
    orders = requests.get(f"{address}/_control/accounts/s/orders", timeout=5).json()
    process.terminate()
    process.communicate(timeout=10)
    assert len(orders) == 1
