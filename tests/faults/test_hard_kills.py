"""Every process dies while orders arrive, PostgreSQL too: what was acknowledged is there, once."""

import random
from collections import Counter

from ..kills.test_kills import check_complete, make_orders, send_and_kill
from .common import SEED, size

KILLS = size("KILLS", 15)
EVENTS = size("EVENTS", 300)
KINDS = ("worker", "runner", "worker", "server", "postgres")


def test_what_was_acknowledged_survives_kills_of_every_process(open_shop, products, show):
    shop = open_shop("cartona", auto_pull_orders=False)
    orders = make_orders(EVENTS)
    kills = [KINDS[number % len(KINDS)] for number in range(KILLS)]
    random.Random(SEED).shuffle(kills)
    ledger = send_and_kill(shop, orders, kills, SEED)
    check_complete(shop, orders)
    show(
        f"{EVENTS} orders, 30 % sent twice, {KILLS} kills {dict(Counter(kills))} (seed {SEED}): "
        f"answers {dict(ledger)}, 0 lost, 0 doubled"
    )
    # Nothing tells the sender to give up, such as 404 would.
    assert all(answer in (200, "no answer") or answer >= 500 for answer in ledger)
