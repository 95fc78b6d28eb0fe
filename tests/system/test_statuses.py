"""Statuses on their way to the marketplace: in order, once, whatever goes wrong, on a real server."""

import threading
import time

import pytest

from .harness import wait_for

DIALECTS = ("cartona", "rest")
BOTH = pytest.mark.parametrize("dialect", DIALECTS)
WORDS = {
    "rest": {"confirmed": "confirmed", "cancelled": "cancelled"},
    "cartona": {"confirmed": "approved", "cancelled": "cancelled_by_supplier"},
}


class Orders:
    """The orders of one shop, on both sides."""

    def __init__(self, shop, products):
        self.shop, self.server, self.words = shop, shop.server, WORDS[shop.dialect]
        self.products = [{"key": "TEA-25", "price": "250.00"}]

    def place(self, count):
        """Have orders made over there, and wait until they are quotations here.

        :return: their ids over there
        """
        ids = self.ask_for(count)
        self.wait_for(ids)
        return ids

    def ask_for(self, count):
        """Have orders made over there and pushed.

        :return: their ids over there
        """
        made = self.shop.post("order_factory", {"count": count, "products": self.products}, push=1)
        return [row.get("hashed_id") or row["id"] for row in made]

    def wait_for(self, ids):
        wait_for(lambda: set(ids) <= self.here(), 60, f"{len(ids)} orders are here")

    def here(self, where="true"):
        return {order_id for [order_id] in self.shop.orders(where=where)}

    def number(self, order_id):
        [[number]] = self.shop.orders("id", f"cartona_id = '{order_id}'")
        return number

    def confirm(self, order_id):
        self.server.rpc("sale.order", "action_confirm", [self.number(order_id)])

    def cancel(self, order_id):
        context = {"disable_cancel_warning": True}
        self.server.rpc("sale.order", "action_cancel", [self.number(order_id)], context=context)

    def there(self):
        """Give {order id: its statuses over there, oldest first}."""
        rows = self.shop.simulator.control("GET", f"accounts/{self.shop.code}/orders")
        return {
            row["order"].get("hashed_id") or row["order"]["id"]: [step["status"] for step in row["history"]]
            for row in rows
        }

    def arrived(self, order_id, *statuses):
        wanted = [self.words[status] for status in statuses]
        return self.there()[order_id][1:] == wanted

    def calls(self, operation="status"):
        """Give the bodies of the calls that were made."""
        return self.shop.simulator.control("GET", "calls", account=self.shop.code, operation=operation)

    def steps(self, columns="state", where="true"):
        return self.server.sql(
            f"SELECT {columns} FROM marketplace_order_step WHERE account_id = %s AND {where} ORDER BY id",
            [self.shop.account],
        )

    def fault(self, kind, operation="status", times=1, **params):
        body = {"account": self.shop.code, "operation": operation, "kind": kind, "times": times}
        self.shop.simulator.control("POST", "faults", {**body, "params": params})

    def settled(self):
        """Wait until no step waits any more."""
        wait_for(lambda: all(state != "new" for [state] in self.steps()), 90, f"steps end: {self.steps()}")


@pytest.fixture
def open_orders(open_shop, products, simulator):
    """Give a function that opens a shop whose orders arrive as quotations."""

    def open_one(dialect, **values):
        return Orders(open_shop(dialect, **{"order_policy": "draft", **values}), products)

    yield open_one
    simulator.control("DELETE", "faults")


@BOTH
def test_confirm_and_cancel_arrive_in_order(open_orders, dialect):
    orders = open_orders(dialect)
    ids = orders.place(5)
    for order_id in ids:
        orders.confirm(order_id)
        orders.cancel(order_id)
    orders.settled()
    assert all(orders.arrived(order_id, "confirmed", "cancelled") for order_id in ids)


