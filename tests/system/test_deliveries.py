"""Deliveries on a real server, with real transactions: codes, and what both sides show."""

import pytest

from .harness import wait_for
from .test_statuses import BOTH, Orders


class Deliveries(Orders):
    """One order of a shop whose delivery needs a code."""

    def one(self, **values):
        """Have an order of one line made over there and confirmed here."""
        values |= {"needs_code": True} if self.shop.dialect == "rest" else {"wallet_top_up": 5}
        made = self.shop.post(
            "order_factory", {"count": 1, "products": self.products, "values": values}, push=1
        )
        self.id = made[0].get("hashed_id") or made[0]["id"]
        wait_for(lambda: self.id in self.here(), 60, "the order is here")
        self.confirm(self.id)
        self.settled()
        return self

    def validate(self):
        """Press the button on the delivery and give what it answers."""
        rows = self.server.sql(
            "SELECT move.id, move.picking_id, move.product_uom_qty FROM stock_move move"
            " JOIN sale_order_line line ON line.id = move.sale_line_id WHERE line.order_id = %s"
            " AND move.state NOT IN ('done', 'cancel')",
            [self.number(self.id)],
        )
        for move, _picking, quantity in rows:
            self.server.rpc("stock.move", "write", [move], {"quantity": float(quantity), "picked": True})
        context = {"skip_backorder": True, "skip_sms": True}
        pickings = list({picking for _move, picking, _quantity in rows})
        return self.server.rpc("stock.picking", "button_validate", pickings, context=context)

    def enter(self, action, code, button="action_confirm"):
        """Enter a code as a person does: it is saved, then the button is pressed."""
        wizard = action["res_id"]
        lines = self.server.rpc("marketplace.delivery.code", "read", [wizard], ["line_ids"])[0]["line_ids"]
        self.server.rpc("marketplace.delivery.code.line", "write", lines, {"code": code})
        return self.server.rpc("marketplace.delivery.code", button, [wizard])

    def picking_states(self):
        rows = self.server.sql(
            "SELECT DISTINCT state FROM stock_picking WHERE sale_id = %s", [self.number(self.id)]
        )
        return {state for [state] in rows}

    def shows(self):
        return self.there()[self.id][-1]


@pytest.fixture
def open_deliveries(open_shop, products, simulator):
    def open_one(dialect):
        return Deliveries(open_shop(dialect, order_policy="draft", timeout=2), products)

    yield open_one
    simulator.control("DELETE", "faults")


@BOTH
def test_a_code_wrong_twice_then_right(open_deliveries, dialect):
    deliveries = open_deliveries(dialect).one()
    action = deliveries.validate()
    for wrong in ("000000", "111111"):
        assert deliveries.enter(action, wrong)["res_id"] == action["res_id"]
        assert deliveries.picking_states() != {"done"} and deliveries.shows() != "delivered"
    assert deliveries.enter(action, "123456") is True
    assert deliveries.picking_states() == {"done"} and deliveries.shows() == "delivered"
    deliveries.settled()
    assert {state for [state] in deliveries.steps()} == {"done", "ignored"}
    calls = len(deliveries.calls())
    assert calls == 5  # confirmed, shipped, twice wrong, right
    codes = deliveries.server.sql(
        "SELECT count(*) FROM marketplace_delivery_code_line WHERE code IS NOT NULL"
    )
    assert codes == [(0,)]
    assert "123456" not in deliveries.server.log_text()


@BOTH
def test_a_code_that_was_taken_without_an_answer_is_not_sent_again(open_deliveries, dialect):
    deliveries = open_deliveries(dialect).one()
    action = deliveries.validate()
    # Shipped first, by a wrong code: the next call is the one with the right code.
    deliveries.enter(action, "000000")
    calls = len(deliveries.calls())
    deliveries.fault("timeout_after", seconds=4)
    assert deliveries.enter(action, "123456")["res_id"] == action["res_id"]
    assert deliveries.shows() == "delivered" and deliveries.picking_states() != {"done"}
    if dialect == "rest":
        assert deliveries.enter(action, "123456") is True
    else:
        deliveries.enter(action, "123456")
        assert deliveries.enter(action, "123456", "action_taken") is True
    assert deliveries.picking_states() == {"done"}
    deliveries.settled()
    assert len(deliveries.calls()) == calls + 1
