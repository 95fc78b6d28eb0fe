"""Processes die while orders arrive: what was acknowledged is there, once."""

import random
import threading
import time
from collections import Counter

import requests

from .conftest import sample
from .harness import wait_for

ORDERS = 100
KILLS = ("worker", "runner", "server", "worker", "worker", "runner")
SENDERS = 4
SEED = 20261124
# A job whose worker died is given to another one by queue_job after about a minute; our sweep is as quick.
RECOVERY = 150  # seconds


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
    """End a process of the server; a killed server is started again."""
    if kind == "server":
        server.kill()
        server.start()
    elif kind == "worker":
        server.kill_worker()
    else:
        wait_for(server.runner_pid, 30, "a job runner is there")
        server.kill_runner()


def test_nothing_is_lost_or_doubled_when_processes_are_killed(open_shop, products, server, show):
    shop = open_shop("cartona", auto_pull_orders=False)
    rng = random.Random(SEED)
    base = sample("cartona/order_pending")[0]
    orders = [
        {
            **base,
            "hashed_id": f"kill-{number}",
            "retailer": {**base["retailer"], "retailer_code": f"K{number % 9}"},
        }
        for number in range(ORDERS)
    ]
    ledger = Counter()
    senders = [
        Sender(shop, orders[part::SENDERS], ledger, random.Random(f"{SEED}{part}")) for part in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    for kind in KILLS:
        time.sleep(rng.uniform(0.3, 0.9))
        assert any(sender.is_alive() for sender in senders), "a kill after the last order means nothing"
        kill(server, kind)
    for sender in senders:
        sender.join()
    show(f"{ORDERS} orders, killed {', '.join(KILLS)} (seed {SEED}): answers {dict(ledger)}")
    assert set(ledger) <= {200, 503, "no answer"}
    wanted = {order["hashed_id"] for order in orders}
    wait_for(
        lambda: len(shop.orders(where="state = 'sale'")) >= ORDERS, RECOVERY, "every order is a sale order"
    )
    found = [order_id for [order_id] in shop.orders()]
    assert sorted(found) == sorted(wanted)
    assert Counter(state for [state] in shop.events()) == {"done": ORDERS}
    [[customers]] = server.sql("SELECT count(*) FROM res_partner WHERE cartona_id LIKE 'retailer_K%'")
    assert customers == 9
