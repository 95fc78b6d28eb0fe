"""How long things take on a real server: orders in; prices, stock and confirmations out; two marketplaces.

The name makes it the last file: the addon's tests, which run beside, are over by then.
"""

import threading
import time
from statistics import median

from .crowd import crowd
from .harness import moment, wait_for
from .test_prices_and_stock import Shelf
from .test_statuses import DIALECTS, Orders

COUNT = 50  # of each kind, one per second at each marketplace
GOAL = 5  # seconds
PRODUCTS = 10_000


class Clock:
    """Runs something once a second, and shows how long what it began took."""

    def __init__(self, show):
        self.show = show

    def tick(self, action):
        """Call ``action(number)`` COUNT times."""
        for number in range(COUNT):
            second = time.monotonic() + 1
            action(number)
            time.sleep(max(0, second - time.monotonic()))

    def judge(self, label, begun, ended):
        """Show the figures of a kind of change.

        :param dict begun: {change: when}
        :param dict ended: the same when it had arrived
        """
        times = sorted(ended[change] - at for change, at in begun.items())
        assert len(times) == COUNT
        p95 = times[int(COUNT * 0.95) - 1]
        self.show(
            f"{label}: {COUNT}, one per second: median {median(times):.2f} s, p95 {p95:.2f} s,"
            f" max {times[-1]:.2f} s"
        )
        assert p95 <= GOAL


class Watch(threading.Thread):
    """Notes when each order of a shop is there, confirmed; polls beside the test."""

    def __init__(self, shop):
        super().__init__(daemon=True)
        self.shop, self.seen, self.ended = shop, {}, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.05):
            for [order_id] in self.shop.orders(where="state = 'sale'"):
                self.seen.setdefault(order_id, time.time())

    def end(self):
        """Give {order id: when} as soon as all are there."""
        wait_for(lambda: len(self.seen) >= COUNT, 30, f"{self.shop.code}: all orders are sale orders")
        self.ended.set()
        self.join()
        return self.seen


def make_order(shop, push):
    """Have the simulated marketplace make one order of known products."""
    products = [{"key": "TEA-25", "price": "250.00"}, {"key": "SUGAR-1", "price": "90.50"}]
    answer = shop.post("order_factory", {"count": 1, "products": products}, push=push)
    orders = answer["orders"] if isinstance(answer, dict) else answer
    return orders[0].get("hashed_id") or orders[0]["id"]


def order_and_watch(shops, place, label, show):
    """Have an order placed at each shop every second, and judge how long each took to be a sale order.

    :param place: shop -> the order's id; the clock starts when it is called
    """
    watches = {shop.dialect: Watch(shop) for shop in shops}
    begun = {shop.dialect: {} for shop in shops}

    def order(_number):
        for shop in shops:
            now = time.time()
            begun[shop.dialect][place(shop)] = now

    clock = Clock(show)
    clock.tick(order)
    for dialect, watch in watches.items():
        clock.judge(f"{label}, {dialect}, to the confirmed sale order", begun[dialect], watch.end())


def test_pushed_orders_are_sale_orders_within_five_seconds(open_shop, products, show):
    shops = [open_shop(dialect) for dialect in DIALECTS]
    order_and_watch(shops, lambda shop: make_order(shop, push=1), "webhook", show)


def test_pulled_orders_are_sale_orders_within_five_seconds(open_shop, products, show):
    shops = [open_shop(dialect, auto_pull_orders=False) for dialect in DIALECTS]

    def place(shop):
        order_id = make_order(shop, push=0)
        shop.pull()
        return order_id

    order_and_watch(shops, place, "pull", show)


def test_prices_stock_and_confirmations_arrive_within_five_seconds(open_shop, products, server, show):
    """All at once, and at both marketplaces: each product is sold at both, under its own id.

    Among many products, and while orders come in.
    """
    clock = Clock(show)
    shops = [open_shop(dialect, order_policy="draft") for dialect in DIALECTS]
    sellers = [Orders(shop, products) for shop in shops]
    order_ids = [orders.place(COUNT) for orders in sellers]
    shelf = Shelf(server, 10, *shops)
    shelf.count(shelf.keys[0], 20)
    wait_for(shelf.agrees, 30, "both marketplaces show the first stock")
    crowd(server, shelf.products[shelf.keys[0]], PRODUCTS)
    confirmed = {shop.dialect: {} for shop in shops}
    changed = {"price": {}, "stock": {}}

    def change(number):
        key = shelf.keys[number % len(shelf.keys)]
        changed["price"][key, "price", 100.0 + number] = shelf.price(key, 100 + number)
        changed["stock"][key, "stock", 20.0 + number] = shelf.count(key, 20 + number)
        for orders, ids in zip(sellers, order_ids, strict=True):
            orders.confirm(ids[number])
            confirmed[orders.shop.dialect][ids[number]] = time.time()
            make_order(orders.shop, push=1)

    clock.tick(change)
    wait_for(shelf.agrees, 30, "both marketplaces show what Odoo says")
    for orders, ids in zip(sellers, order_ids, strict=True):
        orders.settled()
        assert all(orders.arrived(order_id, "confirmed") for order_id in ids)
        dialect, calls = orders.shop.dialect, orders.calls()
        assert len(calls) == COUNT
        place = {"rest": -2, "cartona": -1}[dialect]
        arrivals = {call["path"].split("/")[place]: moment(call["at"]) for call in calls}
        clock.judge(f"confirmations, {dialect}, from commit to arrival", confirmed[dialect], arrivals)
        for figure, begun in changed.items():
            clock.judge(f"{figure}, {dialect}, from Odoo to arrival", begun, shelf.arrivals(orders.shop))
