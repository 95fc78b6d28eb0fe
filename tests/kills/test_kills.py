"""Processes die at work: what was acknowledged is there, once, and what was sent is known."""

import random
import threading
import time
from collections import Counter

import requests

from ..system.conftest import sample
from ..system.crowd import crowd
from ..system.harness import RECOVERY, wait_for
from ..system.test_prices_and_stock import Shelf
from ..system.test_statuses import DIALECTS

SENDERS = 4
LISTED, BATCH = 3000, 500  # so many are sent at once
SEED = 20261124


class Sender(threading.Thread):
    """A marketplace that repeats each order until it gets a 2xx, and some even after."""

    def __init__(self, shop, orders, ledger, rng):
        super().__init__(daemon=True)
        self.shop, self.orders, self.ledger, self.rng = shop, orders, ledger, rng
        self.session = requests.Session()

    def run(self):
        for order in self.orders:
            while not self.send(order):
                time.sleep(self.rng.uniform(0.1, 0.6))
            if self.rng.random() < 0.3:
                self.send(order)
            time.sleep(self.rng.uniform(0.1, 0.5))

    def send(self, order):
        headers = {"Authorization": f"Bearer {self.shop.hook}"}
        try:
            status = self.session.post(self.shop.address, json=order, headers=headers, timeout=20).status_code
        except requests.RequestException:
            self.ledger["no answer"] += 1
            return False
        self.ledger[status] += 1
        return 200 <= status < 300


def kill(server, kind):
    """End a process of the server; a killed server or PostgreSQL is started again."""
    if kind == "server":
        server.kill()
        server.start()
    elif kind == "worker":
        server.kill_worker()
    elif kind == "postgres":
        server.kill_postgres()
    else:
        wait_for(server.runner_pid, 60, "a job runner is there")
        server.kill_runner()


def make_orders(count):
    """Make orders of nine customers."""
    base = sample("cartona/order_pending")[0]
    return [
        {
            **base,
            "hashed_id": f"kill-{number}",
            "retailer": {**base["retailer"], "retailer_code": f"K{number % 9}"},
        }
        for number in range(count)
    ]