@BOTH
def test_a_marketplace_that_echoes_every_change_is_called_once_per_change(open_orders, dialect):
    orders = open_orders(dialect)
    shop = orders.shop
    if dialect == "cartona":
        reopen(shop, own_changes="listed")
    ids = orders.place(4)
    ended, echoed = threading.Event(), set()
    echo = threading.Thread(target=echo_all, args=(orders, echoed, ended), daemon=True)
    echo.start()
    for order_id in ids:
        orders.confirm(order_id)
    orders.settled()
    shop.pull()
    for order_id in ids[:2]:
        orders.cancel(order_id)
    orders.settled()
    wait_for(lambda: len(echoed) >= 6, 30, "every change is echoed")
    shop.pull()
    time.sleep(3)
    wait_for(lambda: all(state not in ("new", "failed") for [state] in shop.events()), 30, "echoes are read")
    orders.settled()
    ended.set()
    echo.join()
    assert len(orders.calls()) == 6
    assert orders.here("state = 'cancel'") == set(ids[:2])
    assert orders.here("state = 'sale'") == set(ids[2:])
    assert [state for [state] in orders.steps()] == ["done"] * 6


def reopen(shop, **options):
    """Change the simulated account's options."""
    webhook = {"base_url": shop.server.url, "key": shop.key, "token": shop.hook}
    values = {"code": shop.code, "dialect": shop.dialect, "token": shop.token}
    shop.simulator.control("POST", "accounts", {**values, "webhook": webhook, "options": options})


def echo_all(orders, echoed, ended):
    """Push each of our own changes back, as an order and as a status, while others are under way."""
    while not ended.wait(0.05):
        for order_id, history in orders.there().items():
            change = order_id, len(history)
            if len(history) > 1 and change not in echoed:
                echoed.add(change)
                for topic in ("orders", "status"):
                    orders.shop.post("push", {"orders": [order_id], "topic": topic})


TEMPORARY = {
    "429": {"retry_after": 2},
    "500": {},
    "timeout_after": {"seconds": 1},
    "timeout_before": {"seconds": 1},
    "not_json": {},
    "cut": {},
    "redirect": {},
}


def test_what_passes_delays_a_status_and_loses_none(open_orders):
    # All at once, each at an account of its own: an account that waits delays no other.
    troubled = {(kind, dialect): open_orders(dialect) for kind in TEMPORARY for dialect in DIALECTS}
    ids = {}
    for kind in TEMPORARY:
        # Not all of them: more posts than its workers' queue holds, and the server loses some unheard.
        ids |= {(kind, dialect): troubled[kind, dialect].ask_for(3) for dialect in DIALECTS}
        for dialect in DIALECTS:
            troubled[kind, dialect].wait_for(ids[kind, dialect])
    for (kind, _dialect), orders in troubled.items():
        orders.fault(kind, **TEMPORARY[kind])
    for case, orders in troubled.items():
        for order_id in ids[case]:
            orders.confirm(order_id)
    for case, orders in troubled.items():
        orders.settled()
        assert all(orders.arrived(order_id, "confirmed") for order_id in ids[case]), case
        assert orders.steps("state, tries, in_doubt") == [("done", 1, False)] * 3, case
        assert orders.here("state = 'sale'") == set(ids[case]), case


@BOTH
def test_a_refused_status_waits_for_a_person_and_the_others_go_on(open_orders, dialect):
    orders = open_orders(dialect)
    ids = orders.place(3)
    orders.fault("422", message="not today")
    for order_id in ids:
        orders.confirm(order_id)
    orders.settled()
    found = orders.steps("external_order_id, state, reason LIKE '%%not today%%'")
    assert found == [(ids[0], "failed", True), (ids[1], "done", None), (ids[2], "done", None)]
    assert not orders.arrived(ids[0], "confirmed")
    orders.server.rpc("sale.order", "action_marketplace_sync", [orders.number(ids[0])])
    orders.settled()
    assert orders.arrived(ids[0], "confirmed")
    assert {state for [state] in orders.steps()} == {"done"}


@BOTH
def test_a_new_token_sends_what_the_old_one_could_not(open_orders, dialect):
    orders = open_orders(dialect)
    ids = orders.place(3)
    orders.shop.token = f"another-{orders.shop.token}"
    reopen(orders.shop)
    for order_id in ids:
        orders.confirm(order_id)
    wait_for(lambda: refused(orders), 30, "the credentials are refused")
    time.sleep(2)
    assert not orders.calls() and {state for [state] in orders.steps()} == {"new"}
    values = {"auth_token": orders.shop.token}
    orders.server.rpc("marketplace.config", "write", [orders.shop.account], values)
    orders.settled()
    assert all(orders.arrived(order_id, "confirmed") for order_id in ids)


