"""Orders are confirmed and cancelled while marketplaces fail: all statuses arrive, in order, none twice."""

import time
from collections import Counter

from ..system.harness import wait_for
from ..system.test_statuses import Orders, reopen
from .common import SEED, Trouble, shorten_pauses, size

CYCLES = size("CYCLES", 100)
AT_ONCE = 50  # orders made over there together
RECOVERY = 300  # seconds
FAULTS = [
    (4, "429", {"retry_after": 1}),
    (3, "500", {}),
    (2, "503", {"retry_after": 1}),
    (2, "timeout_after", {"seconds": 3}),
    (1, "timeout_before", {"seconds": 3}),
    (2, "not_json", {}),
    (1, "cut", {}),
    (1, "empty", {}),
    (1, "redirect", {}),
    (1, "422", {"message": "not today"}),
]


class Cycles:
    """Half of the orders of a shop are confirmed, the other half confirmed and cancelled."""

    def __init__(self, shop, count):
        self.orders = Orders(shop, None)
        self.ids = []
        while len(self.ids) < count:
            self.ids += self.orders.place(min(AT_ONCE, count - len(self.ids)))
        self.cancelled = set(self.ids[::2])

    def changes(self):
        return len(self.ids) + len(self.cancelled)

    def play(self, order_id):
        self.orders.confirm(order_id)
        if order_id in self.cancelled:
            self.orders.cancel(order_id)

    def wanted(self, order_id):
        statuses = ("confirmed", "cancelled") if order_id in self.cancelled else ("confirmed",)
        return [self.orders.words[status] for status in statuses]

    def try_refused_again(self):
        """Have a person try again what was refused.

        :return: whether all statuses have arrived
        """
        refused = self.orders.steps("sale_order_id, state")
        stopped = {order for order, state in refused if state in ("failed", "hold")}
        if stopped:
            self.orders.server.rpc("sale.order", "action_marketplace_sync", sorted(stopped))
        time.sleep(1)
        shorten_pauses([self.orders.shop])
        return all(state == "done" for _order, state in refused)

    def echo(self):
        """Have every order and status told to us once more by webhook."""
        for topic in ("orders", "status"):
            push = {"orders": self.ids, "topic": topic, "wait": 120, "duplicates": 1, "reorder": True}
            self.orders.shop.post("push", push)

    def differing(self):
        there = self.orders.there()
        return {
            order_id: (self.wanted(order_id), there[order_id][1:])
            for order_id in self.ids
            if there[order_id][1:] != self.wanted(order_id)
        }


def test_statuses_arrive_in_order_and_once_whatever_went_wrong(open_shop, products, server, show):
    shops = [open_shop(dialect, timeout=2, order_policy="draft") for dialect in ("cartona", "rest")]
    reopen(shops[0], own_changes="listed")
    cycles = [Cycles(shop, CYCLES // 2) for shop in shops]
    trouble, begun = Trouble(shops, "status", FAULTS), time.monotonic()
    trouble.start()
    for pair in zip(*(cycle.ids for cycle in cycles), strict=True):
        for cycle, order_id in zip(cycles, pair, strict=True):
            cycle.play(order_id)
    for cycle in cycles:
        wait_for(cycle.try_refused_again, RECOVERY, f"all arrive: {Counter(cycle.orders.steps())}")
    trouble.end()
    took = time.monotonic() - begun
    calls, struck = trouble.struck()
    for cycle in cycles:
        cycle.echo()
        cycle.orders.shop.pull()
    time.sleep(3)
    for shop in shops:
        wait_for(
            lambda shop=shop: all(state not in ("new", "failed") for [state] in shop.events()),
            60,
            "echoes are read",
        )
    after, _struck = trouble.struck()
    changes = sum(cycle.changes() for cycle in cycles)
    wrong = {order_id: found for cycle in cycles for order_id, found in cycle.differing().items()}
    show(
        f"{CYCLES} life cycles, {changes} statuses in {took:.0f} s (seed {SEED}): "
        f"{calls} calls, {struck} went wrong, {len(wrong)} lost or out of order, {after - calls} echoes"
    )
    assert not wrong, f"wanted and found: {dict(list(wrong.items())[:5])}"
    assert after == calls, "an echo was answered with a call"
    assert changes <= calls <= changes + struck, "one call per change, and one more for each that went wrong"
    for cycle in cycles:
        assert cycle.orders.here("state = 'cancel'") == cycle.cancelled
        assert len(cycle.orders.steps()) == cycle.changes()