def send_and_kill(shop, orders, kills, seed):
    """Send orders, some twice, and kill processes meanwhile, spread over all of them.

    :param kills: kinds of processes, see :func:`kill`
    :return: Counter of the answers
    """
    ledger = Counter()
    senders = [
        Sender(shop, orders[part::SENDERS], ledger, random.Random(f"{seed}{part}")) for part in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    for number, kind in enumerate(kills, start=1):
        share = len(orders) * number / (len(kills) + 1)
        wait_for(lambda share=share: ledger[200] >= share, 120, f"{share:.0f} orders are taken")
        kill(shop.server, kind)
    for sender in senders:
        sender.join()
    return ledger


def check_complete(shop, orders):
    """Wait until every order is a sale order, while they become more, and make sure that it is one only."""
    found = 0
    while found < len(orders):
        wait_for(lambda known=found: sales(shop) > known, RECOVERY, f"more orders than {found}")
        found = sales(shop)
    assert sorted(order_id for [order_id] in shop.orders()) == sorted(order["hashed_id"] for order in orders)
    assert Counter(state for [state] in shop.events()) == {"done": len(orders)}
    [[customers]] = shop.server.sql("SELECT count(*) FROM res_partner WHERE cartona_id LIKE 'retailer_K%'")
    assert customers == 9


def sales(shop):
    """Count the account's confirmed orders."""
    return len(shop.orders(where="state = 'sale'"))


def test_nothing_is_lost_or_doubled_when_processes_are_killed(open_shop, products, show):
    shop = open_shop("cartona", auto_pull_orders=False)
    orders = make_orders(100)
    kills = ("worker", "runner", "server", "worker", "worker", "runner")
    ledger = send_and_kill(shop, orders, kills, SEED)
    show(f"{len(orders)} orders, killed {', '.join(kills)} (seed {SEED}): answers {dict(ledger)}")
    assert set(ledger) <= {200, 503, "no answer"}
    check_complete(shop, orders)


def test_a_worker_killed_after_sending_leaves_no_wrong_price(open_shop, server):
    shop = open_shop("rest", timeout=60)
    shelf = Shelf(server, 1, shop)
    [key] = shelf.keys
    simulator = shop.simulator
    simulator.control(
        "POST", "faults", {"kind": "timeout_after", "account": shop.code, "operation": "update_products"}
    )
    shelf.price(key, 12)
    wait_for(lambda: shelf.shown(shop)[key][0] == 12, 15, "the marketplace applied it and is silent")
    server.kill_workers()
    simulator.control("DELETE", "faults")
    # What the marketplace acknowledged last, and does not show.
    shelf.price(key, 10)
    wait_for(shelf.agrees, RECOVERY, "the old price is sent again")


def test_a_first_full_sending_goes_on_where_a_kill_stopped_it(open_shop, server, show):
    shop = open_shop("rest", calls_per_second=1)
    shelf = Shelf(server, 1, shop)
    # A reading of all listings would have everything sent that it sees: there is none for now.
    wait_for(lambda: has_read_listings(shop), 60, "the first reading is over")
    server.sql(
        "UPDATE marketplace_sync_state SET pause_reason = 'A test', paused_until = now() + interval '1 hour'"
        " WHERE account_id = %s AND kind = 'listings'",
        [shop.account],
    )
    [product] = shelf.products.values()
    names = {f"C{number}": f"crowd-{product}-{number}" for number in range(1, LISTED + 1)}
    shop.post("listings", [{"id": known, "sku": key, "price": "1"} for known, key in names.items()])
    crowd(server, product, LISTED)
    server.sql(
        "UPDATE marketplace_product_link SET price_acknowledged = false, quantity_acknowledged = false"
        " WHERE account_id = %s",
        [shop.account],
    )

    def sent():
        calls = shop.simulator.control("GET", "calls", account=shop.code, operation="update_products")
        return [row["id"] for call in calls for row in call["body"]["items"] if row["id"] in names]

    def shown():
        listings = shop.simulator.control("GET", f"accounts/{shop.code}/listings")
        return Counter(float(row["price"]) for row in listings if row["id"] in names)

    server.rpc("marketplace.config", "action_sync_products", [shop.account])
    wait_for(lambda: len(sent()) > LISTED / 3, 60, "a third is sent")
    server.kill_workers()
    left = LISTED - len(set(sent()))
    wait_for(lambda: shown() == {10.0: LISTED}, RECOVERY, "all are sent")
    # What was applied without an answer looks done, and is in doubt until it is sent once more.
    wait_for(shelf.rests, RECOVERY, "nothing waits, nothing is in doubt")
    twice = [known for known, times in Counter(sent()).items() if times > 1]
    show(f"{LISTED} listings, killed with {left} left: {len(twice)} were sent again")
    assert 0 < left < LISTED
    # The batch under way, and a page that a reading under way may have seen.
    assert len(twice) < 2 * BATCH, "what was acknowledged before is not sent again"
    assert len(sent()) < LISTED + 2 * BATCH


def has_read_listings(shop):
    return shop.server.sql(
        "SELECT 1 FROM marketplace_sync_state WHERE account_id = %s AND kind = 'listings'"
        " AND last_run IS NOT NULL AND cursor IS NULL",
        [shop.account],
    )


def test_a_status_arrives_once_when_its_worker_is_killed_while_it_is_sent(open_orders, server, show):
    shops = [open_orders(dialect) for dialect in DIALECTS]
    ids = [orders.place(2) for orders in shops]
    for orders, [order_id, _other] in zip(shops, ids, strict=True):
        orders.fault("timeout_after", seconds=10)
        orders.confirm(order_id)
    for orders in shops:
        wait_for(orders.calls, 30, "the status is being sent")
    begun = time.monotonic()
    server.kill_workers()
    wait_for(server.answers, 60, "the server answers again")
    # With every new job queue_job's runner looks for dead ones, and takes none for dead that is younger.
    time.sleep(max(0, begun + 11 - time.monotonic()))
    for orders, both in zip(shops, ids, strict=True):
        orders.confirm(both[1])
        wait_for(lambda orders=orders: done(orders), RECOVERY, "both steps are done")
        show(f"killed while sending, {orders.shop.dialect}: settled after {time.monotonic() - begun:.0f} s")
        assert all(orders.arrived(order_id, "confirmed") for order_id in both)
        assert orders.here("state = 'sale'") == set(both)
        assert orders.steps("in_doubt") == [(False,), (False,)]


def done(orders):
    return all(state == "done" for [state] in orders.steps())