def refused(orders):
    [[status]] = orders.server.sql(
        "SELECT connection_status FROM marketplace_config WHERE id = %s", [orders.shop.account]
    )
    return status == "refused"


class Edits(Orders):
    """One order of two lines at Cartona, whose answers get lost."""

    def one(self):
        [made] = self.shop.post("order_factory", {"count": 1, "products": self.products})
        first = made["order_details"][0] | {"amount": 10}
        lines = [first, first | {"id": first["id"] + 1}]
        total = sum(line["selling_price"] * line["amount"] for line in lines)
        self.shop.post("orders", [made | {"order_details": lines, "total_price": total}])
        self.id = made["hashed_id"]
        self.shop.post("push", {"orders": [self.id], "wait": 60})
        wait_for(lambda: self.id in self.here(), 60, "the order is here")
        self.confirm(self.id)
        self.settled()
        self.lines = self.server.rpc("sale.order.line", "search", [("order_id", "=", self.number(self.id))])
        return self

    def change(self, *commands):
        """Change lines in one go, as a form does, and lose the answer."""
        self.fault("timeout_after", "order_details", seconds=4)
        values = {"order_line": commands}
        self.server.rpc("sale.order", "write", [self.number(self.id)], values)

    def amounts(self):
        """Give the amounts of the lines over there."""
        rows = self.shop.simulator.control("GET", f"accounts/{self.shop.code}/orders")
        [order] = [row["order"] for row in rows if row["order"]["hashed_id"] == self.id]
        return [line["amount"] for line in order["order_details"]]

    def line_steps(self):
        return self.steps("state, in_doubt", "kind = 'lines'")


@pytest.fixture
def open_edits(open_shop, products, simulator):
    def open_one(**options):
        shop = open_shop("cartona", order_policy="draft", timeout=2)
        reopen(shop, **options)
        shop.post("listings", [{"supplier_product_id": "900", "internal_product_id": "SALT-500"}])
        return Edits(shop, products).one()

    yield open_one
    simulator.control("DELETE", "faults")


def test_a_line_taken_away_without_an_answer_is_gone_and_no_alarm(open_edits):
    edits = open_edits()
    first, second = edits.lines
    edits.change((1, first, {"product_uom_qty": 7}), (1, second, {"product_uom_qty": 0}))
    edits.settled()
    assert edits.amounts() == [7]
    assert edits.line_steps() == [("done", False)]
    # Lost, the change once more, and the line that is gone by itself.
    assert len(edits.calls("order_details")) == 3


def new_line(edits):
    [salt] = edits.server.rpc("product.product", "search", [("cartona_id", "=", "SALT-500")], limit=1)
    return (0, 0, {"product_id": salt, "product_uom_qty": 2, "price_unit": 3})


def test_a_new_line_without_an_answer_is_found_in_the_list(open_edits):
    edits = open_edits(own_changes="listed")
    edits.change((1, edits.lines[1], {"product_uom_qty": 0}), new_line(edits))
    wait_for(lambda: edits.line_steps() == [("done", False)], 60, f"it is settled: {edits.line_steps()}")
    assert edits.amounts() == [10, 2]
    assert len(edits.calls("order_details")) == 1


def test_a_new_line_without_an_answer_that_no_list_shows_is_not_added_again(open_edits):
    edits = open_edits(own_changes="silent")
    edits.change((1, edits.lines[1], {"product_uom_qty": 0}), new_line(edits))
    wait_for(lambda: edits.line_steps() == [("hold", True)], 60, f"it waits: {edits.line_steps()}")
    edits.server.sql(
        "UPDATE marketplace_order_step SET untold_since = untold_since - interval '11 m'"
        " WHERE account_id = %s",
        [edits.shop.account],
    )
    [[sweep]] = edits.server.sql(
        "SELECT res_id FROM ir_model_data WHERE module = 'cartona_integration' AND name = 'cron_sweep'"
    )
    edits.server.rpc("ir.cron", "method_direct_trigger", [sweep])
    assert edits.line_steps() == [("failed", True)], "a person is asked"
    assert edits.amounts() == [10, 2]
    assert len(edits.calls("order_details")) == 1
